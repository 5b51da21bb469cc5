"""Does a search find the same wherever it runs, and go on after kill -9 as if nothing had been?"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simulator.architecture import load_architecture
from simulator.distributed.executor import open_executor
from simulator.errors import SpaceError
from simulator.results.result import Result
from simulator.results.sweep_result import SweepResult
from simulator.simulate import Simulation
from simulator.sweep.__main__ import main
from simulator.sweep.journal import NAME
from simulator.sweep.search import search
from simulator.sweep.space import load_space
from simulator.sweep.space_file import Parameter
from simulator.sweep.strategies import draw
from simulator.trace import Trace
from tests.cluster import cluster
from tests.factories import tiny_trace
from tests.messages import said

ROOT = Path(__file__).parents[2]
ARCH = ROOT / "arch_configs" / "sparse_pe.yaml"
SPACE = f"""\
schema: stasim-space/1
name: test
base: {ARCH}
parameters:
  cores.0.pe_array.rows: {{choices: [2, 4, 8, 16]}}
  cores.0.buffers.weights.size_kib: {{choices: [1.0, 64, 256]}}
  memories.dram.bandwidth_gb_per_s: {{low: 2.0, high: 8.0, step: 2.0}}
  technology:
    choices:
      - {{node_nm: 28, voltage_v: 0.9, energy_table: horowitz_28nm}}
      - {{node_nm: 45, voltage_v: 0.9, energy_table: horowitz_45nm}}
objectives: {{latency_ms: minimize, energy_uj: minimize}}
constraints: {{sram_kib: {{at_most: 1000}}, latency_ms: {{at_most: 1.0}}}}
search: {{strategy: random, points: 24, seed: 3, batch: 4}}
"""


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_trace(tmp_path_factory.mktemp("trace") / "tiny.npz", images=2)


@pytest.fixture
def space_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes the space, some of its words replaced."""

    def write(**words: str) -> Path:
        text = SPACE
        for old, new in words.items():
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "space.yaml"
        path.write_text(text)
        return path

    return write


def searched(path: Path, trace: Path, out: Path, **place: object) -> SweepResult:
    with open_executor(**place) as executor:  # type: ignore[arg-type]
        result = search(load_space(path, trace), out, executor, lambda outcomes, total: None)
    result.save(out)
    return result


def same(one: SweepResult, other: SweepResult) -> bool:
    pd.testing.assert_frame_equal(one.points, other.points, check_exact=True)
    return one.provenance == other.provenance


def journal(out: Path) -> list[str]:
    return (out / NAME).read_text().splitlines()[1:]


@pytest.mark.parametrize("strategy", ["random", "nsga2", "tpe"])
def test_a_search_finds_the_same_on_any_number_of_workers(
    strategy: str, space_file: Callable[..., Path], trace: Path, tmp_path: Path
) -> None:
    path = space_file(random=strategy, **{"points: 24": "points: 12"})
    alone = searched(path, trace, tmp_path / "alone")
    assert same(searched(path, trace, tmp_path / "two", jobs=2), alone)
    assert {"ok", "failed"} <= set(alone.points["status"])
    assert same(SweepResult.load(tmp_path / "alone"), alone)


@pytest.mark.slow
def test_a_search_on_a_cluster_that_loses_a_worker_finds_the_same(
    space_file: Callable[..., Path], trace: Path, tmp_path: Path
) -> None:
    path = space_file(**{"points: 24": "points: 40"})
    alone = searched(path, trace, tmp_path / "alone")
    with cluster(tmp_path) as running, open_executor(dask=running.address) as executor:
        done = 0

        def kill_one(outcomes: object, total: int) -> None:
            nonlocal done
            done += 1
            if done == 5:
                running.workers[0].send_signal(signal.SIGKILL)

        result = search(load_space(path, trace), tmp_path / "lost", executor, kill_one)
        assert running.workers[0].wait() == -signal.SIGKILL
    assert same(result, alone)
    assert len(journal(tmp_path / "lost")) == len(set(journal(tmp_path / "lost"))) == 40


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["random", "nsga2"])
def test_a_search_killed_again_and_again_loses_and_repeats_nothing(
    strategy: str, space_file: Callable[..., Path], trace: Path, tmp_path: Path
) -> None:
    path = space_file(random=strategy, **{"points: 24": "points: 14"})
    out = tmp_path / "killed"
    words = [str(path), "--trace", str(trace), "--out", str(out)]
    kept: list[str] = []
    for goal in (2, 5, 9):
        process = subprocess.Popen([sys.executable, "-m", "simulator.sweep", *words], cwd=ROOT)
        deadline = time.monotonic() + 120
        while process.poll() is None and (not (out / NAME).exists() or len(journal(out)) < goal):
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert journal(out)[: len(kept)] == kept
        # The last line may be cut off.
        kept = journal(out)[:-1]
        assert not (out / "points.parquet").exists()
    assert main(words) == 0
    lines = journal(out)
    assert lines[: len(kept)] == kept
    points = [json.dumps(json.loads(line)["point"]) for line in lines]
    assert len(points) == len(set(points))
    assert same(SweepResult.load(out), searched(path, trace, tmp_path / "calm"))


@pytest.mark.parametrize("strategy", ["nsga2", "tpe"])
def test_a_search_that_learns_goes_on_from_its_journal_alone(
    strategy: str, space_file: Callable[..., Path], trace: Path, tmp_path: Path
) -> None:
    """Also in a folder whose name would mean something in an address."""
    path, out = space_file(random=strategy, **{"points: 24": "points: 9"}), tmp_path / "a?b%41#c"
    whole = searched(path, trace, out)
    lines = (out / NAME).read_text().splitlines()
    assert {each.name for each in out.iterdir()} >= {NAME, "points.parquet"}
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith("a")] == [out.name]
    for kept in (1, 4, 7):
        (out / NAME).write_text("".join(f"{line}\n" for line in lines[:kept]))
        shutil.rmtree(out / "replays")  # else a point would be priced from what it simulated
        assert same(searched(path, trace, out), whole)
        assert sorted(journal(out)) == sorted(lines[1:])


def test_a_point_is_what_the_command_says_of_that_machine(
    space_file: Callable[..., Path], trace: Path, tmp_path: Path
) -> None:
    """Each figure of a point, simulated or priced anew, is the one of a run of its own."""
    space = load_space(space_file(), trace)
    points = searched(space.path, trace, tmp_path / "out").points
    assert {"simulated", "repriced"} <= set(points["replay"])
    for row in points[points["status"] == "ok"].head(6).to_dict("records"):
        point = {
            name: json.loads(value) if name == "technology" else value
            for name, value in ((name, row[f"parameter.{name}"]) for name in space.axes)
        }
        images = fresh(trace, space.overrides(point)).tables["images"]
        assert row["metric.latency_cycles"] == images["latency_cycles"].mean()
        assert row["metric.energy_uj"] == images["energy_pj"].mean() * 1e-6


def fresh(path: Path, overrides: tuple[str, ...]) -> Result:
    with Trace.open(path) as trace:
        return Simulation(trace, load_architecture(ARCH, overrides)).run(range(trace.images))


def test_a_grid_has_every_point_and_shares_replays(
    space_file: Callable[..., Path], trace: Path, tmp_path: Path
) -> None:
    path = space_file(
        **{
            "strategy: random, points: 24": "strategy: grid",
            "low: 2.0, high: 8.0": "low: 6.0, high: 8.0",
        }
    )
    points = searched(path, trace, tmp_path / "out").points
    assert len(points) == 4 * 3 * 2 * 2
    by_machine = points[points["status"] != "failed"].groupby("parameter.cores.0.pe_array.rows")
    assert all((rows["replay"] == "repriced").sum() >= 1 for _, rows in by_machine)


def test_bad_points_are_told_and_cost_nothing(
    space_file: Callable[..., Path], trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main([str(space_file()), "--trace", str(trace), "--out", str(out)]) == 0
    assert "failed, " in capsys.readouterr().out
    points = SweepResult.load(out).points
    failed = points[points["status"] == "failed"]
    assert failed["message"].str.contains("cores.0.buffers.weights").all()
    assert failed["metric.latency_ms"].isna().all()
    broken = points[points["status"] == "infeasible"]
    assert broken["message"].str.contains("must be at most").all()
    assert (broken["violation"] > 0).all()
    by_machine = broken[broken["message"].str.contains("sram_kib")]
    assert (by_machine["replay"] == "none").all()


def test_a_range_is_drawn_evenly_or_by_its_logarithm() -> None:
    drawn = {}
    for log in (False, True):
        parameter = Parameter(low=1.0, high=100.0, log=log)
        values = [draw(parameter, np.random.default_rng([0, n])) for n in range(400)]
        assert all(1.0 <= value <= 100.0 for value in values)
        drawn[log] = float(np.median(values))
    assert drawn[False] == pytest.approx(50, rel=0.15)
    assert drawn[True] == pytest.approx(10, rel=0.3)
    whole = Parameter(low=1, high=64, log=True)
    assert {type(draw(whole, np.random.default_rng(n))) for n in range(20)} == {int}


def test_the_front_is_what_nothing_beats(
    space_file: Callable[..., Path], trace: Path, tmp_path: Path
) -> None:
    result = searched(space_file(), trace, tmp_path / "out")
    names = ["metric.latency_ms", "metric.energy_uj"]
    ok = result.points[result.points["status"] == "ok"]
    kept = set(result.front()["number"])
    for row in ok.to_dict("records"):
        beaten = any(
            all(other[n] <= row[n] for n in names) and any(other[n] < row[n] for n in names)
            for other in ok.to_dict("records")
        )
        assert (row["number"] in kept) is not beaten


def test_a_search_goes_on_with_more_points_but_not_in_another_space(
    space_file: Callable[..., Path], trace: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    few = searched(space_file(), trace, out).points
    more = searched(space_file(**{"points: 24": "points: 30"}), trace, out).points
    pd.testing.assert_frame_equal(more.head(24), few)
    assert len(journal(out)) == 30
    with pytest.raises(SpaceError, match=said("another sweep")):
        searched(space_file(**{"seed: 3": "seed: 4"}), trace, out)


def test_a_folder_of_something_else_is_left_alone(
    space_file: Callable[..., Path], trace: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("three years")
    with pytest.raises(SpaceError, match=said("a sweep into another's folder")):
        searched(space_file(), trace, tmp_path / "out")
    assert os.listdir(tmp_path / "out") == ["thesis.txt"]


def test_two_searches_do_not_share_a_folder(
    space_file: Callable[..., Path], trace: Path, tmp_path: Path
) -> None:
    path, out = space_file(), tmp_path / "out"

    def again(outcomes: object, total: int) -> None:
        with pytest.raises(SpaceError, match=said("a search that another runs")):
            searched(path, trace, out)

    with open_executor() as executor:
        search(load_space(path, trace), out, executor, again)


def test_a_damaged_journal_is_one_message(
    space_file: Callable[..., Path], trace: Path, tmp_path: Path
) -> None:
    path, out = space_file(), tmp_path / "out"
    searched(path, trace, out)
    lines = (out / NAME).read_text().splitlines()
    for damaged in (
        "{",
        "[]",
        '{"point": {}}',
        "[" * 100_000,
        lines[3].replace('"violation": 0.0', '"violation": "0"'),
        lines[3].replace('"metrics": {', '"metrics": {"x": NaN, '),
    ):
        (out / NAME).write_text("\n".join([*lines[:3], damaged, *lines[4:]]) + "\n")
        with pytest.raises(SpaceError, match=said("a broken line of a journal")):
            searched(path, trace, out)
