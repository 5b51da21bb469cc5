"""Checkpoints: all that a training run needs to go on as if it had never stopped.

A safetensors file, no pickle: tensors by name, the rest as JSON in its header. It is replaced
whole, so a run that is killed, at any moment, leaves its last one.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from models.errors import ModelError
from models.files import write_staged
from models.networks.weights import load_weights, read_weights
from simulator.config.sealed import sealed_tensors

CHECKPOINT = "checkpoint.safetensors"
SCHEMA = "stasim-checkpoint/1"
MODEL, BEST, OPTIMIZER, AVERAGE = "model.", "best.", "optimizer.", "average."


class Position(NamedTuple):
    """Hold how far a run has come.

    `epoch`, `step`: the next batch, from 0; `loss`: summed over this epoch's batches; `rows`: the
    metrics of whole epochs; `best_epoch`: that of the weights kept as best, 0 for none.
    """

    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    rows: tuple[dict[str, Any], ...] = ()
    best_epoch: int = 0


class Parts(NamedTuple):
    """Hold what a checkpoint reads and writes in place: everything that changes while training."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: LRScheduler
    generator: torch.Generator
    average: nn.Module | None = None


class ResumeState(NamedTuple):
    """Hold tensors beside the parts: the epoch's order int64 (image,), the best weights by name."""

    order: Tensor
    best: dict[str, Tensor]


def save_checkpoint(
    path: Path, recipe: str, parts: Parts, position: Position, kept: ResumeState
) -> None:
    """Write a checkpoint of the run of a recipe (its content hash)."""
    state = parts.optimizer.state_dict()
    tensors = {MODEL + name: tensor for name, tensor in parts.model.state_dict().items()}
    if parts.average is not None:
        averaged = parts.average.state_dict().items()
        tensors |= {AVERAGE + name: tensor for name, tensor in averaged}
    tensors |= {BEST + name: tensor for name, tensor in kept.best.items()}
    for index, values in state["state"].items():
        tensors |= {f"{OPTIMIZER}{index}.{name}": value for name, value in values.items()}
    tensors |= {"order": kept.order, "generator": parts.generator.get_state()}
    metadata = {
        "schema": SCHEMA,
        "recipe": recipe,
        "position": position._asdict(),
        "groups": state["param_groups"],
        "schedule": parts.schedule.state_dict(),
    }
    detached = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_staged(path, sealed_tensors(save(detached, {"stasim": json.dumps(metadata)})))


def read_checkpoint(path: Path, recipe: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return tensors and header of a checkpoint of this recipe; raises ModelError for any other."""
    tensors, metadata = read_weights(path)
    if metadata.get("schema") != SCHEMA:
        raise ModelError(f"{path} is not a checkpoint of training ({SCHEMA})")
    if metadata.get("recipe") != recipe:
        raise ModelError(f"{path} is of another recipe; train into another folder")
    return tensors, metadata


def restore(
    path: Path, parts: Parts, saved: tuple[dict[str, Tensor], dict[str, Any]], *, optimizer: bool
) -> ResumeState:
    """Put what `read_checkpoint` gave into the parts; return what is kept beside them.

    `optimizer`: whether optimizer and schedule are restored too.
    """
    tensors, metadata = saved
    try:
        load_weights(parts.model, _under(MODEL, tensors), path)
        parts.generator.set_state(tensors["generator"])
        if parts.average is not None:
            parts.average.load_state_dict(_under(AVERAGE, tensors))
        if optimizer:
            state: dict[int, dict[str, Tensor]] = defaultdict(dict)
            for name, tensor in _under(OPTIMIZER, tensors).items():
                index, _, value = name.partition(".")
                state[int(index)][value] = tensor
            groups = [group | {"betas": tuple(group["betas"])} for group in metadata["groups"]]
            parts.optimizer.load_state_dict({"state": state, "param_groups": groups})
            parts.schedule.load_state_dict(metadata["schedule"])
        return ResumeState(tensors["order"], _under(BEST, tensors))
    except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ModelError(
            f"{path} is a damaged checkpoint: {type(error).__name__}: {error}"
        ) from None


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with `prefix`, without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
