"""Does the table of networks hold every one, with the counts of today?"""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.network_table import row
from tests.docs.pages import ROOT
from tests.models.any_networks import ZOO

TEXT = (ROOT / "docs" / "own_network.md").read_text("utf-8")


def test_every_network_has_a_row() -> None:
    assert [name for name in ZOO if f"\n| {name.replace('_', ' ')} |" not in TEXT] == []


@pytest.mark.parametrize("name", ["windows", "attention_linear", "recurrent"])
def test_a_row_is_what_the_network_takes(name: str, tmp_path: Path) -> None:
    assert f"\n{row(name, tmp_path)}\n" in TEXT
