"""What every command does alike: its exit codes, and rules that several commands' options share.

Standard library only, so that --help answers at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from simulator.errors import SimulatorError

BAD_INPUT, INTERRUPTED = 2, 130


def answered(
    work: Callable[[], int | None], name: str = "", interrupted: str = "nothing was written"
) -> int:
    """Do a command's work; its exit code, None standing for 0.

    2 after one message for bad input, which begins with the command's name where one is given; 130
    after ctrl-C, with what that left behind.
    """
    lead = f"{name}: " if name else ""
    try:
        return work() or 0
    except SimulatorError as error:
        print(f"{lead}{error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print(f"{lead}interrupted; {interrupted}", file=sys.stderr)
        return INTERRUPTED


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
        raise error(f"{option} {path}: its folder does not exist")
