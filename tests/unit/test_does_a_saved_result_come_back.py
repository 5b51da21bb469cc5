"""A result is the same after saving, loading, splitting and joining, and is saved whole or not."""

from __future__ import annotations

import csv
import errno
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ResultError
from simulator.results.result import SCHEMAS, Result, merge
from tests.messages import refused, said
from tests.sample_result import provenance, sample_result

FILES = {"manifest.json", "result.json", *(f"{name}.csv" for name in SCHEMAS)}


def _column(rule: Any) -> st.SearchStrategy[Any]:
    if rule.choices:
        return st.sampled_from(rule.choices)
    if rule.pattern:
        return st.from_regex(rule.pattern, fullmatch=True)
    if rule.dtype == "str":
        return st.text(max_size=8)
    if rule.dtype == "int64":
        return st.integers(rule.minimum, 2**63 - 1)
    return st.floats(0, allow_nan=False, allow_infinity=False)


@st.composite
def results(draw: st.DrawFn) -> Result:
    """Any result with few rows; the sums need not agree."""
    tables = {}
    for name, schema in SCHEMAS.items():
        size = 2 if name in ("images", "prices") else draw(st.integers(0, 2))
        columns = {
            column: draw(st.lists(_column(rule), min_size=size, max_size=size))
            for column, rule in schema.columns.items()
        }
        if schema.per_image:
            columns["image"] = [0, 3][:size]
        if name in ("actions", "prices", "stream_savings"):
            columns |= {"part": ["a", "b"][:size], "action": ["read", "write"][:size]}
        elif name == "leakage":
            columns["part"] = ["a", "b"][:size]
        elif name.startswith("stream"):
            columns[schema.key[0]] = (["a", "b"] if name == "stream_units" else [0, 7])[:size]
        tables[name] = pd.DataFrame(columns)
    told = provenance("simpy", "random", 1, 1)
    told["command"] = draw(st.text())
    return Result(told, tables)


@settings(max_examples=40)
@given(results())
def test_any_result_comes_back_equal(result: Result) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out"
        result.save(path)
        back = Result.load(path)
    assert back == result
    assert back.to_json() == result.to_json()
    for name, table in result.tables.items():
        assert [*back.tables[name].dtypes] == [*table.dtypes]


def test_extreme_numbers_come_back_exactly(tmp_path: Path) -> None:
    result = sample_result()
    result.tables["images"].loc[0, "useful_accumulations"] = 2**63 - 1
    result.tables["images"].loc[0, "energy_pj"] = 5e-324
    result.tables["images"].loc[1, "energy_pj"] = 0.1 + 0.2
    result.save(tmp_path / "out")
    images = Result.load(tmp_path / "out" / "result.json").tables["images"]
    assert images.loc[0, "useful_accumulations"] == 2**63 - 1
    assert images["energy_pj"].tolist()[:2] == [5e-324, 0.1 + 0.2]


def test_the_csv_files_hold_the_same_numbers(tmp_path: Path) -> None:
    result = sample_result()
    result.save(tmp_path / "out")
    assert {file.name for file in (tmp_path / "out").iterdir()} == FILES
    for name, table in result.tables.items():
        with open(tmp_path / "out" / f"{name}.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == len(table)
        for column, rule in SCHEMAS[name].columns.items():
            of_type = {"int64": int, "float64": float, "str": str}[rule.dtype]
            assert [of_type(row[column]) for row in rows] == table[column].tolist()


def test_two_engines_differ_in_their_name_only() -> None:
    numba, simpy = sample_result(engine="numba"), sample_result(engine="simpy")
    assert numba != simpy
    assert numba.to_json().replace('"engine": "numba"', '"engine": "simpy"') == simpy.to_json()


def test_a_result_does_not_follow_what_happens_to_the_tables_it_was_made_of() -> None:
    source = sample_result()
    copy = Result(source.provenance, source.tables)
    source.tables["images"].loc[0, "latency_cycles"] = 1
    source.provenance["engine"] = "other"
    assert copy == sample_result()


def test_parts_of_several_workers_join_in_the_order_of_the_images() -> None:
    whole = sample_result(range(4))
    parts = [sample_result([3, 1]), sample_result([0]), sample_result([2])]
    assert merge(parts) == whole
    assert merge(parts).to_json() == whole.to_json()
    assert merge([whole]) == whole


def test_parts_that_do_not_belong_together_are_refused() -> None:
    with refused(ResultError, "merge"):
        merge([])
    with refused(ResultError, "merge", "part 1", "provenance"):
        merge([sample_result([0]), sample_result([1], engine="simpy")])
    with pytest.raises(ResultError, match=said("an image twice")):
        merge([sample_result([0, 1]), sample_result([1])])
    other = sample_result([1])
    other.tables["prices"].loc[0, "energy_pj"] = 7.0
    with refused(ResultError, "merge", "part 1", "prices"):
        merge([sample_result([0]), other])


def test_an_earlier_result_is_replaced_and_its_neighbours_stay(tmp_path: Path) -> None:
    sample_result(range(3)).save(tmp_path / "out")
    (tmp_path / "out" / "page.html").write_text("mine")
    sample_result(range(1)).save(tmp_path / "out")
    assert Result.load(tmp_path / "out").images == 1
    assert (tmp_path / "out" / "page.html").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_empty_folder_and_a_missing_one_are_filled(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "new" / "deep"):
        sample_result().save(folder)
        assert Result.load(folder) == sample_result()


@pytest.mark.parametrize("name", ["notes.txt", "result.json", "images.csv"])
def test_a_folder_with_other_things_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"mine": 1}')
    with pytest.raises(ResultError, match=said("a folder with other things")):
        sample_result().save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == '{"mine": 1}'


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ResultError, match=said("a file for a folder")):
        sample_result().save(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("fails_after", [0, 3, 10])
def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: bool, fails_after: int
) -> None:
    folder = tmp_path / "out"
    if earlier:
        sample_result(range(1)).save(folder)
    done = []

    def fsync(descriptor: int) -> None:
        done.append(descriptor)
        if len(done) > fails_after:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with refused(ResultError, folder, rule=os.strerror(errno.ENOSPC)):
        sample_result(range(2)).save(folder)
    assert [path.name for path in tmp_path.iterdir()] == (["out"] if earlier else [])
    if earlier:
        assert Result.load(folder) == sample_result(range(1))


def _broken(tmp_path: Path, text: str) -> str:
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(ResultError) as caught:
        Result.load(path)
    message = str(caught.value)
    assert all(line.startswith(str(path)) for line in message.splitlines())
    return message


def test_broken_files_give_one_message(tmp_path: Path) -> None:
    text = sample_result().to_json()
    assert "not a whole result" in _broken(tmp_path, text[:-100])
    assert "not a whole result" in _broken(tmp_path, "[" * 100_000)
    assert "must hold provenance and tables" in _broken(tmp_path, "[]")
    assert "stands twice" in _broken(tmp_path, '{"provenance": 1, "provenance": 2}')
    assert "NaN is no number" in _broken(tmp_path, '{"provenance": NaN}')
    data = json.loads(text)
    data["tables"]["images"]["image"].append(7)
    assert "images: columns must be equally long" in _broken(tmp_path, json.dumps(data))
    data = json.loads(text)
    data["provenance"]["schema"] = "stasim-result/2"
    assert "must be 'stasim-result/1'" in _broken(tmp_path, json.dumps(data))
    data = json.loads(text)
    data["tables"]["images"]["latency_cycles"][1] = 2.5
    assert "images.latency_cycles: row 1: 2.5: must be int64" in _broken(tmp_path, json.dumps(data))


def test_a_result_from_before_an_optional_table_is_read(tmp_path: Path) -> None:
    data = json.loads(sample_result().to_json())
    for name in ("token_masks", "pictures"):
        del data["tables"][name]
    path = tmp_path / "result.json"
    path.write_text(json.dumps(data))
    old = Result.load(path)
    old.check()
    assert [len(old.tables[name]) for name in ("token_masks", "pictures")] == [0, 0]
    assert Result.load(path) == old


@pytest.mark.parametrize(
    ("where", "file"),
    [("missing", "missing"), ("binary", "binary"), ("folder", "folder/result.json")],
)
def test_what_is_no_result_gives_one_message(tmp_path: Path, where: str, file: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with refused(ResultError, tmp_path / file):
        Result.load(tmp_path / where)


def test_numpy_numbers_are_taken_by_their_own_type() -> None:
    source = sample_result()
    images = source.tables["images"].astype({"image": np.int32, "label": np.uint8})
    assert Result(source.provenance, {**source.tables, "images": images}) == source
