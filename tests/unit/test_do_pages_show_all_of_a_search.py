"""Do the pages name every metric and field of a search, and do the shipped spaces load?"""

from __future__ import annotations

import typing
from pathlib import Path

import pytest

from simulator.config.located_yaml import read_document
from simulator.sweep.metrics import METRICS
from simulator.sweep.space import load_space
from simulator.sweep.space_file import MetricBound, Parameter, Search, SpaceFile

ROOT = Path(__file__).parents[2]
SPACES = ROOT / "arch_configs" / "spaces"


def test_every_metric_is_defined_and_can_be_found() -> None:
    defined = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    section = defined.partition("## Searching a space")[2].partition("\n## ")[0]
    told = (ROOT / "docs" / "tutorials" / "search.md").read_text(encoding="utf-8")
    for name in METRICS:
        assert f"`{name}`" in section
        assert f"`{name}`" in told


def test_every_field_of_a_space_is_told() -> None:
    told = (ROOT / "docs" / "tutorials" / "search.md").read_text(encoding="utf-8")
    for section in (SpaceFile, Parameter, MetricBound, Search):
        for name, info in section.model_fields.items():
            if name not in ("at_least",):
                assert (info.alias or name) in told, name
            assert info.description, name
    for strategy in typing.get_args(Search.model_fields["strategy"].annotation):
        assert f"`{strategy}`" in told


@pytest.mark.parametrize("path", sorted(SPACES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_space_is_one(path: Path) -> None:
    """Those that list traces of their own are checked as files: their traces are not shipped."""
    document = read_document(path)
    assert not document.problems
    if "traces" in document.data:
        assert SpaceFile.model_validate(document.data).traces
    else:
        assert load_space(path, ROOT / "traces" / "mnist.npz").axes
