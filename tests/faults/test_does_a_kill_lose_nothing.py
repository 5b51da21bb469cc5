"""Does a kill at any line lose nothing of a search, a stream, a trace or a report?"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from experiments.prosperity.report import CompatReport
from simulator.architecture import load_architecture
from simulator.config.staged_folder import verify_folder
from simulator.distributed import executor as executor_module
from simulator.distributed.executor import open_executor
from simulator.distributed.parts import Part
from simulator.distributed.stream import _keep, simulate_to_parquet, stream
from simulator.errors import ExecutionError
from simulator.results.streamed import StreamedResult
from simulator.results.sweep_result import SweepResult
from simulator.sweep.evaluation import Outcome
from simulator.sweep.journal import NAME, Journal
from simulator.trace import Trace
from tests.errands import die_once
from tests.factories import tiny_content
from tests.kills import WRITERS, every_kill, forked
from tests.messages import said
from tests.sample_sweep import sample_sweep

ROOT = Path(__file__).parents[2]
MACHINE = ROOT / "arch_configs" / "sparse_pe.yaml"
Survived = Callable[..., None]


def outcome(number: int) -> Outcome:
    return Outcome(number, "ok", "", {"latency_ms": 1.5 * number}, 0.0, "simulated")


def test_a_journal_holds_what_was_added(tmp_path: Path, survived: Survived) -> None:
    """Killed while the third point is added: what was there before it still is."""
    header = {"space": "sha256:0"}
    points = [{"a": number} for number in range(3)]

    def begin() -> Journal:
        journal = Journal(tmp_path / "out", header)
        journal.add(points[:2], [outcome(0), outcome(1)])
        return journal

    kills = 0
    for _ in every_kill(lambda: begin().add(points[2:], [outcome(2)]), tmp_path):
        path = tmp_path / "out" / NAME
        if path.exists():
            journal = Journal(tmp_path / "out", header)
            found = [*journal.outcomes.values()]
            journal.close()
            assert found == [outcome(number) for number in range(len(found))]
            path.unlink()
        kills += 1
    assert kills > 20
    survived("kill while a journal is written", kills)


@pytest.mark.parametrize("left", [b'{"point"', b"\xff\xfe", b""])
def test_a_line_that_was_cut_off_is_begun_again(
    left: bytes, tmp_path: Path, survived: Survived
) -> None:
    journal = Journal(tmp_path, {})
    journal.add([{"a": 0}], [outcome(0)])
    journal.close()
    with (tmp_path / NAME).open("ab") as file:
        file.write(left)
    journal = Journal(tmp_path, {})
    journal.add([{"a": 1}], [outcome(1)])
    journal.close()
    assert [*Journal(tmp_path, {}).outcomes.values()] == [outcome(0), outcome(1)]
    survived("power loss while a journal is written")


def test_a_sweep_is_the_old_one_or_the_new_one(tmp_path: Path, survived: Survived) -> None:
    out = tmp_path / "out"
    out.mkdir()
    old, new = sample_sweep(5), sample_sweep(7)
    new.provenance["stasim"] = "9.9"
    old.save(out)
    kills = seen = 0
    for _ in every_kill(lambda: new.save(out), out, step=2):
        found = SweepResult.load(out)
        expected = new if found.provenance == new.provenance else old
        pd.testing.assert_frame_equal(found.points, expected.points)
        assert found.provenance == expected.provenance
        seen += expected is new
        old.save(out)
        kills += 1
    assert 0 < seen < kills
    survived("kill while a sweep is written", kills)


def test_a_stream_goes_on_with_the_part_that_was_lost(tmp_path: Path, survived: Survived) -> None:
    path = tiny_content(images=2, tokens=4, channels=8, blocks=1).write(tmp_path / "a.npz")
    part = Part(str(MACHINE), (), str(path), "numba", "", 0, 2)
    made, out = simulate_to_parquet(part), tmp_path / "out"
    with open_executor() as executor:
        whole = stream(part, out, executor, lambda done: None).text()

        def again() -> None:
            """The part once more, as if it had never been."""
            for file in sorted(out.rglob("*.parquet")):
                file.unlink()
            _keep(out, made)

        kills = 0
        for _ in every_kill(again, out, step=40):
            assert stream(part, out, executor, lambda done: None).text() == whole
            kills += 1
    assert kills > 3
    assert StreamedResult(out).text() == whole
    survived("kill while a stream is written", kills)


def test_a_trace_is_the_old_one_or_the_new_one(tmp_path: Path, survived: Survived) -> None:
    contents = [tiny_content(seed=seed, tokens=4, channels=8, blocks=1) for seed in (1, 2)]
    path = contents[0].write(tmp_path / "a.npz")
    hashes = []
    for content in contents:
        with Trace.open(content.write(path)) as trace:
            hashes.append(trace.content_hash)
    contents[0].write(path)
    kills = 0
    files = (*WRITERS, "trace_format/writer.py")
    for _ in every_kill(lambda: contents[1].write(path), tmp_path, step=8, files=files):
        with Trace.open(path) as trace:
            trace.verify()
            assert trace.content_hash in hashes
        contents[0].write(path)
        assert [each.name for each in tmp_path.iterdir()] == ["a.npz"]
        kills += 1
    assert kills > 10
    survived("kill while a trace is written", kills)


def test_a_report_of_another_accounting_is_whole(tmp_path: Path, survived: Survived) -> None:
    out = tmp_path / "out"
    path = tiny_content(tokens=4, channels=8, blocks=1).write(tmp_path / "a.npz")
    architecture = load_architecture(ROOT / "arch_configs" / "prosperity.yaml")
    with Trace.open(path) as trace:
        reports = []
        for images in (1, 2):
            reports.append(CompatReport(trace, architecture, ""))
            reports[-1].run(range(images))
    reports[0].save(out)
    kills = 0
    for _ in every_kill(lambda: reports[1].save(out), tmp_path, step=10):
        in_file = (out / "compat.json").read_text()
        rows = (out / "operations.csv").read_text().splitlines()
        for report in reports:
            if in_file == report.to_json():
                assert len(rows) == 1 + len(report.operations())
                break
        else:
            raise AssertionError(in_file)
        assert verify_folder(out)[1] == []
        reports[0].save(out)
        kills += 1
    assert kills > 2
    survived("kill while a compat report is written", kills)


def test_a_worker_that_is_killed_loses_no_task(tmp_path: Path, survived: Survived) -> None:
    tasks = [(number, str(tmp_path)) for number in range(6)]
    with open_executor(jobs=2) as executor:
        assert dict(executor.run(die_once, tasks)) == {number: number for number in range(6)}
    assert (tmp_path / "died-3").exists()
    survived("kill of a worker (joblib)")


@pytest.mark.slow
def test_a_worker_of_a_cluster_that_is_killed_loses_no_task(
    tmp_path: Path, survived: Survived
) -> None:
    """One is killed, one kills itself over a task, and the third is left to do the rest."""
    pytest.importorskip("distributed")
    from tests.cluster import cluster

    tasks = [(number, str(tmp_path)) for number in range(8)]
    with cluster(tmp_path, workers=3) as running, open_executor(dask=running.address) as executor:
        running.workers[0].send_signal(signal.SIGKILL)
        assert dict(executor.run(die_once, tasks)) == {number: number for number in range(8)}
    assert (tmp_path / "died-3").exists()
    survived("kill of a worker (Dask)", 2)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_cluster_without_any_worker_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: Survived
) -> None:
    """The last worker dies, and none comes back: the scheduler itself would wait without end."""
    pytest.importorskip("distributed")
    from tests.cluster import cluster

    monkeypatch.setattr(executor_module, "WORKERLESS_SECONDS", 2.0)
    tasks = [(number, str(tmp_path)) for number in range(8)]
    with cluster(tmp_path, workers=1) as running, open_executor(dask=running.address) as executor:
        found = executor.run(die_once, tasks)
        with pytest.raises(ExecutionError, match=said("the last worker died")):
            dict(found)
    assert (tmp_path / "died-3").exists()
    survived("kill of a worker (Dask)")


def test_two_searches_at_once_mix_nothing(tmp_path: Path, survived: Survived) -> None:
    """The later of two is refused while the first is at work; a journal has whole lines only."""
    from simulator.errors import SpaceError

    first = Journal(tmp_path, {})

    def be_refused() -> None:
        with pytest.raises(SpaceError):
            Journal(tmp_path, {})

    assert os.waitpid(forked(be_refused), 0)[1] == 0
    first.add([{"a": 0}], [outcome(0)])
    first.close()
    assert len(Journal(tmp_path, {}).outcomes) == 1
    survived("writers at the same time")
