"""The study: it runs through, goes on where it stood, and its page is what its tables say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.arms import Arm
from models.config import ModelConfig
from models.study import __main__ as study
from models.study import arms, gather
from models.study.arithmetic import savings
from models.study.chains import Chain, simulate_chain, train_chain
from models.study.imposed import impose, random_masks
from models.study.jobs import FOUND, Extent
from models.study.numbers import crossing, percent, signed, spread
from models.study.page import write_page
from models.study.tables import write_table
from models.study.tracing import COSTS, TRACE
from models.writing import write_trace
from simulator.trace import Trace
from tests.models.tiny_networks import lively, pictures, tiny_config

FEW = ("baseline_t4", "isps_early", "two_dim", "random", "entropy")
EXTENT = Extent(epochs=1, images=60, traced=1)


def test_every_arm_starts_from_one_before_it() -> None:
    for task in arms.TASKS:
        for place, name in enumerate(task.arms):
            arm = arms.BY_NAME[name]
            assert {arm.start, arm.budget_of} - {None} <= set(task.arms[:place])
            assert (arm.start is not None) == arm.halts


@pytest.mark.slow
def test_a_chain_runs_through_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = arms.TASK_BY_NAME["digits"]._replace(arms=FEW)
    monkeypatch.setitem(arms.TASK_BY_NAME, "digits", task)
    chain = Chain("digits", 0)
    train_chain(tmp_path, chain, EXTENT)
    folder = tmp_path / "digits" / "seed0"
    before = {name: (folder / name / FOUND).stat().st_mtime_ns for name in FEW}
    (folder / "random" / FOUND).unlink()
    train_chain(tmp_path, chain, EXTENT)
    after = {name: (folder / name / FOUND).stat().st_mtime_ns for name in FEW}
    assert {name for name in FEW if before[name] != after[name]} == {"random"}
    simulate_chain(tmp_path, chain, EXTENT)
    out = tmp_path / "out"
    gather.write_arms(tmp_path, out, [chain, Chain("digits", 1)])
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
    write_table(out / "spikingformer.csv", [saving._asdict() for saving in savings()])
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
    return Arm(lively(config), weights)


@pytest.mark.parametrize("share", [0.2, 0.55, 1.0])
def test_random_masks_halt_for_good(share: float) -> None:
    config = tiny_config(halting=False)
    masks = random_masks(config, share, 0)
    steps = np.stack([masks[str(b)] for b in range(config.size.blocks)], 1).reshape(-1, 64)
    assert steps[0].all()
    assert (steps[1:] <= steps[:-1]).all()
    assert steps.mean() == pytest.approx(share, abs=0.02)


def test_numbers_are_written_as_meant() -> None:
    assert spread(pd.Series([0.97, 0.99]), 100) == "98.0 ± 1.4"
    assert spread(pd.Series([0.97]), 100) == "97.0"
    assert signed(pd.Series([-0.5])) == "-0.50"
    assert percent(0.576) == "58 %"
    line = pd.DataFrame({"active_tokens": [1.0, 0.2, 0.6], "time": [12.0, 4.0, 8.0]})
    assert crossing(line, "time", 10.0) == pytest.approx(0.8)
    assert crossing(line, "time", 4.0) is None
    assert crossing(line, "time", 13.0) == 1.0


def test_a_wrong_option_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert study.main(["--seeds", "0", "--work", str(tmp_path / "w")]) == 2
    assert "--seeds is 0" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        study.main(["--tasks", "nothing"])
    words = ["--stages", "page", "--out", str(tmp_path), "--page", str(tmp_path / "p.md")]
    assert study.main([*words, "--work", str(tmp_path / "w")]) == 2
    assert "spikingformer.csv" in capsys.readouterr().err
    assert not (tmp_path / "p.md").exists()
