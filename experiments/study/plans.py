"""Plans that machines price unlike: how many tokens of a frame run, and when an image ends.

A plan is (k, e) of experiments/study/events.py. For each machine the plan that costs least on
training composites, within some points of the accuracy of all tokens, is chosen; its cost and
accuracy are measured on held-out images, on every machine.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from experiments.study.arms import TASK_BY_NAME
from experiments.study.events import (
    ENTROPIES,
    KEPT,
    Floats,
    PlanOutcomes,
    composites_to_choose_by,
    order_by_ink,
    outcomes,
)
from experiments.study.hardware import KINDS
from experiments.study.imposed import write_masked
from experiments.study.jobs import Extent, arm_of, folder_of, load
from models.data.composites import HELD_OUT
from models.data.images import Images
from models.data.sources import read_source
from models.files import write_staged
from models.networks.arms import Prepared
from models.networks.config import HaltingConfig
from models.networks.stas import STAS
from models.operations.writing import write_trace
from models.train import LAST
from simulator.architecture import Architecture, load_architecture
from simulator.simulate import Simulation
from simulator.trace import Trace

ARCHITECTURE = Path(__file__).parents[2] / "arch_configs/sparse_pe.yaml"
GIVEN_UP = (0.5, 1.0, 2.0, 3.0, 5.0)
COST_COLUMNS = ("energy_pj", "latency_cycles")
PLANS = "plans.json"
TRACED = 4


class PricedMachine(NamedTuple):
    """A machine that prices plans: sparse_pe with fields of its own; whether images may end."""

    name: str
    fields: tuple[str, ...]
    exits: bool = True


STREAMING = KINDS["small weight buffer"]
MACHINES = (
    PricedMachine("streaming", STREAMING),
    PricedMachine("resident", ()),
    PricedMachine("tick-batched", ("dataflow.kind=tick_batched",), exits=False),
    PricedMachine("a third off chip", KINDS["a third of weights off chip"]),
    PricedMachine("4 images together", (*STREAMING, "dataflow.images_together=4")),
    PricedMachine("tiles of 32", ("cores.0.pe_array.rows=32", "cores.0.pe_array.columns=8")),
)


def measure_plans(work: Path, seed: int, extent: Extent) -> None:
    """Write what every machine's plans cost and keep, for one seed, unless that was done before."""
    task = TASK_BY_NAME["stream"]
    folder = folder_of(work, task, seed, "baseline_t4")
    if (folder / PLANS).exists():
        return
    arm, source = arm_of(folder / LAST), read_source(load(task).dataset, None)
    count = extent.images or HELD_OUT
    training = composites_to_choose_by(count, seed)
    held_out = source.held_out.first(count)
    prices = price(folder, arm, held_out.first(min(extent.traced, TRACED)), source.dataset)
    rows = list(choose(prices, outcomes(arm.model, training), outcomes(arm.model, held_out)))
    write_staged(folder / PLANS, json.dumps(rows, indent=1).encode())


def price(folder: Path, arm: Prepared, images: Images, dataset: str) -> dict[str, Floats]:
    """What an image costs on each machine: float64 (cost column, k, frames run).

    Masks are imposed on the trace of all tokens: rows that run keep their spikes.
    """
    full, imposed = folder / "all_tokens.npz", folder / "plan.npz"
    write_trace(full, arm, images, dataset, len(images.labels))
    order = order_by_ink(images, arm.model.config.grid[0])
    timesteps = arm.model.config.timesteps
    shape = (len(COST_COLUMNS), len(KEPT), timesteps)
    prices = {machine.name: np.full(shape, np.inf) for machine in MACHINES}
    for place, kept in enumerate(KEPT):
        for frames in range(1, timesteps + 1):
            runs = (order < kept) & (np.arange(timesteps) < frames)[:, None]
            masks = np.repeat(runs[:, :, None], arm.model.config.size.blocks, 2)
            for exits in (True, False) if frames == timesteps else (True,):
                impose(full, imposed, arm, images, masks, "waking" if exits else "block")
                for machine in MACHINES:
                    if machine.exits == exits:
                        prices[machine.name][:, place, frames - 1] = mean_cost(imposed, machine)
    full.unlink()
    imposed.unlink()
    return prices


def impose(
    source: Path,
    path: Path,
    arm: Prepared,
    images: Images,
    masks: npt.NDArray[np.bool_],
    granularity: str,
) -> None:
    """Write the trace `path`: `source` with masks (image, timestep, block, token)."""
    policy = "gate" if granularity == "waking" else "token_importance"
    halting = HaltingConfig(granularity=granularity, policy=policy, output="last")
    config = dataclasses.replace(arm.model.config, halting=halting)
    halts = Prepared(STAS(config), arm.weights)

    def of_image(index: int) -> dict[str, npt.NDArray[np.bool_]]:
        return {str(block): masks[index, :, block] for block in range(config.size.blocks)}

    write_masked(source, path, halts, images, of_image)


def mean_cost(trace: Path, machine: PricedMachine) -> Floats:
    """The mean cost of an image, in the order of COST_COLUMNS."""
    with Trace.open(trace) as opened:
        result = Simulation(opened, _architecture(machine)).run(range(opened.images))
    return np.array([result.tables["images"][column].mean() for column in COST_COLUMNS])


def _architecture(machine: PricedMachine) -> Architecture:
    fields = ["dataflow.kind=timestep_serial", *machine.fields]
    return load_architecture(ARCHITECTURE, fields)


def choose(
    prices: dict[str, Floats], training: PlanOutcomes, held_out: PlanOutcomes
) -> Iterator[dict[str, Any]]:
    """A row for each allowed loss, machine that chose and machine that ran."""
    asked = {name: costs_of(each, training.frames) for name, each in prices.items()}
    paid = {name: costs_of(each, held_out.frames) for name, each in prices.items()}
    lost = 100.0 * (training.accuracy[0, 0] - training.accuracy)  # all tokens, no exit: first
    for column, cost in enumerate(COST_COLUMNS):
        for given_up, chooser, runner in product(GIVEN_UP, MACHINES, MACHINES):
            own, other = asked[chooser.name][column], asked[runner.name][column]
            best = np.unravel_index(np.argmin(np.where(lost <= given_up, own, np.inf)), own.shape)
            plan = (best[0], best[1] if runner.exits else 0)  # else no image ends early
            yield {
                "cost": cost,
                "given_up": given_up,
                "chosen_for": chooser.name,
                "run_on": runner.name,
                "kept": KEPT[plan[0]],
                "entropy": ENTROPIES[plan[1]],
                "test_top1": float(held_out.accuracy[plan]),
                "value": float(paid[runner.name][column][plan]),
                "rank_correlation": agreement(own, other),
            }


def agreement(first: Floats, second: Floats) -> float:
    """Spearman's rank correlation of two machines' costs over the plans that both can run."""
    both = np.isfinite(first) & np.isfinite(second)
    return float(stats.spearmanr(first[both], second[both]).statistic)


def costs_of(prices: Floats, frames: npt.NDArray[np.int64]) -> Floats:
    """The mean cost (cost column, k, e) of the images, by the frames that each runs."""
    by_image = np.take_along_axis(prices[:, :, None, :], frames[None] - 1, 3)
    return np.asarray(by_image.mean(3))
