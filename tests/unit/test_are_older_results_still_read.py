"""Is a result that was saved before a column existed still read?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulator.errors import ResultError
from simulator.results.result import SCHEMAS, Result
from simulator.results.schema import Column
from simulator.results.summary import summary
from simulator.results.terminal import terminal_table
from tests.messages import said
from tests.sample_result import PEAK, sample_result

FIRST_COLUMNS = {
    "images": "image image_id label prediction latency_cycles latency_ms useful_accumulations "
    "utilization pe_occupancy dram_bytes dynamic_energy_pj leakage_energy_pj energy_pj "
    "energy_delay_pj_ms active_tokens token_slots floor_cycles ceiling_cycles",
    "layers": "image layer stage block kind first_start_cycle last_finish_cycle pe_busy_cycles "
    "vector_busy_cycles dram_busy_cycles useful_accumulations rows live_rows dram_bytes energy_pj",
    "units": "image unit servers busy_cycles occupancy",
    "stalls": "image cause stall_cycles",
    "layer_stalls": "image layer cause stall_cycles",
    "actions": "image layer part action count energy_pj",
    "prices": "part action meaning energy_pj source",
    "leakage": "part power_uw source",
    "active_tokens": "image timestep block active_tokens tokens",
    "field_energy": "image stage convention macs acs energy_pj",
}
"""The columns of stasim-result/1 as it was first written, without the optional tables."""


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    """A result of today without the tables and columns that came later."""
    data = json.loads(sample_result().to_json())
    data["tables"] = {
        name: {column: data["tables"][name][column] for column in columns.split()}
        for name, columns in FIRST_COLUMNS.items()
    }
    # Utilization was of useful accumulations, the peak one of logical operations.
    images = data["tables"]["images"]
    images["utilization"] = [
        useful / (PEAK * cycles)
        for useful, cycles in zip(
            images["useful_accumulations"], images["latency_cycles"], strict=True
        )
    ]
    path = tmp_path / "result.json"
    path.write_text(json.dumps(data))
    return path


def test_the_first_results_are_read(old_file: Path) -> None:
    result = Result.load(old_file)
    result.check()
    assert result.images == 3
    told = summary(result)
    assert told["logical_speedup"] is None
    assert {layer["input_rate"] for layer in told["layers"]} == {None}
    for name in ("images", "layers"):
        table = result.tables[name]
        assert table["additions"].tolist() == table["useful_accumulations"].tolist()
    assert "useful accumulations an addition" not in terminal_table(result)


@pytest.mark.parametrize(
    "column", [Column("int64", "", "new", default=7), Column("str", "", "new", default="none")]
)
def test_a_new_column_takes_its_default(
    old_file: Path, monkeypatch: pytest.MonkeyPatch, column: Column
) -> None:
    monkeypatch.setitem(SCHEMAS["layers"].columns, "new", column)
    layers = Result.load(old_file).tables["layers"]
    assert list(layers.columns)[-1] == "new"
    assert set(layers["new"]) == {column.default}
    # The default must keep the column's own rules, and a written value is kept.
    data = json.loads(old_file.read_text())
    data["tables"]["layers"]["new"] = layers["new"].tolist()
    data["tables"]["layers"]["new"][0] = 8 if column.dtype == "int64" else "some"
    old_file.write_text(json.dumps(data))
    assert Result.load(old_file).tables["layers"]["new"][0] in (8, "some")


def test_a_column_without_default_is_asked_for(
    old_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SCHEMAS["layers"].columns, "new", Column("int64", "", "new"))
    with pytest.raises(ResultError, match=said("a new column without a default")):
        Result.load(old_file)


def test_an_empty_table_takes_a_new_column_too(
    old_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SCHEMAS["pictures"].columns, "new", Column("int64", "", "new", default=1))
    assert len(Result.load(old_file).tables["pictures"]) == 0
