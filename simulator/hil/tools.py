"""Runs the programs that compile, synthesize, prove and place the RTL, and its benches."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from simulator.errors import DeviceError


def run_tool(
    what: str,
    command: Sequence[str],
    limit_s: float,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Return what a program prints. Raises DeviceError with the first error that it reports."""
    return run_binary(what, command, limit_s, folder=folder, environment=environment).decode(
        errors="replace"
    )


def run_binary(
    what: str,
    command: Sequence[str],
    limit_s: float,
    given: bytes = b"",
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> bytes:
    """Return what a program that is given bytes prints. Raises DeviceError as `run_tool`."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            input=given,
            capture_output=True,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceError(what, f"no answer within {limit_s:g} s") from error
    except OSError as error:
        raise DeviceError(what, f"{error}") from error
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).decode(errors="replace").splitlines()
        said = [line for line in lines if "rror" in line or "ERROR" in line]
        said = said or done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        code = f"code {done.returncode}"
        raise DeviceError(f"{what} failed: {code}: {said[0]}" if said else f"{what} failed: {code}")
    return done.stdout
