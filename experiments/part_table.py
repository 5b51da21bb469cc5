"""python -m experiments.part_table: the table of parts in arch_configs/README.md."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from experiments.generated import command
from simulator.components.table import parts_table

PAGE = "arch_configs/README.md"


def sections() -> dict[str, str]:
    """The table by the name of its markers."""
    return {"parts": f"\n{parts_table()}\n"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table or write it."""
    what = "Write the table of all parts: their slots, kinds, fields, units, defaults."
    return command("experiments.part_table", what, PAGE, sections, arguments)


if __name__ == "__main__":
    sys.exit(main())
