"""A result names table, column and rule of everything that is wrong with it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from simulator.errors import ResultError
from simulator.results.result import SCHEMAS, Result
from tests.sample_result import sample_result


def _problem(**tables: pd.DataFrame) -> str:
    source = sample_result()
    with pytest.raises(ResultError) as caught:
        Result(source.provenance, {**source.tables, **tables})
    return str(caught.value)


def _with(table: str, column: str, values: list[Any]) -> str:
    frame = sample_result().tables[table].copy()
    frame[column] = pd.Series(values + frame[column].tolist()[len(values) :], dtype=object)
    return _problem(**{table: frame})


def _add_to_first(table: pd.DataFrame, column: str, more: int) -> None:
    values = table[column].to_numpy(copy=True)
    values[0] += more
    table[column] = values


@pytest.mark.parametrize(
    ("table", "column", "value", "message"),
    [
        ("images", "latency_cycles", 1.5, "images.latency_cycles: row 0: 1.5: must be int64"),
        ("images", "latency_cycles", 0, "row 0: 0: must be a finite number of 1 or more"),
        ("images", "latency_cycles", 2**63, "must fit into 64 bits"),
        ("images", "latency_cycles", True, "must be int64"),
        ("images", "latency_cycles", None, "row 0: null: must be int64"),
        ("images", "label", -2, "images.label: row 0: -2: must be a finite number of -1 or more"),
        ("images", "energy_pj", float("nan"), "must be a finite number of 0 or more"),
        ("images", "energy_pj", float("inf"), "must be a finite number of 0 or more"),
        ("images", "energy_pj", "3", 'images.energy_pj: row 0: "3": must be float64'),
        ("images", "image_id", 3, "images.image_id: row 0: 3: must be str"),
        ("stalls", "cause", "vector_unt", "did you mean 'vector_unit'?"),
        ("field_energy", "convention", "integers", "known: integers_as_acs, integers_as_macs"),
        ("stalls", "image", 9, "stalls.image: [9]: must be listed in the table images"),
        ("actions", "action", "fly", "actions.action: pe_array.fly: must be listed in the table"),
        ("images", "image", 1, "images.image: [1]: stands twice"),
    ],
)
def test_a_wrong_value_is_named(table: str, column: str, value: Any, message: str) -> None:
    told = _with(table, column, [value])
    assert message in told
    assert len(told.splitlines()) == 1


def test_missing_and_unknown_tables_and_columns_are_told_together() -> None:
    source = sample_result()
    tables = {name: table for name, table in source.tables.items() if name != "units"}
    tables["stals"] = tables["stalls"]
    tables["prices"] = tables["prices"].drop(columns="source").assign(sourse="x")
    with pytest.raises(ResultError) as caught:
        Result(source.provenance, tables)
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    assert "stals: unknown table (did you mean 'stalls'?" in lines[0]
    assert "units: table is missing" in lines
    assert "prices.source: column is missing" in lines
    assert any(line.startswith("prices.sourse: unknown column") for line in lines)


def test_a_run_without_images_is_no_result() -> None:
    empty = {name: table.iloc[:0] for name, table in sample_result().tables.items()}
    assert _problem(**empty) == "images: must hold at least one image"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("schema", "stasim-trace/1", "must be 'stasim-result/1'"),
        ("engine", None, "provenance: engine: null: must be a str"),
        ("architecture.clock_mhz", 0, "architecture.clock_mhz: 0: must be a number above 0"),
        ("architecture.clock_mhz", True, "must be a number above 0"),
        ("architecture.clock_mhz", 10**400, "must be a number above 0 (1e-12 to 1e15)"),
        ("architecture.clock_mhz", 1e-320, "must be a number above 0 (1e-12 to 1e15)"),
        ("architecture.roofline", {}, "roofline.dram_bytes_per_cycle: null"),
        ("trace.weights.origin", "guessed", "known: calibrated, random, trained"),
        ("trace.weights.accuracy", {"test_top1": 0.9}, "only trained weights have one"),
        ("versions", {"python": float("nan")}, "must be plain JSON with finite numbers"),
        ("versions", {"python": {1}}, "must be plain JSON with finite numbers"),
    ],
)
def test_a_wrong_provenance_is_named(path: str, value: Any, message: str) -> None:
    result = sample_result()
    target: Any = result.provenance
    *names, last = path.split(".")
    for name in names:
        target = target[name]
    target[last] = value
    with pytest.raises(ResultError) as caught:
        Result(result.provenance, result.tables)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("table", "column", "message"),
    [
        ("images", "latency_cycles", "must sum to latency_cycles"),
        ("images", "useful_accumulations", "must be the sum"),
        ("images", "dram_bytes", "must be the sum"),
        ("images", "active_tokens", "must be the sum"),
        ("images", "dynamic_energy_pj", "must be the actions'"),
        ("images", "leakage_energy_pj", "images.leakage_energy_pj: image 0"),
        ("images", "energy_pj", "images.energy_pj: image 0"),
        ("images", "utilization", "images.utilization: image 0"),
        ("images", "latency_ms", "images.latency_ms: image 0"),
        ("images", "energy_delay_pj_ms", "images.energy_delay_pj_ms: image 0"),
        ("layers", "pe_busy_cycles", "must sum to latency_cycles"),
        ("layers", "energy_pj", "layers.energy_pj: image 0, sps.0.conv"),
        ("stalls", "stall_cycles", "must sum to latency_cycles"),
        ("layer_stalls", "stall_cycles", "layer_stalls.stall_cycles: image 0, dram_weights"),
        ("actions", "count", "actions.energy_pj: image 0, sps.0.conv, pe_array.accumulate"),
        ("prices", "energy_pj", "actions.energy_pj"),
        ("leakage", "power_uw", "images.leakage_energy_pj"),
        ("active_tokens", "tokens", "images.token_slots"),
    ],
)
def test_a_sum_that_is_off_by_one_is_found(table: str, column: str, message: str) -> None:
    result = sample_result()
    result.check()
    _add_to_first(result.tables[table], column, 1)
    with pytest.raises(ResultError) as caught:
        result.check()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ("ff" * 8 + "01", "token_masks.active_hex: image 0, timestep 0, block 0: 65 tokens"),
        ("ff" * 8 + "00", "9 bytes: must hold a bit for each of 64 tokens"),
    ],
)
def test_a_mask_that_is_not_the_active_tokens_is_found(mask: str, message: str) -> None:
    result = sample_result()
    result.tables["token_masks"].loc[0, "active_hex"] = mask
    with pytest.raises(ResultError) as caught:
        result.check()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("table", "column", "text"),
    [
        ("token_masks", "active_hex", "fff"),
        ("token_masks", "active_hex", "FF"),
        ("pictures", "png_base64", "x' onload='y"),
        ("pictures", "png_base64", "AAAA\n"),
    ],
)
def test_a_text_of_another_form_is_refused(table: str, column: str, text: str) -> None:
    source = sample_result()
    source.tables[table].loc[0, column] = text
    with pytest.raises(ResultError, match=rf"{table}\.{column}: row 0: .*: must match"):
        Result(source.provenance, source.tables)


@pytest.mark.parametrize("column", ["floor_cycles", "ceiling_cycles"])
def test_a_latency_outside_its_bounds_is_found(column: str) -> None:
    result = sample_result()
    images = result.tables["images"]
    images[column] = images["latency_cycles"] + (1 if column == "floor_cycles" else -1)
    with pytest.raises(ResultError, match=r"must be floor_cycles \d+ to ceiling_cycles \d+"):
        result.check()


def test_more_live_rows_than_rows_are_found() -> None:
    result = sample_result()
    _add_to_first(result.tables["layers"], "live_rows", 10_000)
    with pytest.raises(ResultError, match=r"layers\.live_rows: image 0: must be at most rows"):
        result.check()


def test_every_column_says_what_it_is() -> None:
    for name, schema in SCHEMAS.items():
        assert set(schema.key) <= set(schema.columns), name
        assert all(column.meaning for column in schema.columns.values()), name
