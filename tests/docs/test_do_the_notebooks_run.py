"""Do the notebooks run from top to bottom, and do they show what their text says?"""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[2] / "docs" / "notebooks"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_network_of_five_minutes_fires() -> None:
    shown = runpy.run_path(str(NOTEBOOKS / "five_minutes.py"))
    assert shown["trace"].manifest["capture"]["proof"]["flop_counter"] == "equal"
    rates = shown["firing"].rate
    assert len(rates) == 4
    assert rates.min() > 0.02
    assert shown["result"].provenance["architecture"]["clock_mhz"] == 800


def test_two_designs_differ_as_their_page_says() -> None:
    shown = runpy.run_path(str(NOTEBOOKS / "two_designs.py"))
    table = shown["comparison"].table.set_index("design")
    assert table.loc["sparse", "latency (ms)"] < table.loc["dense", "latency (ms)"]
    assert shown["gap"].iloc[0] > 0
    # The rarer the ones, the more an array wins that skips zeros.
    ranked = shown["why"].dropna().rank()
    assert ranked.input_rate.corr(ranked["dense / sparse"]) < -0.5


def test_every_cell_says_what_it_is() -> None:
    for path in NOTEBOOKS.glob("*.py"):
        lines = path.read_text("utf-8").splitlines()
        assert lines[0] == "# %% [markdown]"
        assert lines[1].startswith("# # ")
