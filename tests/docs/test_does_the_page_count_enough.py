"""Does the page of reliability count enough faults, of every kind that the laboratory tries?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.reliability import counted

ROOT = Path(__file__).parents[2]
FAULTS = ROOT / "tests" / "faults"


def test_the_page_counts_enough_of_every_kind() -> None:
    counts = counted((ROOT / "docs" / "reliability.md").read_text("utf-8"))
    if not counts:
        pytest.skip("no complete run of the laboratory was recorded: make reliability")
    assert sum(n for kind, n in counts.items() if kind.startswith("damaged ")) >= 1000
    assert sum(n for kind, n in counts.items() if kind.startswith("kill ")) >= 100
    tried = "\n".join(path.read_text("utf-8") for path in FAULTS.glob("test_*.py"))
    names = set(re.findall(r'survived\(\s*f?"([^"({]+?)(?: \(\{[^"]*)?"', tried))
    assert names
    for name in names:
        assert any(kind.startswith(name) for kind in counts), name
