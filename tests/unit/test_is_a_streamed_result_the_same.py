"""Does a result written part by part hold what a result in memory does, also after a kill?"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from reports.runs import load_runs
from simulator.distributed.executor import open_executor
from simulator.distributed.parts import Part, simulate_part
from simulator.distributed.stream import stream
from simulator.errors import ResultError
from simulator.results.result import Result
from simulator.results.streamed import StreamedResult, result_of
from simulator.results.summary import summary
from simulator.results.terminal import short_table
from simulator.run import main
from tests.factories import tiny_trace
from tests.messages import cases, refused, said

ROOT = Path(__file__).parents[2]
ARCH = str(ROOT / "arch_configs" / "sparse_pe.yaml")
TINY = {"tokens": 3, "channels": 5, "blocks": 1, "heads": 1, "mlp_ratio": 1}
IMAGES = 12


@pytest.fixture(autouse=True)
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.distributed.stream.PART_IMAGES", 4)


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_trace(tmp_path_factory.mktemp("trace") / "tiny.npz", images=IMAGES, **TINY))


def part(trace: str, first: int = 0, stop: int = IMAGES) -> Part:
    return Part(ARCH, (), trace, "numba", "", first, stop, pictured=range(2))


@pytest.mark.parametrize("span", [(0, 12), (1, 11), (5, 6)])
def test_the_parts_are_the_whole(span: tuple[int, int], trace: str, tmp_path: Path) -> None:
    whole = simulate_part(part(trace, *span))
    seen: list[int] = []
    with open_executor() as executor:
        streamed = stream(part(trace, *span), tmp_path / "out", executor, seen.append)
    assert sum(seen) == span[1] - span[0]
    assert result_of(streamed) == whole
    latency = whole.tables["layers"].groupby("stage")["pe_busy_cycles"].sum().to_dict()
    assert streamed.totals("layers", "stage", "pe_busy_cycles") == latency
    said = streamed.text().splitlines()
    # How often an addition serves follows from the layers, which are not read.
    entire = short_table(whole.provenance, summary(whole)).splitlines()
    assert [line.split()[0] for line in entire if line not in said] == ["Utilization"]


def test_a_streamed_result_is_loaded_and_compared_like_any_other(
    trace: str, tmp_path: Path
) -> None:
    with open_executor() as executor:
        stream(part(trace), tmp_path / "out", executor, lambda images: None)
    loaded = Result.load(tmp_path / "out")
    assert loaded == simulate_part(part(trace))
    loaded.save(tmp_path / "whole")
    (run,) = load_runs([str(tmp_path)])
    assert run.result.images == IMAGES
    assert len(load_runs([f"a={tmp_path / 'out'}", f"b={tmp_path / 'whole'}"])) == 2


def test_a_streamed_run_that_is_not_whole_says_so(trace: str, tmp_path: Path) -> None:
    with open_executor() as executor:
        stream(part(trace), tmp_path / "out", executor, lambda images: None)
    for file in (tmp_path / "out").rglob("part-00002.parquet"):
        file.unlink()
    with pytest.raises(ResultError, match=said("a stream cut short")):
        Result.load(tmp_path / "out")


def test_workers_write_the_same(trace: str, tmp_path: Path) -> None:
    with open_executor(jobs=2) as executor:
        made = stream(part(trace), tmp_path / "two", executor, lambda images: None)
    assert result_of(made) == simulate_part(part(trace))


def test_a_run_goes_on_with_the_parts_that_are_missing(trace: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with open_executor() as executor:
        stream(part(trace), out, executor, lambda images: None)
        kept = out / "images" / "part-00000.parquet"
        before = kept.stat().st_mtime_ns
        (out / "images" / "part-00001.parquet").unlink()
        (out / ".stream.json.x").touch()
        again = stream(part(trace), out, executor, lambda images: None)
    assert kept.stat().st_mtime_ns == before
    assert result_of(again) == simulate_part(part(trace))


def test_a_run_killed_goes_on(tmp_path: Path) -> None:
    """With the parts of the real size, in a process of its own."""
    path = tiny_trace(tmp_path / "long.npz", images=520, **TINY)
    out = tmp_path / "out"
    words = ["--arch", ARCH, "--trace", str(path), "--stream", "--out", str(out)]
    process = subprocess.Popen([sys.executable, "-m", "simulator.run", *words], cwd=ROOT)
    deadline = time.monotonic() + 120
    while process.poll() is None and not list(out.glob("images/part-*")):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    first = {file: file.stat().st_mtime_ns for file in out.glob("images/part-*")}
    assert 1 <= len(first) < 5
    done = subprocess.run([sys.executable, "-m", "simulator.run", *words], cwd=ROOT, check=True)
    assert done.returncode == 0
    assert all(file.stat().st_mtime_ns == written for file, written in first.items())
    assert len(StreamedResult(out).images()) == 520


def test_another_run_does_not_go_on_here(trace: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with open_executor() as executor:
        stream(part(trace), out, executor, lambda images: None)
        for other in (
            part(trace, 0, 8),
            part(trace)._replace(overrides=("clock_mhz=400",)),
            part(trace)._replace(command="another"),
        ):
            with pytest.raises(ResultError, match=said("a run of something else")):
                stream(other, out, executor, lambda images: None)


def test_what_is_there_is_left_alone(trace: str, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("three years")
    with (
        open_executor() as executor,
        pytest.raises(ResultError, match=said("a stream into another's folder")),
    ):
        stream(part(trace), tmp_path, executor, lambda images: None)
    with refused(ResultError, tmp_path, "holds no stream.json"):
        StreamedResult(tmp_path)


@cases("bad_stream_options")
def test_bad_input_is_one_message(
    words: list[str], message: str, trace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--arch", ARCH, "--trace", trace, "--stream", *words]) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert output.out == ""
    assert not Path("x").exists()


def test_pandas_reads_a_table_as_one(trace: str, tmp_path: Path) -> None:
    with open_executor() as executor:
        stream(part(trace), tmp_path / "out", executor, lambda images: None)
    layers = pd.read_parquet(tmp_path / "out" / "layers")
    assert layers["image"].nunique() == IMAGES
