"""Does the joint design meet every value with every other, and choose by means over seeds?"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
import yaml

from experiments.joint import variants
from experiments.joint.__main__ import OUT, PAGE, TASKS, jobs_of
from experiments.joint.page import Designs, front, read, sentences, write_page
from experiments.joint.search import MACHINE, METRICS, chosen, space
from experiments.joint.traces import trace_of
from experiments.study.arms import BY_NAME
from experiments.study.schedule import ArmJob

ROOT = Path(__file__).parents[2]
AXES = ("halting", "timesteps")


@pytest.mark.parametrize("task", TASKS)
def test_every_value_meets_every_other(task: str) -> None:
    listed = variants.of_task(task)
    names = [*listed[0].axes]
    values = [list(dict.fromkeys(each.axes[name] for each in listed)) for name in names]
    found = [tuple(each.axes[name] for name in names) for each in listed]
    assert sorted(found, key=str) == sorted(itertools.product(*values), key=str)


@pytest.mark.parametrize("task", TASKS)
def test_every_network_is_an_arm_of_its_form(task: str) -> None:
    for each in variants.of_task(task):
        arm = BY_NAME[each.arm]
        own = each.axes.get("granularity", "none")
        if own not in ("none", variants.TRAINED_SO):
            assert arm.halting["granularity"] == own
        if "isps" in each.axes:
            assert arm.timesteps == (each.timesteps if own == variants.TRAINED_SO else 4)
            if arm.timesteps > 1:
                assert arm.switches.get("isps", "none") == each.axes["isps"]


def test_one_trace_for_all_that_run_alike() -> None:
    listed = variants.of_task("digits")
    plain = ("none", variants.TRAINED_SO)
    still = [each for each in listed if each.axes["granularity"] in plain]
    assert len({each.stem for each in still}) == (1 + 2 * 4) + 3 * 4
    halting = {each.stem for each in listed} - {each.stem for each in still}
    assert len(halting) == len(listed) - len(still)


def test_an_arm_is_trained_after_what_it_begins_from() -> None:
    jobs = jobs_of("digits", [0])
    assert jobs.index(ArmJob("digits", 0, "isps_late_sum")) < jobs.index(
        ArmJob("digits", 0, "late_block")
    )


def test_the_space_lists_every_network_of_every_seed(tmp_path: Path) -> None:
    listed = variants.of_task("stream")
    written = yaml.safe_load(space(tmp_path, "stream", (0, 3), listed, 16))
    assert len(written["traces"]) == 2 * len(listed)
    assert written["traces"][-1] == {
        "file": str(trace_of(tmp_path, "stream", 3, listed[-1])),
        "seed": 3,
        **listed[-1].axes,
    }


def point(halting: str, seed: int, buffer: int, energy: float, accuracy: float, ms: float) -> dict:
    values = {"dataflow.kind": "timestep_serial", "dataflow.images_together": 1}
    values |= {"cores.0.buffers.weights.size_kib": buffer}
    values |= {"cores.0.buffers.membranes.size_kib": 64}
    named = {f"parameter.{name}": value for name, value in values.items()}
    named |= {"parameter.seed": seed, "parameter.halting": halting, "parameter.timesteps": 4}
    metrics = {"accuracy": accuracy, "energy_uj": energy, "latency_ms": ms}
    metrics["active_tokens"] = 1.0 if halting == "none" else 0.6
    return named | {f"metric.{name}": value for name, value in metrics.items()} | {"status": "ok"}


def points() -> pd.DataFrame:
    rows = []
    for seed in (0, 1):
        rows += [
            point("none", seed, 16, 10.0 + seed, 0.90, 2.0),
            point("none", seed, 64, 11.0 - 3 * seed, 0.90, 3.0),  # less energy in the mean
            point("STAS, 0.5", seed, 16, 6.0, 0.895, 1.0),
            point("STAS, 0.9", seed, 16, 7.0, 0.80, 1.5),
        ]
    lost = point("STAS, 0.9", 1, 64, 0.0, 0.0, 0.0) | {"status": "failed"}
    return pd.DataFrame([*rows, point("STAS, 0.9", 0, 64, 1.0, 0.9, 0.1), lost])


def test_a_machine_is_chosen_by_the_mean_over_all_seeds() -> None:
    table = chosen(points(), AXES)
    of = table[(table.halting == "none")].groupby("by")["cores.0.buffers.weights.size_kib"]
    assert of.unique().map(list).to_dict() == {"energy": [64], "time": [16]}
    # A machine that one seed could not run is none.
    assert set(table[table.halting == "STAS, 0.9"]["cores.0.buffers.weights.size_kib"]) == {16}


def found(tmp_path: Path, by: str = "energy") -> Designs:
    chosen(points(), AXES).to_csv(tmp_path / "stream.csv", index=False)
    return read(tmp_path / "stream.csv", by)


def test_the_front_has_what_nothing_beats(tmp_path: Path) -> None:
    best = front(found(tmp_path), "energy_uj")
    assert best.halting.tolist() == ["STAS, 0.5", "none"]


def test_the_cheapest_within_a_point_is_built(tmp_path: Path) -> None:
    of_task = found(tmp_path)
    assert of_task.cheapest("energy_uj").halting == "STAS, 0.5"
    assert of_task.cheapest("energy_uj", halting=False).halting == "none"
    assert "at -0.50 [-0.50, -0.50] points" in sentences(of_task)


def test_a_page_is_written_from_tables_alone(tmp_path: Path) -> None:
    found(tmp_path)
    write_page(tmp_path, tmp_path / "page.md")
    assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")
    assert "STAS, 0.5" in (tmp_path / "page.md").read_text("utf-8")


def test_the_shipped_page_is_what_its_tables_give(tmp_path: Path) -> None:
    tables: Sequence[Path] = sorted((ROOT / OUT).glob("*.csv"))
    assert {path.stem for path in tables} == set(TASKS)
    folder = tmp_path / OUT.name
    folder.mkdir()
    for path in tables:
        (folder / path.name).write_bytes(path.read_bytes())
        assert set(pd.read_csv(path).columns) >= {"seed", "by", *MACHINE, *METRICS}
    write_page(folder, tmp_path / PAGE.name)
    assert (tmp_path / PAGE.name).read_text("utf-8") == (ROOT / PAGE).read_text("utf-8")
