"""What every command does alike: exit codes, signals, broken streams, faults that nobody foresaw.

    @command(interrupted="the same command goes on")
    def main(arguments: Sequence[str] | None = None) -> int | None:
        options = parser().parse_args(arguments)
        ...

Standard library only, so that --help answers at once.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gc
import os
import platform
import shlex
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from simulator.config.standard_streams import flush, repair_streams
from simulator.config.wording import visible
from simulator.errors import SimulatorError

BAD_INPUT, CRASHED, INTERRUPTED = 2, 70, 130
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP")
                if hasattr(signal, name))  # fmt: skip
CHILD_SECONDS = 2.0
"""How long to wait for children that were ended."""
_LONGEST_FAULT = 300

Main = Callable[[Sequence[str] | None], int | None]


_CONSOLE: list[str] = []


def program(module: str) -> str:
    """Return how a command was called, for its usage line."""
    return _CONSOLE[-1] if _CONSOLE else f"python -m {module}"


@contextlib.contextmanager
def called_as(name: str) -> Iterator[None]:
    """Let commands name themselves as the console command that runs them."""
    _CONSOLE.append(name)
    try:
        yield
    finally:
        _CONSOLE.pop()


class Ended(KeyboardInterrupt):
    """Tell that a signal asks the process to end. It unwinds as ctrl-C does, which cleans up."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def command(
    name: str = "", interrupted: str = "nothing was written"
) -> Callable[[Main], Callable[..., int]]:
    """Make a function of the command line a command.

    `name` begins each of its messages; `interrupted` says what a signal leaves behind.
    """

    def decorate(main: Main) -> Callable[..., int]:
        @functools.wraps(main)
        def run(arguments: Sequence[str] | None = None) -> int:
            # What is imported and read lives to the end: to look through it often is in vain.
            gc.set_threshold(50_000, 20, 20)
            # Pydantic would read the lists of all installed packages for plugins of its own.
            os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
            return supervised(lambda: main(arguments), name, interrupted)

        return run

    return decorate


def supervised(
    work: Callable[[], int | None], name: str = "", interrupted: str = "nothing was written"
) -> int:
    """Do a command's work; return its exit code, 0 for None.

    2 after one message for bad input or for an output that cannot be written; 128 + the signal's
    number after SIGINT, SIGTERM or SIGHUP, with what that left; 70 after a fault of ours, whose
    traceback goes into a file. A reader of stdout that has gone ends the command silently.
    """
    repair_streams()
    lead = f"{_CONSOLE[-1] if _CONSOLE else name}: " if name else ""
    with _signals_raise():
        try:
            code = work() or 0
        except SystemExit:  # argparse, after a message of its own
            if lost := flush(sys.stdout):
                return _output_lost(lost, lead)
            raise
        except SimulatorError as error:
            _say(f"{lead}{error}")
            code = BAD_INPUT
        except KeyboardInterrupt as error:
            number = error.number if isinstance(error, Ended) else int(signal.SIGINT)
            end_children()
            _say(f"{lead}{_signal_word(number)}; {interrupted}")
            code = 128 + number
        except Exception as error:
            if isinstance(error, OSError) and error is getattr(sys.stdout, "fault", None):
                flush(sys.stdout)
                code = _output_lost(error, lead)
            else:
                end_children()
                _say(f"{lead}{_crash_line(error)}")
                code = CRASHED
        if lost := flush(sys.stdout):
            code = code or _output_lost(lost, lead)
        return code


def _signal_word(number: int) -> str:
    return "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    """Let signals that ask for the end raise Ended; a second one ends the process at once.

    A signal that our parent ignores (nohup) stays ignored. Only a main thread may do this.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ending = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal ending
        # Before anything unwinds: workers that still run would wait for us, and talk.
        end_children()
        if ending:
            os._exit(128 + number)
        ending = True
        raise Ended(number)

    earlier = {number: signal.getsignal(number) for number in SIGNALS}
    taken = {number: known for number, known in earlier.items() if known is not signal.SIG_IGN}
    for number in taken:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, known in taken.items():
            signal.signal(number, known)


def end_children() -> None:
    """End all processes that this one started, and theirs, at once.

    What they leave half-done lies in folders of ours, which unwinding removes.
    """
    import psutil

    with contextlib.suppress(psutil.Error):
        children = [
            child for child in psutil.Process().children(recursive=True) if not _is_tracker(child)
        ]
        for child in children:
            with contextlib.suppress(psutil.Error):
                child.kill()
        psutil.wait_procs(children, timeout=CHILD_SECONDS)


def _is_tracker(child: Any) -> bool:
    """Whether it removes the semaphores of other children; it ends when they are gone."""
    with contextlib.suppress(Exception):
        return "resource_tracker" in " ".join(child.cmdline())
    return True


def _output_lost(fault: OSError, lead: str) -> int:
    """The exit code of a command whose stdout fails: 0 if its reader has gone, as of `head`."""
    if isinstance(fault, BrokenPipeError):
        return 0
    _say(f"{lead}stdout: {fault.strerror or fault}")
    return BAD_INPUT


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(visible(text), file=sys.stderr, flush=True)


def _crash_line(error: Exception) -> str:
    """One line about a fault of ours, with the file that holds its traceback."""
    fault = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST_FAULT]
    try:
        handle, path = tempfile.mkstemp(prefix="stasim-crash-", suffix=".txt")
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(_crash_report(error))
    except OSError as reason:
        return f"unforeseen {fault} (no file for its traceback: {reason.strerror})"
    return f"unforeseen {fault} (the traceback is in {path}; please report it)"


def _crash_report(error: Exception) -> str:
    from simulator import __version__

    facts = [
        f"STASim {__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"command: {shlex.join(sys.argv)}",
        "",
        "".join(traceback.format_exception(error)),
    ]
    return "\n".join(facts)


def add_places(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where tasks run: `--jobs` or `--dask`."""
    where = parser.add_mutually_exclusive_group().add_argument
    number, address = (
        integer_option(1, 1024),
        "tcp://HOST:PORT, tls://HOST:PORT, or local:N processes",
    )
    where("--jobs", type=number, default=1, metavar="N", help="worker processes (default 1)")
    where("--dask", metavar="ADDRESS", help=f"Dask cluster: {address}")


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Add `--set`, whose values are `overrides` of an architecture."""
    text = "replace a value of the architecture, such as dataflow.kind=tick_batched"
    parser.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", dest="overrides", help=text
    )


def check_counts(
    options: argparse.Namespace, *names: str, error: type[SimulatorError] = SimulatorError
) -> None:
    """Raise an error for the first of these options that is less than 1."""
    for name in names:
        value = getattr(options, name)
        if value < 1:
            raise error(f"--{name.replace('_', '-')} is {value}; it must be at least 1")


def check_target(path: Path, option: str, error: type[SimulatorError] = SimulatorError) -> None:
    """Raise an error if a file cannot be written there, because its folder does not exist."""
    if not path.absolute().parent.is_dir():
        raise error(f"{option} {path}", "its folder does not exist")


def integer_option(least: int, most: int) -> Callable[[str], int]:
    """Return a type for argparse: a number in ASCII digits, from `least` to `most`."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or not least <= int(text[:20]) <= most:
            raise argparse.ArgumentTypeError(
                f"{text[:60]}: must be a number from {least} to {most}"
            )
        return int(text)

    return parse
