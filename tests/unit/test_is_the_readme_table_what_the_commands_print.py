"""Is the table of designs in the README what its command prints?"""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.designs import replaced, table

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_table_is_current() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert replaced(text, table(ROOT)) == text
