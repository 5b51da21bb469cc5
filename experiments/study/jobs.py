"""One arm of the study with one seed: train it, then find out what it does.

Everything an arm leaves lies in its own folder under the work folder, so that a study that was
stopped goes on where it stood: with the arm's checkpoint, or with the next arm.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from experiments.study.arms import BY_NAME, Arm, Task
from experiments.study.untrained import WAYS
from models.data.images import Images
from models.data.sources import Source, read_source
from models.evaluate import evaluate
from models.files import write_staged
from models.networks import arms as prepared
from models.networks.config import HaltingConfig, named_config
from models.networks.stas import STAS
from models.networks.weights import load_weights, read_weights, save_weights
from models.train import LAST, store
from models.training.checkpoint import CHECKPOINT
from models.training.loop import RunPlace, TrainingRun, spread
from models.training.recipe import FOLDER, NetworkRecipe, Phase, Recipe, load_recipe
from models.training.similarity import timestep_similarity

FOUND = "found.json"
SAMPLE = 500
THRESHOLDS = tuple(round(0.02 * step, 2) for step in range(1, 41))
LOSS_ALLOWED = 0.002
# Nothing is fitted to images where weights come from a file.
NO_IMAGES = Images(np.zeros((0, 1, 1, 1), np.uint8), np.zeros(0, np.int64), (), "", "")


class Extent(NamedTuple):
    """How much of the study is done; None means all there is."""

    epochs: int | None = None
    images: int | None = None
    traced: int = 16


QUICK = Extent(epochs=1, images=200, traced=2)


def folder_of(work: Path, task: Task, seed: int, arm: str) -> Path:
    """Where an arm's files lie."""
    return work / task.name / f"seed{seed}" / arm


def run_arm(work: Path, task: Task, seed: int, name: str, extent: Extent) -> dict[str, Any]:
    """Train and evaluate an arm, unless that was done before; what was found, as in its file."""
    folder = folder_of(work, task, seed, name)
    if (folder / FOUND).exists():
        return dict(json.loads((folder / FOUND).read_text("utf-8")))
    folder.mkdir(parents=True, exist_ok=True)
    arm, source = BY_NAME[name], cut(read_source(load(task).dataset, None), extent)
    if arm.imposed:
        return impose(work, task, seed, arm, source)
    if arm.exits:
        choose_threshold(work, task, seed, arm, source)
    else:
        train_arm(work, task, seed, arm, source, extent)
    model = arm_of(folder / LAST).model
    found = {"task": task.name, "arm": name, "seed": seed, **describe(model, source)}
    write_staged(folder / FOUND, json.dumps(found, indent=1).encode())
    return found


def load(task: Task) -> Recipe:
    """The recipe that a task's arms share."""
    return load_recipe(FOLDER / f"{task.recipe}.yaml")


def cut(source: Source, extent: Extent) -> Source:
    """Fewer images, where the extent asks for it."""
    if extent.images is None:
        return source
    return source._replace(
        training=source.training.first(extent.images),
        held_out=source.held_out.first(extent.images),
        draw=None,
    )


def impose(work: Path, task: Task, seed: int, arm: Arm, source: Source) -> dict[str, Any]:
    """Evaluate a trained network under masks that no policy of its own makes."""
    assert arm.start is not None
    model = arm_of(folder_of(work, task, seed, arm.start) / LAST).model
    held_out = source.shown(source.held_out, arm.timesteps)
    found = {
        "task": task.name,
        "arm": arm.name,
        "seed": seed,
        "test_images": len(held_out.labels),
        "timesteps": arm.timesteps,
        "blocks": model.config.size.blocks,
        "similarity": [],
        "entropy": 0.0,
    }
    found |= WAYS[arm.imposed].find(model, held_out, seed)
    write_staged(
        folder_of(work, task, seed, arm.name) / FOUND, json.dumps(found, indent=1).encode()
    )
    return found


def train_arm(work: Path, task: Task, seed: int, arm: Arm, source: Source, extent: Extent) -> None:
    """Train from scratch, or from the weights of the arm that this one starts from."""
    folder = folder_of(work, task, seed, arm.name)
    start = None if arm.start is None else folder_of(work, task, seed, arm.start) / LAST
    recipe = recipe_of(work, task, seed, arm, extent)
    place = RunPlace(folder, torch.device("cpu"), start=start)
    job = TrainingRun(recipe, source, place)
    done = job.train((folder / CHECKPOINT).exists(), lambda row: None)
    store(job, done, recipe, sum(row["wall_seconds"] for row in done.rows))
    (folder / CHECKPOINT).unlink()


def recipe_of(work: Path, task: Task, seed: int, arm: Arm, extent: Extent) -> Recipe:
    """The task's recipe for an arm: its network, and the phase that it is trained in."""
    base, halting = load(task), dict(arm.halting)
    if arm.budget_of is not None:
        found = folder_of(work, task, seed, arm.budget_of) / FOUND
        profile = json.loads(found.read_text("utf-8"))["training_profile"]
        halting |= {"profile": profile, "seed": seed}
    phases: dict[str, Phase | None] = {"static": base.static, "halting": None}
    if arm.halts or arm.tuned:
        assert base.halting is not None
        phases = {"static": None, "halting": base.halting.model_copy(update=dict(arm.phase))}
    if arm.tuned:
        assert base.halting is not None
        fields = base.halting.model_dump(include=set(Phase.model_fields))
        phases = {"static": Phase(**fields), "halting": None}
    if extent.epochs is not None:
        phases = {
            name: phase and phase.model_copy(update={"epochs": extent.epochs})
            for name, phase in phases.items()
        }
    name = arm.network(base.network.name)
    network = NetworkRecipe(
        name=name, timesteps=arm.timesteps, switches=dict(arm.switches), halting=halting
    )
    return base.model_copy(update={"network": network, "seed": seed, **phases})


def choose_threshold(work: Path, task: Task, seed: int, arm: Arm, source: Source) -> None:
    """The baseline with the highest entropy threshold that costs no accuracy on training images.

    At most 0.2 points of it, on 500 images without augmentation.
    """
    assert arm.start is not None
    path = folder_of(work, task, seed, arm.start) / LAST
    state, header = read_weights(path)
    before = arm_of(path).model
    sample = source.shown(spread(source.training, SAMPLE), arm.timesteps)
    least = evaluate(before, sample).accuracy - LOSS_ALLOWED
    chosen = before
    for threshold in THRESHOLDS:
        halting = HaltingConfig(**arm.halting, entropy=threshold)
        model = STAS(dataclasses.replace(before.config, halting=halting))
        load_weights(model, state, path)
        model.eval()
        if evaluate(model, sample).accuracy < least:
            break
        chosen = model
    accuracy = prepared.accuracy_of(chosen, source.shown(source.held_out, arm.timesteps))
    metadata = header | {"accuracy": accuracy, "config": prepared.switches_of(chosen.config)}
    save_weights(folder_of(work, task, seed, arm.name) / LAST, chosen, metadata)


def arm_of(path: Path) -> prepared.Prepared:
    """The network of a weights file of the study, in evaluation mode, and what is true of it."""
    header = read_weights(path)[1]
    config = named_config(header["model"], header["dataset"], header["config"]["timesteps"])
    setup = prepared.Setup(config, header["dataset"], str(path), 0, 0.5, False, None)
    return prepared.prepare(setup, NO_IMAGES)


def describe(model: STAS, source: Source) -> dict[str, Any]:
    """Accuracy, active tokens and timestep similarity of a trained arm on held-out images."""
    timesteps = model.config.timesteps
    held_out = source.shown(source.held_out, timesteps)
    sample = source.shown(spread(source.training, SAMPLE), timesteps)
    metrics = evaluate(model, held_out)
    return {
        "test_top1": metrics.accuracy,
        "test_images": len(held_out.labels),
        "active_tokens": metrics.active_tokens,
        "timesteps": timesteps,
        "blocks": model.config.size.blocks,
        "profile": list(metrics.profile),
        "training_profile": list(evaluate(model, sample).profile),
        "similarity": list(timestep_similarity(model, held_out)),
        "entropy": model.config.halting.entropy,
    }
