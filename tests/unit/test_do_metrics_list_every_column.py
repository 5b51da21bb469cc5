"""docs/metrics.md lists the tables, columns and stall causes as they are."""

from __future__ import annotations

import re
from pathlib import Path

from experiments.column_table import column_table, sections
from experiments.generated import read_page
from simulator.results.schema import CAUSES, CONVENTIONS, SCHEMAS

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_the_table_of_columns_is_current() -> None:
    assert read_page(PAGE, sections()) == TEXT, "run: python -m experiments.column_table --write"


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
