"""Standard streams that are closed, full or broken: what a command writes to instead."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TextIO


def repair_streams() -> None:
    """Give a closed stdin, stdout or stderr to the null device; let no character fail.

    Otherwise the next file that is opened would take the stream's number and be printed into.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null > number and not _is_open(number):
                os.dup2(null, number)
                os.close(null)
                null = number
            setattr(sys, name, open(null, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    if sys.__stdout__ is not None and sys.stdout is sys.__stdout__:
        sys.stdout = _Watched(sys.__stdout__)
    if sys.__stderr__ is not None and sys.stderr is sys.__stderr__:
        sys.stderr = _Lossy(sys.__stderr__)


class _Watched(io.TextIOWrapper):
    """A standard stream that takes every character and remembers its own fault.

    A fault of the stream is so kept apart from that of a file.
    """

    def __init__(self, stream: TextIO) -> None:
        stream.flush()
        lines = getattr(stream, "line_buffering", False)
        super().__init__(stream.buffer, stream.encoding, "backslashreplace", line_buffering=lines)
        self.fault: OSError | None = None

    def write(self, text: str) -> int:
        """Write a text."""
        try:
            return super().write(text)
        except OSError as error:
            self.fault = error
            raise

    def flush(self) -> None:
        """Write out what is held back."""
        try:
            super().flush()
        except OSError as error:
            self.fault = error
            raise


class _Lossy(_Watched):
    """Text that is lost where it cannot be written: messages must not end the work they tell of."""

    def write(self, text: str) -> int:
        """Write what can be written."""
        with contextlib.suppress(OSError):
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        """Write out what can be written."""
        with contextlib.suppress(OSError):
            super().flush()


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def flush(stream: TextIO) -> OSError | None:
    """Flush a stream; one that has failed once is given to the null device."""
    try:
        stream.flush()
    except OSError as error:
        fault: OSError | None = error
    except ValueError:  # closed by the work itself
        return None
    else:
        fault = getattr(stream, "fault", None)
    if fault is not None:
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
    return fault
