"""python -m experiments.column_table: the columns of a result in docs/metrics.md."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from experiments.generated import command, table
from simulator.results.schema import SCHEMAS

PAGE = "docs/metrics.md"


def column_table() -> str:
    """All tables and columns in markdown."""
    rows = []
    for name, schema in SCHEMAS.items():
        rows.append((f"**`{name}`**", "", "", "", f"a row: {schema.meaning}"))
        for column, rule in schema.columns.items():
            mark = " (key)" if column in schema.key else ""
            rows.append(("", f"`{column}`{mark}", rule.dtype, rule.unit, rule.meaning))
    return table(("table", "column", "type", "unit", "meaning"), rows)


def sections() -> dict[str, str]:
    """The table by the name of its markers."""
    return {"columns": f"\n{column_table()}\n"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table or write it."""
    what = "Write the tables and columns of a result, with types, units and meanings."
    return command("experiments.column_table", what, PAGE, sections, arguments)


if __name__ == "__main__":
    sys.exit(main())
