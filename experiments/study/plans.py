"""Plans that machines price unlike: how many tokens of a frame run, and when an image ends.

A plan is (k, e): of each frame of the stream the k tokens with most ink at or beside them run, a
count of events that a machine has ahead of the frame, and an image ends after the first frame at
which the normalised entropy of its running prediction is under e. Nothing is trained. For each
machine the plan that costs least on training composites, within some points of the accuracy of all
tokens, is chosen; its cost and accuracy are measured on held-out images, on every machine.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats

from experiments.study.arms import TASK_BY_NAME
from experiments.study.imposed import wiped
from experiments.study.jobs import Extent, arm_of, folder_of, load
from models.data.composites import TASKS, drawn, ink_beside
from models.data.images import Images
from models.data.sources import read_source
from models.evaluate import EVALUATION_BATCH, batches
from models.files import write_staged
from models.halting.exits import normalised_entropy
from models.networks.arms import Prepared
from models.networks.config import HaltingConfig
from models.networks.stas import STAS
from models.train import LAST
from models.writing import announce, write_trace
from simulator.architecture import Architecture, load_architecture
from simulator.simulate import Simulation
from simulator.trace import Trace, open_writer

ARCHITECTURE = Path(__file__).parents[2] / "arch_configs/sparse_pe.yaml"
KEPT = (36, 28, 24, 20, 16, 14)
ENTROPIES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
GIVEN_UP = (0.5, 1.0, 2.0, 3.0, 5.0)
COST_COLUMNS = ("energy_pj", "latency_cycles")
PLANS = "plans.json"
COUNT, TRACED, SEED_OF_CHOICE = 1000, 4, 778
Floats = npt.NDArray[np.float64]


class PricedMachine(NamedTuple):
    """A machine that prices plans: sparse_pe with fields of its own; whether images may end."""

    name: str
    fields: tuple[str, ...]
    exits: bool = True


MACHINES = (
    PricedMachine("streaming", ("cores.0.buffers.weights.size_kib=16",)),
    PricedMachine("resident", ()),
    PricedMachine("tick-batched", ("dataflow.kind=tick_batched",), exits=False),
    PricedMachine("tiles of 32", ("cores.0.pe_array.rows=32", "cores.0.pe_array.columns=8")),
)


class Outcome(NamedTuple):
    """What every plan does on a set: float64 (k, e) accuracy, int64 (k, e, image) frames run."""

    accuracy: Floats
    frames: npt.NDArray[np.int64]


def measure_plans(work: Path, seed: int, extent: Extent) -> None:
    """Write what every machine's plans cost and keep, for one seed, unless that was done before."""
    task = TASK_BY_NAME["stream"]
    folder = folder_of(work, task, seed, "baseline_t4")
    if (folder / PLANS).exists():
        return
    arm, source = arm_of(folder / LAST), read_source(load(task).dataset, None)
    count = extent.images or COUNT
    training = _digits_to_choose_by(count, seed)
    held_out = source.held_out.first(count)
    prices = price(folder, arm, held_out.first(min(extent.traced, TRACED)), source.dataset)
    rows = list(choose(prices, outcomes(arm.model, training), outcomes(arm.model, held_out)))
    write_staged(folder / PLANS, json.dumps(rows, indent=1).encode())


def _digits_to_choose_by(count: int, seed: int) -> Images:
    """Composites of training digits that no training has shown."""
    digits = TASKS["stream"].digits()[0]
    return drawn("stream", digits, count, (SEED_OF_CHOICE, seed)).images


@torch.no_grad()
def outcomes(model: STAS, images: Images) -> Outcome:
    """Run every plan on the images: a pass for each k, the exits from its running predictions."""
    order = order_by_ink(images, model.config.grid[0])
    accuracy, frames = [], []
    for kept in KEPT:
        masks = np.repeat((order < kept)[:, :, None], model.config.size.blocks, 2)
        logits = running_logits(model, images, masks)
        entropy = normalised_entropy(logits.flatten(0, 1)).view(logits.shape[:2]).numpy()
        entropy[-1] = -1.0  # at the last frame every image ends
        right = (logits.argmax(2).numpy() == images.labels).astype(np.float64)
        last = [np.argmax(entropy < level, 0) for level in ENTROPIES]
        accuracy.append([right[each, np.arange(len(each))].mean() for each in last])
        frames.append([each + 1 for each in last])
    return Outcome(np.array(accuracy), np.array(frames))


def order_by_ink(images: Images, tokens: int) -> npt.NDArray[np.int64]:
    """The place (image, timestep, token) of each token, most ink at or beside it first."""
    ink = ink_beside(images.pixels, tokens)
    return np.argsort(np.argsort(-ink, axis=-1, kind="stable"), axis=-1, kind="stable")


def running_logits(model: STAS, images: Images, masks: npt.NDArray[np.bool_]) -> torch.Tensor:
    """Logits (timestep, image, class) of the frames so far, under masks that are obeyed."""
    found: list[torch.Tensor] = []

    def listen(module: torch.nn.Module, inputs: Any, stream: torch.Tensor) -> None:
        features = stream.mean(2)
        counts = torch.arange(1, len(features) + 1).view(-1, 1, 1)
        found.append(model.head(features.cumsum(0) / counts))

    handle = model.blocks[-1].register_forward_hook(listen)
    for place, (pixels, labels) in enumerate(batches(images, EVALUATION_BATCH)):
        at = place * EVALUATION_BATCH
        imposed = torch.from_numpy(masks[at : at + len(labels)])
        model(pixels, path="layers", imposed=imposed)
    handle.remove()
    return torch.cat(found, 1)


def price(folder: Path, arm: Prepared, images: Images, dataset: str) -> dict[str, Floats]:
    """What an image costs on each machine: float64 (cost column, k, frames run).

    Masks are imposed on the trace of all tokens: rows that run keep their spikes.
    """
    whole, imposed = folder / "all_tokens.npz", folder / "plan.npz"
    write_trace(whole, arm, images, dataset, len(images.labels))
    order = order_by_ink(images, arm.model.config.grid[0])
    timesteps = arm.model.config.timesteps
    shape = (len(COST_COLUMNS), len(KEPT), timesteps)
    prices = {machine.name: np.full(shape, np.inf) for machine in MACHINES}
    for place, kept in enumerate(KEPT):
        for frames in range(1, timesteps + 1):
            masks = (order < kept) & (np.arange(timesteps) < frames)[:, None]
            for exits in (True, False) if frames == timesteps else (True,):
                impose(whole, imposed, arm, images, masks, "waking" if exits else "block")
                for machine in MACHINES:
                    if machine.exits == exits:
                        prices[machine.name][:, place, frames - 1] = mean_cost(imposed, machine)
    whole.unlink()
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
    """Write the trace `path`: `source` with masks (image, timestep, token) in every block."""
    policy = "gate" if granularity == "waking" else "token_importance"
    halting = HaltingConfig(granularity=granularity, policy=policy, output="last")
    config = dataclasses.replace(arm.model.config, halting=halting)
    with Trace.open(source) as trace:
        topology, manifest = announce(
            Prepared(STAS(config), arm.weights), images, trace.manifest["dataset"]["name"]
        )
        with open_writer(path, manifest) as writer:
            for image in map(trace.read, range(len(images.labels))):
                own = {str(block): masks[image.index] for block in range(config.size.blocks)}
                tensors = dict(image.tensors)
                for name, tensor in tensors.items():
                    mask = topology.tensors[name].mask
                    if mask is not None:
                        tensors[name] = wiped(tensor, own[mask])
                writer.add(tensors, own, image.label)


def mean_cost(trace: Path, machine: PricedMachine) -> Floats:
    """The mean cost of an image, in the order of COST_COLUMNS."""
    with Trace.open(trace) as opened:
        result = Simulation(opened, _architecture(machine)).run(range(opened.images))
    return np.array([result.tables["images"][column].mean() for column in COST_COLUMNS])


def _architecture(machine: PricedMachine) -> Architecture:
    fields = ["dataflow.kind=timestep_serial", *machine.fields]
    return load_architecture(ARCHITECTURE, fields)


def choose(
    prices: dict[str, Floats], training: Outcome, held_out: Outcome
) -> Iterator[dict[str, Any]]:
    """A row for each allowed loss, machine that chose and machine that ran."""
    top = training.accuracy[0, 0]
    for column, cost in enumerate(COST_COLUMNS):
        for given_up in GIVEN_UP:
            fine = training.accuracy >= top - given_up / 100.0
            for chooser in MACHINES:
                costs = costs_of(prices[chooser.name][column], training.frames)
                best = np.unravel_index(np.argmin(np.where(fine, costs, np.inf)), costs.shape)
                for runner in MACHINES:
                    plan = (best[0], best[1] if runner.exits else 0)  # else no image ends early
                    on_runner = costs_of(prices[runner.name][column], held_out.frames)
                    both = [
                        costs_of(prices[each.name][column], training.frames)
                        for each in (chooser, runner)
                    ]
                    yield {
                        "cost": cost,
                        "given_up": given_up,
                        "chosen_for": chooser.name,
                        "run_on": runner.name,
                        "kept": KEPT[plan[0]],
                        "entropy": ENTROPIES[plan[1]],
                        "test_top1": float(held_out.accuracy[plan]),
                        "value": float(on_runner[plan]),
                        "rank_correlation": agreement(*both),
                    }


def agreement(first: Floats, second: Floats) -> float:
    """Spearman's rank correlation of two machines' costs over the plans that both can run."""
    both = np.isfinite(first) & np.isfinite(second)
    return float(stats.spearmanr(first[both], second[both]).statistic)


def costs_of(price_table: Floats, frames: npt.NDArray[np.int64]) -> Floats:
    """The mean cost (k, e) of the images, by the frames that each runs."""
    by_image = np.take_along_axis(price_table[:, None, :], frames - 1, 2)
    return np.asarray(by_image.mean(2))
