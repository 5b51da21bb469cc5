"""Prints the table of parts, those of other packages among them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from simulator.command import command
from simulator.components.table import parts_table


@command()
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    argparse.ArgumentParser(
        prog="python -m simulator.components",
        description="Print the table of all parts: their slots, kinds, fields, units, defaults.",
    ).parse_args(arguments)
    print(parts_table())


if __name__ == "__main__":
    sys.exit(main())
