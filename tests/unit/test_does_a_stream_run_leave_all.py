"""A run with --arrivals leaves the stream in its result, summary, page and timeline."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from simulator.errors import ResultError
from simulator.results.result import Result
from simulator.results.stream import queue_of
from simulator.results.summary import summary
from simulator.results.terminal import terminal_table
from simulator.run import main
from tests.factories import tiny_trace
from tests.messages import cases, said

ROOT = Path(__file__).parents[2]
ARCH = str(ROOT / "arch_configs" / "sparse_pe.yaml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 12 images of a trace of 3, two in flight, as files."""
    folder = tmp_path_factory.mktemp("stream")
    trace = str(tiny_trace(folder / "tiny.npz", images=3))
    words = ["--arch", ARCH, "--trace", trace, "--out", str(folder / "out")]
    stream = ["--arrivals", "poisson:50000,seed=1,images=12", "--in-flight", "2"]
    assert main([*words, *stream, "--timeline", str(folder / "timeline.json")]) == 0
    return folder


@pytest.fixture(scope="module")
def result(folder: Path) -> Result:
    return Result.load(folder / "out")


def test_the_result_holds_every_image_of_the_stream(result: Result) -> None:
    result.check()
    stream = result.tables["stream"]
    assert stream["position"].tolist() == list(range(12))
    assert stream["image"].tolist() == [0, 1, 2] * 4
    assert result.provenance["stream"] == {
        "arrivals": "poisson:50000,seed=1,images=12",
        "open": True,
        "images": 12,
        "in_flight": 2,
    }
    assert len(result.tables["images"]) == 3
    assert "--arrivals poisson:50000,seed=1,images=12" in result.provenance["command"]
    assert "--set dataflow.images_in_flight=2" in result.provenance["command"]


def test_the_summary_follows_from_the_tables(result: Result) -> None:
    facts, stream = summary(result)["stream"], result.tables["stream"]
    duration = stream["finish_cycle"].max() - stream["arrival_cycle"][0]
    per_ms = result.provenance["architecture"]["clock_mhz"] * 1e3
    assert facts["throughput_images_per_s"] == pytest.approx(12 / (duration / per_ms / 1e3))
    means = {name: facts[f"{name}_ms"]["mean"]["value"] for name in ("latency", "queueing")}
    assert means["latency"] == pytest.approx(stream["latency_cycles"].mean() / per_ms)
    assert facts["waiting_mean"] == pytest.approx(stream["queueing_cycles"].sum() / duration)
    queue = result.tables["stream_queue"]
    areas = (queue[["waiting", "in_flight"]].T * np.diff(queue["cycle"], append=0)).T[:-1].sum()
    assert facts["waiting_mean"] == pytest.approx(areas["waiting"] / duration)
    assert facts["in_flight_mean"] == pytest.approx(areas["in_flight"] / duration)
    power_uw = result.tables["leakage"]["power_uw"].sum()
    leakage_uj = power_uw * duration / per_ms * 1e-3 / 12
    assert facts["leakage_energy_uj"] == pytest.approx(leakage_uj)
    # Weights that stay are loaded by the first image alone.
    saved = result.tables["stream_savings"]
    price_pj = result.tables["prices"].set_index(["part", "action"])["energy_pj"]
    each_pj = [price_pj[key] for key in zip(saved["part"], saved["action"], strict=True)]
    saved_uj = (saved["count"] * each_pj).sum() / 12 / 1e6
    assert saved_uj > 0
    dynamic = result.tables["images"]["dynamic_energy_pj"].mean() / 1e6
    assert facts["dynamic_energy_uj"] == pytest.approx(dynamic - saved_uj)
    assert facts["energy_uj"] == pytest.approx(facts["dynamic_energy_uj"] + leakage_uj)
    text = terminal_table(result)
    for words in ("12 images, at most 2 in flight", "queueing", "the idle machine's included"):
        assert words in text
    assert max(map(len, text.splitlines())) <= 100
    (mean,) = [line for line in text.splitlines() if line.startswith("  mean ")]
    assert len(re.findall(r"\S+ \[\S+, \S+\](?: |$)", mean)) == 3
    assert "DRAM ddr4_x16" in " ".join(text.split())


def test_the_page_shows_the_stream(folder: Path) -> None:
    assert "The stream" in (folder / "out" / "page.html").read_text(encoding="utf-8")


def test_the_timeline_begins_with_the_stream(folder: Path, result: Result) -> None:
    events = json.loads((folder / "timeline.json").read_text())["traceEvents"]
    runs = [event for event in events if event["ph"] == "X" and event["pid"] == 1]
    assert len(runs) == 12
    stream = result.tables["stream"].sort_values(["place", "position"])
    assert [event["ts"] * 1000 for event in runs] == pytest.approx(stream["start_cycle"].tolist())
    assert {event["name"] for event in events if event["ph"] == "C" and event["pid"] == 1} == {
        "waiting (images)",
        "in flight (images)",
    }


@cases("a_table_that_contradicts_the_others_is_refused")
def test_a_table_that_contradicts_the_others_is_refused(
    result: Result, table: str, column: str, message: str
) -> None:
    tables = {name: result.tables[name].copy() for name in result.tables}
    values = tables[table][column].to_numpy().copy()
    values[3] += 1
    tables[table][column] = values
    with pytest.raises(ResultError, match=message):
        Result(result.provenance, tables).check()


def test_more_in_flight_than_stated_is_refused(result: Result) -> None:
    stated = result.provenance["stream"] | {"in_flight": 1}
    provenance = result.provenance | {"stream": stated}
    with pytest.raises(ResultError, match=said("more in flight than stated")):
        Result(provenance, result.all_columns()).check()


def test_a_machine_for_several_images_runs_a_closed_stream(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--arch", ARCH, "--trace", str(folder / "tiny.npz"), "--json"]
    capsys.readouterr()
    assert main([*words, "--set", "dataflow.images_in_flight=3"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["provenance"]["stream"]["arrivals"] == "closed"
    assert facts["tables"]["stream"]["queueing_cycles"] == [0, 0, 0]
    assert main(words) == 0
    facts = json.loads(capsys.readouterr().out)
    assert "stream" not in facts["provenance"]
    assert facts["tables"]["stream"]["position"] == []


def test_a_queue_changes_only_where_something_does() -> None:
    cycles = [np.array(column) for column in ([0, 2, 2], [0, 5, 9], [5, 9, 9])]
    queue = queue_of(*cycles)
    rows = list(zip(*(column.tolist() for column in queue.values()), strict=True))
    # At cycle 9 the last image begins and ends at once: nobody waits, nobody is in flight.
    assert rows == [(0, 0, 1), (2, 2, 1), (5, 1, 1), (9, 0, 0)]


def test_images_that_run_together_do_not_arrive_one_by_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = str(tiny_trace(tmp_path / "tiny.npz", images=3))
    words = ["--arch", ARCH, "--trace", trace, "--set", "dataflow.images_together=2"]
    assert main([*words, "--arrivals", "closed"]) == 2
    assert said("images together in a stream") in capsys.readouterr().err
