"""Functions that workers of other processes import, for tests of the executor."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from simulator.errors import TraceError


def square(number: int) -> int:
    """A result that depends on the task alone."""
    return number * number


def refuse_three(number: int) -> int:
    """What is wrong with the input, found by a worker."""
    if number == 3:
        raise TraceError("task 3", "must be refused")
    return number


def die_once(task: tuple[int, str]) -> int:
    """Kills its own process at task 3 the first time, as the kernel does when memory ends."""
    number, folder = task
    mark = Path(folder) / f"died-{number}"
    if number == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.02)
    return number


def die_always(number: int) -> int:
    """Kills every process that takes task 3."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number
