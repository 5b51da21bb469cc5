"""Does the page of a search show the front, and name as important what is?"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from reports.figures.base import Card
from reports.figures.sweep import importance, sweep_cards
from reports.sweep import main, sweep_page
from simulator.errors import SpaceError
from simulator.results.sweep_result import FINDINGS, POINTS, PROVENANCE, SweepResult
from tests.messages import said
from tests.sample_sweep import HOSTILE, sample_sweep


@pytest.fixture(scope="module")
def result() -> SweepResult:
    return sample_sweep()


def test_the_parameter_that_decides_is_the_important_one(result: SweepResult) -> None:
    shares = importance(result, "latency_ms")
    assert list(shares.index)[:1] == ["a"]
    assert shares["a"] > 0.9
    assert shares["d"] == 0.0
    assert shares["c"] < 0.2
    assert all(0.0 <= share <= 1.0 + 1e-9 for share in shares)


def test_shares_are_those_of_the_variance_explained(result: SweepResult) -> None:
    """Against the definition, spelled out."""
    ok = result.points[result.points["status"] == "ok"]
    values = ok["metric.latency_ms"].to_numpy()
    explained = np.empty_like(values)
    for a in set(ok["parameter.a"]):
        explained[ok["parameter.a"] == a] = values[ok["parameter.a"] == a].mean()
    assert importance(result, "latency_ms")["a"] == pytest.approx(explained.var() / values.var())


def test_cards_hold_the_front_the_points_and_why_some_failed(result: SweepResult) -> None:
    cards = {card.name: card for card in sweep_cards(result)}
    front = next(iter(cards["front"].plots.values())).table
    assert front["point"].tolist() == result.front()["number"].tolist()
    assert len(cards["points"].plots[()].table) == 64
    assert {len(plots) for plots in (cards["effects"].plots, cards["importance"].plots)} == {8, 2}
    outcomes = cards["outcomes"].plots[()].table
    assert outcomes["points"].sum() == (result.points["status"] != "ok").sum()


def test_metrics_that_are_no_objectives_are_drawn_where_they_vary() -> None:
    result = sample_sweep()
    assert len(_card(result).plots) == 1
    result.points["metric.energy_uj"] = result.points["metric.latency_ms"] * 3
    result.points["metric.area_mm2"] = 1.5
    drawn = [*_card(result).plots]
    assert len(drawn) == 2  # the area is the same everywhere
    assert "accuracy" in drawn[1][0].lower()
    assert "energy" in drawn[1][0].lower()


def _card(result: SweepResult) -> Card:
    return next(card for card in sweep_cards(result) if card.name == "front")


def test_the_page_is_whole_and_nothing_in_a_name_becomes_code(result: SweepResult) -> None:
    page = sweep_page(result)
    assert page == sweep_page(sample_sweep())
    assert HOSTILE not in page
    without_plotly = re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", without_plotly)


def test_a_search_without_any_design_has_a_page(result: SweepResult) -> None:
    failed = result.points.assign(status="failed")
    assert "64 failed" in sweep_page(SweepResult(result.provenance, failed))


def test_saved_and_loaded_is_the_same(result: SweepResult, tmp_path: Path) -> None:
    result.save(tmp_path)
    loaded = SweepResult.load(tmp_path)
    assert loaded.points.equals(result.points)
    assert list(loaded.objectives) == ["latency_ms", "accuracy"]
    assert main([str(tmp_path), "--out", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == sweep_page(result)


def test_what_is_no_sweep_is_one_message(
    result: SweepResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "absent"), "--out", str(tmp_path / "page.html")]) == 2
    assert said("a sweep that is not there") in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()
    result.save(tmp_path)
    (tmp_path / POINTS).write_bytes(b"PAR1 no")
    with pytest.raises(SpaceError, match=said("a broken table of points")):
        SweepResult.load(tmp_path)


def test_a_sweep_from_before_its_table_held_the_provenance(
    result: SweepResult, tmp_path: Path
) -> None:
    result = SweepResult(result.provenance, result.points.drop(columns=FINDINGS))
    result.points.to_parquet(tmp_path / POINTS, index=False)
    (tmp_path / PROVENANCE).write_text(json.dumps(result.provenance))
    back = SweepResult.load(tmp_path)
    assert sweep_page(back) == sweep_page(result)
    for content in (b"{}", b"[", b"[" * 100_000, b'{"a": NaN}'):
        (tmp_path / PROVENANCE).write_bytes(content)
        with pytest.raises(SpaceError, match=said("a broken provenance of a sweep")):
            SweepResult.load(tmp_path)


def test_a_provenance_of_an_earlier_table_is_removed(result: SweepResult, tmp_path: Path) -> None:
    """It is of another version; table and provenance change in one step since."""
    (tmp_path / PROVENANCE).write_text(json.dumps({**result.provenance, "stasim": "0.0"}))
    result.save(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == [POINTS]
    assert SweepResult.load(tmp_path).provenance == result.provenance
