"""Runs the programs of others that compile, synthesize, prove and place the RTL."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from simulator.errors import DeviceError


def run_tool(
    what: str,
    command: Sequence[str],
    limit_s: int,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Return what a program prints. Raises DeviceError with the first error that it reports."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceError(f"{what}: not ready within {limit_s} s") from error
    except OSError as error:
        raise DeviceError(f"{what}: {error}") from error
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).splitlines()
        said = [line for line in lines if "rror" in line or "ERROR" in line]
        raise DeviceError(f"{what} failed: {said[0] if said else f'code {done.returncode}'}")
    return done.stdout
