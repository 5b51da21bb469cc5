"""docs/stas_on_hardware.md: written from docs/study/*.csv, and from nothing else."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from experiments.study.arithmetic import savings
from experiments.study.page import render

ROOT = Path(__file__).parents[2]
TABLES = ROOT / "docs" / "study"
PAGE = ROOT / "docs" / "stas_on_hardware.md"


def test_the_page_is_what_its_tables_say() -> None:
    assert render(TABLES, PAGE.parent) == PAGE.read_text("utf-8")


def test_the_tables_say_what_the_rates_do() -> None:
    told = pd.read_csv(TABLES / "spikingformer.csv")
    for row, saving in zip(told.itertuples(), savings(), strict=True):
        assert row.of_convolutions == pytest.approx(saving.of_convolutions, rel=1e-5)
        assert row.early_as_macs == pytest.approx(saving.early_as_macs, rel=1e-5)
