"""Does each file that is read back, however damaged, give one error or something usable?"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from experiments.timeline_picture import read_block
from reports.diff import paired, text
from reports.figures.sweep import sweep_cards
from reports.page import result_cards
from reports.sweep import sweep_page
from simulator.config.sealed import sealed
from simulator.config.staged_folder import MANIFEST, verify_folder, write_folder
from simulator.hil.recorded import RecordedDevice
from simulator.results.result import Result
from simulator.results.streamed import HEADER, StreamedResult, result_of
from simulator.results.summary import summary
from simulator.results.sweep_result import FINDINGS, POINTS, PROVENANCE, SweepResult
from simulator.results.terminal import terminal_table
from simulator.streams.arrivals import read_arrivals
from simulator.sweep.journal import NAME, Journal
from simulator.sweep.journal import SCHEMA as JOURNAL_SCHEMA
from simulator.sweep.space import load_space
from tests.damage import CASES_FACTOR, HOSTILE, changed, changed_bytes, endured
from tests.factories import tiny_trace
from tests.sample_result import sample_result
from tests.sample_sweep import sample_sweep

ROOT = Path(__file__).parents[2]
Survived = Callable[..., None]


def cases(count: int) -> Any:
    """So many examples, with the fixtures of the test shared between them.

    A failing one is made smaller where more are searched for: that takes minutes.
    """
    phases = [Phase.generate] if CASES_FACTOR == 1 else list(Phase)
    shared = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=count * CASES_FACTOR, suppress_health_check=shared, phases=phases)


def dumped(document: Any) -> str:
    return json.dumps(document)


RESULT = sample_result(range(2), 1, 1)
SMALL = sample_result(range(1), 1, 1)
RESULT_DOCUMENT = json.loads(SMALL.to_json())


def read(path: Path) -> None:
    """All that a command makes of a result, but its figures."""
    result = Result.load(path)
    json.dumps(summary(result), allow_nan=False)
    assert terminal_table(result)


@cases(200)
@given(document=changed(RESULT_DOCUMENT))
def test_a_result(document: Any, tmp_path: Path, survived: Survived) -> None:
    path = tmp_path / "result.json"
    path.write_text(dumped(document))
    endured(lambda: read(path))
    survived("damaged result.json")


@cases(100)
@given(
    column=st.sampled_from(
        [(name, column) for name, table in RESULT_DOCUMENT["tables"].items() for column in table]
    ),
    value=st.sampled_from(HOSTILE),
    every=st.booleans(),
)
def test_a_column_of_a_result(
    column: tuple[str, str], value: Any, every: bool, tmp_path: Path, survived: Survived
) -> None:
    """All cells of a column zero, empty or of another type: no latency, no layers, no area."""
    name, place = column
    document = json.loads(SMALL.to_json())
    cells = document["tables"][name][place]
    document["tables"][name][place] = [value] * len(cells) if every else [value, *cells[1:]]
    path = tmp_path / "result.json"
    path.write_text(dumped(document))
    endured(lambda: read(path))
    survived("damaged result.json")


@cases(30)
@given(document=changed(RESULT_DOCUMENT["provenance"], 1))
def test_the_page_of_a_result(document: Any, tmp_path: Path, survived: Survived) -> None:
    path = tmp_path / "result.json"
    path.write_text(dumped({**RESULT_DOCUMENT, "provenance": document}))

    def draw() -> None:
        result = Result.load(path)
        assert result_cards(result, summary(result))
        one, other, left_out = paired(result, SMALL)
        assert text(one, other, 3, left_out)

    endured(draw)
    survived("damaged result.json")


@cases(60)
@given(content=changed_bytes(SMALL.to_json().encode()))
def test_the_bytes_of_a_result(content: bytes, tmp_path: Path, survived: Survived) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(content)
    endured(lambda: read(path))
    survived("damaged result.json")


@pytest.fixture(scope="module")
def sweep() -> SweepResult:
    return sample_sweep(12)


def read_sweep(folder: Path) -> None:
    result = SweepResult.load(folder)
    result.front()
    sweep_cards(result)


@cases(100)
@given(document=changed(sample_sweep(5).provenance), older=st.booleans())
def test_the_provenance_of_a_sweep(
    document: Any, older: bool, sweep: SweepResult, tmp_path: Path, survived: Survived
) -> None:
    """In the table, and in a file of its own as in earlier versions."""
    SweepResult(document, sweep.points).save(tmp_path)
    if older:
        sweep.points.drop(columns=FINDINGS).to_parquet(tmp_path / POINTS, index=False)
        (tmp_path / PROVENANCE).write_text(dumped(document))
    endured(lambda: sweep_page(SweepResult.load(tmp_path)), tmp_path)
    survived("damaged sweep")


@cases(60)
@given(data=st.data())
def test_the_points_of_a_sweep(
    data: st.DataObject, sweep: SweepResult, tmp_path: Path, survived: Survived
) -> None:
    points = sweep.points.astype(object)
    name = data.draw(st.sampled_from(list(points.columns)))
    if data.draw(st.booleans()):
        points = points.drop(columns=name)
    else:
        simple = [each for each in HOSTILE if not isinstance(each, list | dict | str)]
        value = data.draw(st.sampled_from([each for each in simple if _fits(each)]))
        points[name] = [value] * len(points)
    points = points.infer_objects().head(data.draw(st.sampled_from((0, 1, 12))))
    SweepResult(sweep.provenance, points).save(tmp_path)
    endured(lambda: read_sweep(tmp_path), tmp_path)
    survived("damaged sweep")


def _fits(value: Any) -> bool:
    """Whether Parquet can hold it."""
    return not isinstance(value, int) or -(2**63) <= value < 2**63


@cases(40)
@given(data=st.data())
def test_the_bytes_of_a_sweep(
    data: st.DataObject, sweep: SweepResult, tmp_path: Path, survived: Survived
) -> None:
    sweep.save(tmp_path)
    content = (tmp_path / POINTS).read_bytes()
    (tmp_path / POINTS).write_bytes(data.draw(changed_bytes(content)))
    endured(lambda: read_sweep(tmp_path), tmp_path)
    survived("damaged sweep")


JOURNAL = [
    {"schema": JOURNAL_SCHEMA, "space": "sha256:0"},
    {"point": {"a": 1}, "number": 0, "status": "ok", "message": "", "metrics": {"latency_ms": 1.5},
     "violation": 0.0, "replay": "simulated", "findings": "few_images"},
    {"point": {"a": 2}, "number": 1, "status": "failed", "message": "no", "metrics": {},
     "violation": 0.0, "replay": "none", "findings": ""},
]  # fmt: skip


def resealed(document: Any) -> Any:
    """With a hash that fits, so that what is behind the hash is looked at too."""
    if not isinstance(document, dict):
        return document
    with contextlib.suppress(ValueError):
        return sealed(document)
    return {**document, "content_hash": "sha256:0"}


def read_journal(folder: Path) -> None:
    journal = Journal(folder, {"space": "sha256:0"})
    for outcome in journal.outcomes.values():
        assert all(type(value) is float for value in outcome.metrics.values())
    journal.close()


@cases(100)
@given(document=changed(JOURNAL), hashed=st.booleans())
def test_a_journal(document: Any, hashed: bool, tmp_path: Path, survived: Survived) -> None:
    lines = [resealed(line) if hashed else line for line in document]
    (tmp_path / NAME).write_text("".join(f"{dumped(line)}\n" for line in lines))
    endured(lambda: read_journal(tmp_path), tmp_path)
    survived("damaged journal")


@cases(60)
@given(content=changed_bytes("".join(f"{dumped(resealed(x))}\n" for x in JOURNAL).encode()))
def test_the_bytes_of_a_journal(content: bytes, tmp_path: Path, survived: Survived) -> None:
    (tmp_path / NAME).write_bytes(content)
    endured(lambda: read_journal(tmp_path), tmp_path)
    survived("damaged journal")


ANSWER = {"cycles": 10, "clock_mhz": 500.0, "energy_pj": 1.5, "busy_cycles": {"dram": 3}}
RECORDING = {
    "schema": "stasim-recording/1",
    "device": "some",
    "made_by": {"stasim": "0.1.0"},
    "answers": {"0" * 64: ANSWER},
}


@cases(100)
@given(document=changed(RECORDING), hashed=st.booleans())
def test_a_recording(document: Any, hashed: bool, tmp_path: Path, survived: Survived) -> None:
    path = tmp_path / "run.json"
    path.write_text(dumped(resealed(document) if hashed else document))
    endured(lambda: RecordedDevice(path), path)
    survived("damaged recording")


STREAM = {
    "schema": "stasim-stream/1",
    "first": 0,
    "stop": RESULT.images,
    "part_images": 128,
    "provenance": RESULT.provenance,
}


@pytest.fixture(scope="module")
def streamed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stream's folder, as its command writes it."""
    folder = tmp_path_factory.mktemp("stream")
    (folder / HEADER).write_text(dumped(STREAM))
    for name in RESULT.tables:
        frame = RESULT.tables[name]
        path = folder / f"{name}.parquet"
        if "image" in frame.columns:
            (folder / name).mkdir()
            path = folder / name / "part-00000.parquet"
        frame.to_parquet(path, index=False)
    return folder


@pytest.fixture(scope="module")
def parts() -> dict[Path, bytes]:
    """The sound content of a stream's files."""
    return {}


def read_stream(folder: Path) -> None:
    result = StreamedResult(folder)
    assert result.text()
    assert result_of(result).images


@cases(60)
@given(document=changed(STREAM))
def test_the_header_of_a_stream(document: Any, streamed: Path, survived: Survived) -> None:
    before = (streamed / HEADER).read_text()
    (streamed / HEADER).write_text(dumped(document))
    endured(lambda: read_stream(streamed))
    (streamed / HEADER).write_text(before)
    survived("damaged stream")


@cases(60)
@given(data=st.data())
def test_a_part_of_a_stream(
    data: st.DataObject, streamed: Path, parts: dict[Path, bytes], survived: Survived
) -> None:
    path = data.draw(st.sampled_from(sorted(streamed.rglob("*.parquet"))))
    content = parts.setdefault(path, path.read_bytes())
    if data.draw(st.booleans()):
        path.write_bytes(data.draw(changed_bytes(content)))
    else:
        frame = pd.read_parquet(io.BytesIO(content))
        name = data.draw(st.sampled_from(list(frame.columns)))
        kept = frame.drop(columns=name)
        made = kept if data.draw(st.booleans()) else kept.assign(**{name: np.nan})
        made.to_parquet(path, index=False)
    try:
        endured(lambda: read_stream(streamed))
    finally:
        path.write_bytes(content)
    survived("damaged stream")


@cases(60)
@given(
    content=changed_bytes(b"time_s\n0.0\n0.001\n0.0025\n1e-2\n") | st.binary(max_size=40),
)
def test_times_of_arrival(content: bytes, tmp_path: Path, survived: Survived) -> None:
    path = tmp_path / "times.csv"
    path.write_bytes(content)
    endured(lambda: read_arrivals(str(path)), path)
    survived("damaged times of arrival")


@cases(60)
@given(word=st.text(max_size=20) | st.sampled_from(("rate:", "poisson:")).flatmap(
    lambda head: st.text(alphabet="0123456789e-.,seedimages=", max_size=24).map(head.__add__)
))  # fmt: skip
def test_words_of_arrival(word: str, survived: Survived) -> None:
    endured(lambda: read_arrivals(word))
    survived("damaged times of arrival")


SPACE: dict[str, Any] = {
    "schema": "stasim-space/1",
    "name": "test",
    "base": str(ROOT / "arch_configs" / "sparse_pe.yaml"),
    "parameters": {
        "cores.0.pe_array.rows": {"choices": [2, 4]},
        "memories.dram.bandwidth_gb_per_s": {"low": 2.0, "high": 8.0, "step": 2.0},
        "clock_mhz": {"low": 100, "high": 800, "log": True},
    },
    "images": "0",
    "objectives": {"latency_ms": "minimize"},
    "constraints": {"sram_kib": {"at_most": 1000}},
    "search": {"strategy": "random", "points": 4, "seed": 1, "batch": 2},
}


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_trace(tmp_path_factory.mktemp("trace") / "tiny.npz", images=1)


@cases(80)
@given(document=changed(SPACE, 2))
def test_a_space(document: Any, trace: Path, tmp_path: Path, survived: Survived) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(dumped(document))
    endured(lambda: load_space(path, trace))
    survived("damaged space")


@cases(40)
@given(document=changed({"schema": "stasim-folder/1", "kind": "result",
                         "files": {"a": {"bytes": 1, "sha256": "0" * 64}}}))  # fmt: skip
def test_the_manifest_of_a_folder(document: Any, tmp_path: Path, survived: Survived) -> None:
    folder = tmp_path / "out"
    write_folder(folder, "result", {"a": b"x"})
    (folder / MANIFEST).write_text(dumped(document))
    with contextlib.suppress(OSError):  # what --verify makes one line of
        verify_folder(folder)
    endured(lambda: SMALL.save(folder), folder)
    (folder / MANIFEST).unlink(missing_ok=True)
    for path in folder.iterdir():
        path.unlink()
    survived("damaged folder manifest")


TIMELINE = {
    "traceEvents": [
        {"pid": 1, "ph": "M", "name": "process_name", "args": {"name": "image 0"}},
        {"pid": 1, "ph": "C", "ts": 0.001, "name": "t", "args": {"tokens": 4}},
        {"pid": 1, "tid": 1, "ph": "X", "ts": 0, "dur": 0.002, "name": "blocks.0.mlp.fc1",
         "args": {"block": 0, "timestep": 0, "unit": "pe_array"}},
    ]
}  # fmt: skip


@cases(60)
@given(document=changed(TIMELINE))
def test_a_timeline(document: Any, tmp_path: Path, survived: Survived) -> None:
    path = tmp_path / "timeline.json"
    path.write_text(dumped(document))
    endured(lambda: read_block(path, 0), path)
    survived("damaged timeline")


@pytest.mark.parametrize("reader", ["result", "sweep", "recording", "journal", "stream", "times"])
@pytest.mark.parametrize("kind", ["device", "pipe", "folder", "loop", "absent", "endless"])
def test_only_regular_files_are_read(
    reader: str, kind: str, tmp_path: Path, survived: Survived
) -> None:
    """/dev/zero once filled 15 GB of memory, and a pipe was waited for without end."""
    name = {"result": "result.json", "sweep": POINTS, "journal": NAME, "stream": HEADER}
    path = tmp_path / name.get(reader, "file.csv")
    if kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "endless":
        with path.open("wb") as file:
            file.truncate(1 << 42)
    uses: dict[str, Callable[[], object]] = {
        "result": lambda: Result.load(path),
        "sweep": lambda: SweepResult.load(tmp_path),
        "recording": lambda: RecordedDevice(path),
        "journal": lambda: Journal(tmp_path, {}).close(),
        "stream": lambda: StreamedResult(tmp_path),
        "times": lambda: read_arrivals(str(path)),
    }
    if (reader, kind) != ("journal", "absent"):  # that is a new one
        assert endured(uses[reader], tmp_path)
    survived("something that is no file to read")
