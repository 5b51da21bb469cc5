"""docs/metrics.md lists the tables, columns and stall causes as they are."""

from __future__ import annotations

import re
from pathlib import Path

from simulator.results.schema import CAUSES, CONVENTIONS, SCHEMAS, column_table, with_columns

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_the_table_of_columns_is_current() -> None:
    assert with_columns(TEXT) == TEXT, "run: python -m simulator.results.schema docs/metrics.md"


def test_the_table_holds_every_column() -> None:
    lines = column_table().splitlines()
    assert len(lines) == 2 + sum(1 + len(schema.columns) for schema in SCHEMAS.values())


def test_every_cause_and_convention_is_explained() -> None:
    for name in (*CAUSES, *CONVENTIONS):
        assert f"| `{name}` |" in TEXT


def test_every_column_that_the_text_names_exists() -> None:
    own = TEXT.partition("## All columns")[0]
    named = re.findall(r"`(\w+)\.(\w+)`", own)
    assert named
    for table, column in named:
        if table != "result":
            assert column in SCHEMAS[table].columns, f"{table}.{column}"
