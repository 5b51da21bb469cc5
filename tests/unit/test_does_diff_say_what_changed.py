"""The difference of two results is exact, sorted by contribution, and says what was changed."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from reports.diff import changes, headline, main, paired, provenance_changes, text
from simulator.results.result import Result
from tests.sample_result import PRICES, sample_result

CHEAPER = ("pe_array", "accumulate")


@pytest.fixture
def one() -> Result:
    return sample_result()


@pytest.fixture
def other() -> Result:
    """The same machine with accumulations at half the price, and 5 stall cycles more."""
    result = sample_result()
    tables = result.tables
    actions = tables["actions"]
    cheap = (actions["part"] == CHEAPER[0]) & (actions["action"] == CHEAPER[1])
    actions.loc[cheap, "energy_pj"] /= 2
    saved = sample_result().tables["actions"]["energy_pj"] - actions["energy_pj"]
    for column in ("dynamic_energy_pj", "energy_pj"):
        tables["images"][column] -= saved.groupby(actions["image"]).sum()
    by_layer = saved.groupby([actions["image"], actions["layer"]]).sum()
    keys = zip(tables["layers"]["image"], tables["layers"]["layer"], strict=True)
    tables["layers"]["energy_pj"] -= [by_layer.get(key, 0.0) for key in keys]
    layer_stalls = tables["layer_stalls"]
    longer = (layer_stalls["layer"] == "sps.0.conv") & (layer_stalls["cause"] == "dram_weights")
    layer_stalls.loc[longer, "stall_cycles"] += 5
    result.provenance["architecture"]["document"]["clock_mhz"] = 501
    return result


def test_every_view_sums_to_the_whole_change(one: Result, other: Result) -> None:
    for change in changes(one, other):
        a, b = change.entire
        assert sum(row[3] for row in change.rows) == pytest.approx(b - a)
        assert [row[3] for row in change.rows] == [row[2] - row[1] for row in change.rows]
        sizes = [abs(row[3]) for row in change.rows]
        assert sizes == sorted(sizes, reverse=True)
        if a != b:
            assert math.fsum(row[4] for row in change.rows) == pytest.approx(1)


def test_wholes_are_those_of_the_images(one: Result, other: Result) -> None:
    wholes = {change.title: change.entire for change in changes(one, other)}
    for position, result in enumerate((one, other)):
        images = result.tables["images"]
        for name in ("Energy by part", "Energy by action", "Energy by layer"):
            assert wholes[name][position] == pytest.approx(images["energy_pj"].mean() / 1e6)
        dram = images["dram_bytes"].mean() / 1e6
        assert wholes["DRAM traffic by layer"][position] == pytest.approx(dram)
    latency = one.tables["images"]["latency_cycles"].mean()
    for name in ("Latency by cause", "Latency by layer"):
        assert wholes[name] == pytest.approx((latency, latency + 5))


def test_what_was_changed_comes_first(one: Result, other: Result) -> None:
    first = {change.title: change.rows[0] for change in changes(one, other)}
    assert first["Energy by part"][0] == "pe_array"
    assert first["Energy by action"][0] == "pe_array.accumulate"
    assert first["Energy by action"][2] == pytest.approx(first["Energy by action"][1] / 2)
    assert first["Latency by layer"][0] == "sps.0.conv"
    assert first["Latency by cause"][0] == "dram_weights"
    assert first["Latency by cause"][3:] == pytest.approx((5, 1))


def test_no_change_is_no_change(one: Result) -> None:
    for change in changes(one, one):
        assert all(row[3] == row[4] == 0 for row in change.rows)
    assert provenance_changes(one, one) == []
    assert "   the same" in text(one, one, 10)
    assert "!" not in text(one, one, 10)


def test_an_entry_of_one_result_only_is_zero_in_the_other(one: Result) -> None:
    rows = {row[0]: row for row in changes(sample_result(blocks=1), one)[1].rows}
    assert rows["blocks.1.mlp"][1] == 0
    assert rows["blocks.1.mlp"][2] > 0


def test_the_text_tells_origin_wholes_and_warnings(one: Result, other: Result) -> None:
    shown = text(one, other, 2)
    assert "clock_mhz: 500 -> 501" in shown
    assert max(map(len, shown.splitlines())) <= 110
    assert shown.count("others)") >= 4
    fewer = sample_result(range(1))
    fewer.provenance["trace"]["content_hash"] = "sha256:other"
    a, b, left_out = paired(one, fewer)
    shown = text(a, b, 2, left_out)
    assert "The traces differ" in shown
    assert "left out: 2 of A, 0 of B" in shown


def test_json_holds_the_same(
    one: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one.save(tmp_path / "a")
    sample_result(range(1)).save(tmp_path / "b")
    assert main([str(tmp_path / "a"), str(tmp_path / "b"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    expected = headline(sample_result(range(1)), sample_result(range(1)))
    assert [(row["name"], row["a"], row["b"]) for row in told["headline"]] == expected
    assert len(told["views"][3]["rows"]) == len(PRICES) + 1


@pytest.mark.parametrize(("words", "message"), [(["--rows", "0"], "--rows is 0"), ([], "absent")])
def test_bad_input_is_one_message(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "absent"), str(tmp_path / "b"), *words]) == 2
    told = capsys.readouterr()
    assert message in told.err
    assert told.out == ""
