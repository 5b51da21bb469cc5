"""A result names table, column and rule of everything that is wrong with it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from simulator.errors import ResultError
from simulator.results.result import SCHEMAS, Result
from tests.messages import cases, said
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


@cases("false_value")
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
    assert said("a table almost right") in lines[0]
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


@cases("a_sum_that_is_off_by_one_is_found")
def test_a_sum_that_is_off_by_one_is_found(table: str, column: str, message: str) -> None:
    result = sample_result()
    result.check()
    _add_to_first(result.tables[table], column, 1)
    with pytest.raises(ResultError) as caught:
        result.check()
    assert message in str(caught.value)


@cases("a_mask_that_is_not_the_active_tokens_is_found")
def test_a_mask_that_is_not_the_active_tokens_is_found(mask: str, message: str) -> None:
    result = sample_result()
    result.tables["token_masks"].loc[0, "active_hex"] = mask
    with pytest.raises(ResultError) as caught:
        result.check()
    assert message in str(caught.value)


@cases("text_of_another_form")
def test_a_text_of_another_form_is_refused(
    table: str, column: str, text: str, message: str
) -> None:
    source = sample_result()
    source.tables[table].loc[0, column] = text
    with pytest.raises(ResultError, match=message):
        Result(source.provenance, source.tables)


@pytest.mark.parametrize("column", ["floor_cycles", "ceiling_cycles"])
def test_a_latency_outside_its_bounds_is_found(column: str) -> None:
    result = sample_result()
    images = result.tables["images"]
    images[column] = images["latency_cycles"] + (1 if column == "floor_cycles" else -1)
    with pytest.raises(ResultError, match=said("a latency outside its bounds")):
        result.check()


def test_more_live_rows_than_rows_are_found() -> None:
    result = sample_result()
    _add_to_first(result.tables["layers"], "live_rows", 10_000)
    with pytest.raises(ResultError, match=said("more live rows than rows")):
        result.check()


def test_every_column_says_what_it_is() -> None:
    for name, schema in SCHEMAS.items():
        assert set(schema.key) <= set(schema.columns), name
        assert all(column.meaning for column in schema.columns.values()), name
