"""Prints the table of parts, or keeps the one in arch_configs/README.md current."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simulator.command import command
from simulator.components.table import parts_table, with_table
from simulator.config.staged_file import staged_file
from simulator.errors import ArchitectureError

PAGE = "arch_configs/README.md"


@command()
def main(arguments: Sequence[str] | None = None) -> int:
    """Print, write or check the table; 1 if --check finds an old one."""
    parser = argparse.ArgumentParser(
        prog="python -m simulator.components",
        description="Print the table of all parts: their slots, kinds, fields, units, defaults.",
        epilog="example: python -m simulator.components --check",
    )
    page: dict[str, Any] = {"nargs": "?", "const": PAGE, "metavar": "PAGE"}
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--write", **page, help=f"write the table into PAGE ({PAGE})")
    choice.add_argument("--check", **page, help=f"fail if the table in PAGE ({PAGE}) is old")
    options = parser.parse_args(arguments)
    path = Path(options.write or options.check or PAGE)
    if not options.write and not options.check:
        print(parts_table())
        return 0
    try:
        old = path.read_text(encoding="utf-8")
        new = with_table(old)
        if options.check and old != new:
            print(f"{path}: the table is old: python -m simulator.components --write {path}")
            return 1
        if old != new:
            with staged_file(path) as file:
                file.write(new.encode())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ArchitectureError(f"{path}: {reason}") from None
    return 0


if __name__ == "__main__":
    sys.exit(main())
