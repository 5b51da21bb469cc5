"""Kills at every line: a forked process runs some work and is killed before its n-th line.

Between two lines of the code that writes files there is at most one call of the system, so that
killing before each line tries every state that a kill at any moment can leave.
"""

from __future__ import annotations

import linecache
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

WRITERS = ("staged_file.py", "staged_folder.py", "results/files.py", "sweep/journal.py",
           "results/sweep_result.py", "distributed/stream.py", "prosperity/report.py")  # fmt: skip


def forked(work: Callable[[], object]) -> int:
    """The number of a process of its own that does some work and ends, with 1 if it raised.

    It must not go on after this: it would run all other tests too.
    """
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return pid


def killed_before(line: int, work: Callable[[], object], files: Sequence[str] = WRITERS) -> bool:
    """Whether a process was killed before its n-th line that calls something; False: it ended."""

    def counted() -> None:
        left = line

        def count(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal left
            if event == "line" and "(" in linecache.getline(
                frame.f_code.co_filename, frame.f_lineno
            ):
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1
            return count

        def enter(frame: FrameType, event: str, argument: Any) -> Any:
            return count if frame.f_code.co_filename.endswith(tuple(files)) else None

        sys.settrace(enter)
        work()
        sys.settrace(None)

    _, status = os.waitpid(forked(counted), 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the work failed"
    return False


def every_kill(
    work: Callable[[], object], folder: Path, step: int = 1, files: Sequence[str] = WRITERS
) -> Iterator[int]:
    """Kill the work before each line that calls something, once each, till it ends.

    What is left hidden in the folder is removed after each kill; else the next would first do so,
    and never come further.
    """
    line = 0
    while killed_before(line, work, files):
        yield line
        for path in folder.glob(".*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        line += step
