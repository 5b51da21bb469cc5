"""A Dask cluster for tests: a real scheduler and worker processes, all on the loopback."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
START_SECONDS = 240


class Cluster(NamedTuple):
    """A running cluster: the scheduler's address, its process, and its worker processes."""

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]


@contextlib.contextmanager
def cluster(folder: Path, workers: int = 2) -> Iterator[Cluster]:
    """Scheduler and workers as processes of their own; all are gone at the end.

    The workers have no nanny: one that is killed stays dead.
    """
    address_file = folder / "scheduler.json"
    started = [
        _start(folder, "dask_scheduler", "--port", "0", "--scheduler-file", str(address_file))
    ]
    try:
        address = json.loads(_when_written(address_file))["address"]
        for _ in range(workers):
            flags = ("--nthreads", "1", "--no-nanny", "--memory-limit", "0")
            started.append(_start(folder, "dask_worker", address, *flags))
        _wait_for_workers(address, workers)
        yield Cluster(address, started[0], started[1:])
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


def _start(folder: Path, module: str, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"distributed.cli.{module}", *words]
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    with (folder / "cluster.log").open("ab") as log:
        return subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--no-dashboard"],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
            stdout=log,
            stderr=log,
        )


def _when_written(path: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            json.loads(path.read_text())
            return path.read_text()
        time.sleep(0.05)
    raise TimeoutError(f"{path}: the scheduler did not start")


def _wait_for_workers(address: str, count: int) -> None:
    from distributed import Client

    with Client(address, timeout=START_SECONDS) as client:
        client.wait_for_workers(count, timeout=START_SECONDS)
