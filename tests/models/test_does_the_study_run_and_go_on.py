"""The study: it runs through, goes on where it stood, and its page is what its tables say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from experiments.study import __main__ as study
from experiments.study import arms, gap, gather
from experiments.study.arithmetic import savings
from experiments.study.depth import depth_masks, depth_outcomes
from experiments.study.events import ENTROPIES
from experiments.study.hardware import run
from experiments.study.imposed import impose, random_masks
from experiments.study.jobs import FOUND, Extent
from experiments.study.numbers import crossing, interval, percent, signed
from experiments.study.numbers import spread as mean_and_spread
from experiments.study.page import write_page
from experiments.study.schedule import ArmJob, jobs_of, simulate, spread, train
from experiments.study.tables import write_tables
from experiments.study.tracing import COSTS, TRACE
from models.data.sources import read_source
from models.files import write_staged
from models.networks.arms import Prepared
from models.networks.config import ModelConfig, named_config
from models.networks.stas import STAS
from models.operations.writing import write_trace
from simulator.trace import Trace
from tests.messages import said
from tests.models.tiny_networks import lively, pictures, tiny_config

TRACES = Path(__file__).parents[2] / "traces"
FEW = ("baseline_t4", "isps_early", "two_dim", "random", "entropy")
EXTENT = Extent(epochs=1, images=60, traced=1)


IMPOSED = ("event_exit", "block_exit", "oracle")
STREAM = ("baseline_t4", "static_long", "gate_exit", "random_gate_exit", *IMPOSED)


def test_the_arms_of_the_stream_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate with exits from the static network, random tokens of its profile, exits, optimum."""
    task = arms.TASK_BY_NAME["stream"]._replace(arms=STREAM)
    monkeypatch.setitem(arms.TASK_BY_NAME, "stream", task)
    jobs = jobs_of(["stream"], [0])
    for job in jobs:
        train(tmp_path, job, Extent(epochs=1, images=50, traced=1))
    gather.write_arms(tmp_path, tmp_path / "out", jobs)
    made = pd.read_csv(tmp_path / "out" / "arms.csv").set_index("arm")
    assert made.index.tolist() == list(STREAM)
    assert made.active_tokens.baseline_t4 == made.active_tokens.static_long == 1.0
    assert 0.3 < made.active_tokens.oracle < 0.45
    assert made.active_tokens.event_exit < 1.0
    # Told by training images, kept on held-out ones: as many tokens, to a token a step.
    twin = made.active_tokens.random_gate_exit
    assert twin == pytest.approx(made.active_tokens.gate_exit, abs=0.15)
    for arm, dataflows in zip(IMPOSED, (1, 2, 1), strict=True):  # only depth knows no time
        simulate(tmp_path, ArmJob("stream", 0, arm), Extent(epochs=1, images=50, traced=2))
        with Trace.open(tmp_path / "stream" / "seed0" / arm / TRACE) as trace:
            active = np.mean([list(image.active.values()) for image in trace])
        costs = json.loads((tmp_path / "stream" / "seed0" / arm / COSTS).read_text())["costs"]
        assert len({row["dataflow"] for row in costs}) == dataflows
        assert costs[0]["active_tokens"] == pytest.approx(active)


def test_images_leave_behind_the_first_certain_block() -> None:
    """A network whose classifier sees one class behind block 1 leaves there, whatever the level."""
    model = STAS(named_config("spikformer_2_48", "stream", 4)).eval()
    torch.nn.init.zeros_(model.head.weight)
    images = read_source("stream", None).held_out.first(8)
    never = depth_outcomes(model, images)
    assert (never.blocks == 2).all()
    with torch.no_grad():
        model.head.bias[3] = 50.0
    found = depth_outcomes(model, images)
    assert (found.blocks[0] == 2).all()
    assert (found.blocks[1:] == 1).all()
    assert found.accuracy == pytest.approx(np.mean(images.labels == 3))
    masks = depth_masks(model, images, ENTROPIES[1])
    assert masks[:, :, 0].all()
    assert not masks[:, :, 1].any()


def test_rows_of_other_seeds_and_arms_stay(tmp_path: Path) -> None:
    told = "task,arm,seed,value\nstream,stas,0,1.50\nstream,stas,1,2\norder,stas,0,3\n"
    (tmp_path / "arms.csv").write_text(told)
    rows = gather.kept(tmp_path, "arms", [{"task": "stream", "arm": "stas", "seed": 1, "value": 9}])
    assert [row["value"] for row in rows] == ["1.50", "3", 9]


EXIT = (("event_exit", 0.7), ("random_event_exit", 0.6))


def test_a_gap_is_a_share_of_what_lies_between_random_and_the_optimum() -> None:
    rows = [("random_gate", 0.6, 0.5), ("oracle", 0.8, 0.37), ("gate", 0.75, 0.5)]
    rows += [("stas", 0.7, 0.2), ("random_stas", 0.5, 0.2)]  # fewer tokens: a lower bound
    rows += [("readout", 0.79, 0.9), ("random_readout", 0.78, 0.9)]  # nothing to close
    made = [
        {"task": "stream", "arm": arm, "seed": seed, "test_top1": top1, "active_tokens": tokens}
        for arm, top1, tokens in rows
        for seed in (0, 1)
    ]
    found = gap.gaps(pd.DataFrame(made))
    assert found.arm.tolist() == ["gate", "gate", "stas", "stas"]
    assert found.closed.tolist() == pytest.approx([0.75, 0.75, 2 / 3, 2 / 3])
    # On weights trained as long as the gate's the optimum is better; the untrained exit has none.
    longer = made[0] | {"arm": "oracle_long", "test_top1": 0.85}
    exits = [made[0] | {"arm": arm, "test_top1": top1} for arm, top1 in EXIT]
    again = gap.gaps(pd.DataFrame([*made, longer, *exits])).set_index(["arm", "seed"]).closed
    assert again.loc[[("gate", 0), ("gate", 1), ("event_exit", 0)]].tolist() == pytest.approx(
        [0.6, 0.75, 0.5]
    )


def test_an_interval_is_students() -> None:
    """Three seeds: mean +- 4.303 standard errors."""
    low, high = interval(pd.Series([1.0, 2.0, 3.0]))
    reach = 4.303 / 3**0.5
    assert (low, high) == pytest.approx((2.0 - reach, 2.0 + reach), abs=1e-3)
    assert interval(pd.Series([1.0])) == (-float("inf"), float("inf"))


def test_every_arm_starts_from_one_before_it() -> None:
    for task in arms.TASKS:
        for place, name in enumerate(task.arms):
            arm = arms.BY_NAME[name]
            assert {arm.start, arm.budget_of} - {None} <= set(task.arms[:place])
            assert (arm.start is not None) == (arm.halts or arm.tuned or bool(arm.imposed))


def leave_a_mark(folder: Path, job: ArmJob, extent: Extent) -> None:
    """In place of an arm's work: it fails where an arm that it needs has not been there."""
    marks = (folder / "_".join(map(str, each)) for each in [*job.needs(), job])
    *before, own = marks
    assert all(mark.exists() for mark in before), job
    own.touch(exist_ok=False)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_arm_runs_once_and_after_those_that_it_needs(tmp_path: Path, workers: int) -> None:
    jobs = jobs_of(["mnist", "order"], [0, 1])
    spread(leave_a_mark, jobs, tmp_path, EXTENT, workers)
    assert {path.name for path in tmp_path.iterdir()} == {"_".join(map(str, job)) for job in jobs}
    with pytest.raises(FileExistsError):
        spread(leave_a_mark, jobs[:1], tmp_path, EXTENT, workers)


def wait_for_the_end(folder: Path, job: ArmJob, extent: Extent) -> None:
    """In place of an arm's work: it says which process it is, then takes for ever."""
    write_staged(folder / "worker", str(os.getpid()).encode())
    time.sleep(600)


WAITING = """
from pathlib import Path
from experiments.study.schedule import jobs_of, spread
from tests.models import test_does_the_study_run_and_go_on as here
if __name__ == "__main__":
    spread(here.wait_for_the_end, jobs_of(["mnist"], [0])[:1], Path(), here.EXTENT, 1)
"""


@pytest.mark.slow
def test_no_worker_outlives_a_study_that_was_killed(tmp_path: Path) -> None:
    script, told = tmp_path / "waiting.py", tmp_path / "worker"
    script.write_text(WAITING)
    root = str(Path(__file__).parents[2])
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": root}) as run:
        until(told.exists)
        run.kill()
    worker = Path("/proc") / told.read_text()
    until(lambda: not worker.exists() or " Z " in (worker / "stat").read_text())


def until(true: Callable[[], bool]) -> None:
    """Wait for it; fail after a minute."""
    for _ in range(600):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError


@pytest.mark.slow
def test_a_study_runs_through_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = arms.TASK_BY_NAME["digits"]._replace(arms=FEW)
    monkeypatch.setitem(arms.TASK_BY_NAME, "digits", task)
    jobs = jobs_of(["digits"], [0])
    for job in jobs:
        train(tmp_path, job, EXTENT)
    folder = tmp_path / "digits" / "seed0"
    before = {name: (folder / name / FOUND).stat().st_mtime_ns for name in FEW}
    (folder / "random" / FOUND).unlink()
    for job in jobs:
        train(tmp_path, job, EXTENT)
    after = {name: (folder / name / FOUND).stat().st_mtime_ns for name in FEW}
    assert {name for name in FEW if before[name] != after[name]} == {"random"}
    for job in jobs:
        simulate(tmp_path, job, EXTENT)
    out = tmp_path / "out"
    gather.write_arms(tmp_path, out, jobs_of(["digits"], [0, 1]))
    made = pd.read_csv(out / "arms.csv")
    assert made.arm.tolist() == list(FEW)
    told = json.loads((folder / "two_dim" / COSTS).read_text())
    with Trace.open(folder / "two_dim" / TRACE) as trace:
        trace.verify()
        active = np.mean([list(image.active.values()) for image in trace])
    for row in told["costs"]:
        assert row["active_tokens"] == pytest.approx(active)
        assert (
            row["dataflow"] == "timestep_serial"
        )  # nobody knows who runs at t + 1 before t is over
    counts = pd.read_csv(out / "counts.csv")
    assert set(counts[counts.arm == "two_dim"].stage) == {"sps", "blocks", "head", "halting"}
    assert "halting" not in set(counts[counts.arm == "random"].stage)
    assert not (out / "published.csv").exists()
    write_tables(out, {"spikingformer": [saving._asdict() for saving in savings()]})
    write_page(out, tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    assert f"| {arms.BY_NAME['random'].title} |" in text
    assert "36.5 %" in text


def test_imposed_masks_keep_the_share_and_the_spikes(tmp_path: Path) -> None:
    config = tiny_config(halting=False)
    images = pictures(2)
    write_trace(tmp_path / "still.npz", arm_of(config), images, "cifar10", 2)
    impose(tmp_path / "still.npz", tmp_path / "halts.npz", config, 0.5, images.first(1))
    with Trace.open(tmp_path / "still.npz") as still, Trace.open(tmp_path / "halts.npz") as halts:
        halts.verify()  # halted rows are silent, halting is monotone
        assert halts.images == 1
        assert halts.manifest["weights"]["accuracy"] is None
        before, after = still.read(0), halts.read(0)
        assert np.mean(list(after.active.values())) == pytest.approx(0.5, abs=0.02)
        for name, tensor in after.tensors.items():
            mask = halts.tensors[name].mask
            kept = slice(None) if mask is None else after.active[mask]
            moved = (0, 2, 1, 3)
            live, whole = (t.transpose(moved)[kept] for t in (tensor, before.tensors[name]))
            assert np.array_equal(live, whole), name
        kinds = {operation.kind for operation in halts.operations}
        assert "halting" in kinds


def arm_of(config: ModelConfig):
    weights = {"origin": "random", "seed": 0, "accuracy": None, "sha256": "0" * 64, "notes": ""}
    return Prepared(lively(config), weights)


@pytest.mark.parametrize("share", [0.2, 0.55, 1.0])
def test_random_masks_halt_for_good(share: float) -> None:
    config = tiny_config(halting=False)
    masks = random_masks(config, share, 0)
    steps = np.stack([masks[str(b)] for b in range(config.size.blocks)], 1).reshape(-1, 64)
    assert steps[0].all()
    assert (steps[1:] <= steps[:-1]).all()
    assert steps.mean() == pytest.approx(share, abs=0.02)


def test_numbers_are_written_as_meant() -> None:
    assert mean_and_spread(pd.Series([0.97, 0.99]), 100) == "98.0 ± 1.4"
    assert mean_and_spread(pd.Series([0.97]), 100) == "97.0"
    assert signed(pd.Series([-0.5])) == "-0.50"
    assert percent(0.576) == "58 %"
    line = pd.DataFrame({"active_tokens": [1.0, 0.2, 0.6], "time": [12.0, 4.0, 8.0]})
    assert crossing(line, "time", 10.0) == pytest.approx(0.8)
    assert crossing(line, "time", 4.0) is None
    assert crossing(line, "time", 13.0) == 1.0


def test_a_third_of_the_blocks_weights_is_fetched_again() -> None:
    """Of both blocks' weights, which stream at every timestep or come once, as the name says."""
    fetched = {}
    for machine in ("small weight buffer", "a third of weights off chip", "sparse_pe"):
        trace = TRACES / "stream_baseline.npz"
        layers = run(trace, machine, "timestep_serial", 1).tables["layers"]
        fetched[machine] = int(layers[layers.block >= 0].dram_bytes.sum())
    never, partly, kept = fetched.values()
    assert (partly - kept) / (never - kept) == pytest.approx(1 / 3, abs=0.01)


def test_a_wrong_option_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert study.main(["--seeds", "0", "--work", str(tmp_path / "w")]) == 2
    assert said("no seed") in capsys.readouterr().err
    with pytest.raises(SystemExit):
        study.main(["--tasks", "nothing"])
    words = ["--stages", "page", "--out", str(tmp_path), "--page", str(tmp_path / "p.md")]
    assert study.main([*words, "--work", str(tmp_path / "w")]) == 2
    assert said("rates that are not published") in capsys.readouterr().err
    assert not (tmp_path / "p.md").exists()
