"""The option `--verify PATH`; verification.py says what is whole."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_verify(parser: argparse.ArgumentParser) -> None:
    """Add `--verify PATH`, which looks at an output and ends, as --help does."""
    text = "say whether an output of ours is whole: a folder, a trace, a recording, weights ..."
    parser.add_argument("--verify", action=_Verify, metavar="PATH", help=text)


class _Verify(argparse.Action):
    """Nothing else has to be given beside it."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, value: Any, option: object = None
    ) -> None:
        """Print that the output is whole; raise ResultError with what is not."""
        from simulator.errors import ResultError
        from simulator.results.verification import verify

        found = verify(Path(value))
        if found.problems:
            raise ResultError("\n".join(found.problems))
        parser.exit(message=f"{value}: {found.holds}, whole\n")
