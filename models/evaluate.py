"""Accuracy and active tokens of a network on images, and the halting offset of a token budget."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.data.images import Images
from models.errors import ModelError
from models.halting.recursion import Halting
from models.networks.config import ModelConfig
from models.networks.stas import STAS

EVALUATION_BATCH = 100
BETA_RANGE = (-24.0, 8.0)
BETA_STEPS = 15


class Metrics(NamedTuple):
    """Hold a network's figures over images.

    accuracy: top-1 fraction.
    active_tokens: mean fraction over (image, timestep, block, token).
    profile: the same of each step, timesteps outside, blocks inside; empty without halting.
    """

    accuracy: float
    active_tokens: float
    profile: tuple[float, ...] = ()


def pixels_of(images: Images) -> Tensor:
    """Return pixels (image, [timestep,] channel, h, w) as a network takes them, float32 0..255."""
    return torch.from_numpy(images.pixels.astype(np.float32))


def batches(images: Images, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield pixels and labels of `size` images at a time, in order."""
    for at in range(0, len(images.labels), size):
        part = images._replace(pixels=images.pixels[at : at + size])
        yield pixels_of(part), torch.from_numpy(images.labels[at : at + size])


def evaluate(model: STAS, images: Images, path: str | None = None) -> Metrics:
    """Run the network in evaluation mode over `images`."""
    return metrics_of(tally(model, images, path))


@torch.no_grad()
def tally(model: STAS, images: Images, path: str | None = None) -> Tensor:
    """Count over `images` what adds up over parts of a set: int64 (3 + step,).

    Images right, images, tokens of images with masks, and for each (timestep, block) those active.
    Raises ModelError for logits that are not finite.
    """
    was_training = model.training
    model.eval()
    device = model.head.weight.device
    steps = model.config.timesteps * model.config.size.blocks
    counts = torch.zeros(3 + steps, dtype=torch.int64)
    for pixels, labels in batches(images, EVALUATION_BATCH):
        output = model(pixels.to(device), path=path)
        logits = output.logits.cpu()
        if not bool(logits.isfinite().all()):
            raise ModelError(f"{model.config.name} gives logits that are not finite")
        counts[0] += (logits.argmax(1) == labels).sum()
        counts[1] += len(labels)
        if output.active is not None:
            counts[2] += output.active[:, 0, 0].numel()
            counts[3:] += output.active.sum((0, 3)).flatten().cpu()
    model.train(was_training)
    return counts


def metrics_of(counts: Tensor) -> Metrics:
    """Return the metrics of the counts of `tally`."""
    right, images, tokens = counts[:3].tolist()
    profile = tuple((counts[3:] / tokens).tolist()) if tokens else ()
    active = int(counts[3:].sum()) / (tokens * len(profile)) if tokens else 1.0
    return Metrics(right / images, active, profile)


def check_budget(config: ModelConfig, active_tokens: float) -> None:
    """Raise ModelError for a mean of active tokens that no halting can reach."""
    if config.halting.granularity == "waking" and 0.0 < active_tokens <= 1.0:
        return  # a token may sit out every timestep
    steps = config.halting.round_length(config.timesteps, config.size.blocks)
    if not 1.0 / steps <= active_tokens <= 1.0:
        raise ModelError(
            f"active tokens {active_tokens} cannot be met: every token runs at least one of "
            f"{steps} steps, so the target must lie in {1.0 / steps:.4g}..1"
        )


def fit_beta(model: STAS, images: Images, active_tokens: float) -> float:
    """Set the halting's beta by bisection so that active tokens on `images` are as asked.

    Returns the mean reached. Raises ModelError for a target that no beta can meet (under one step
    per token).
    """
    check_budget(model.config, active_tokens)
    assert isinstance(model.halting, Halting)
    low, high = BETA_RANGE
    best = (float("inf"), low, 1.0)
    for _ in range(BETA_STEPS):
        middle = (low + high) / 2.0
        with torch.no_grad():
            model.halting.beta.fill_(middle)
        reached = evaluate(model, images).active_tokens
        best = min(best, (abs(reached - active_tokens), middle, reached))
        low, high = (middle, high) if reached > active_tokens else (low, middle)
    with torch.no_grad():
        model.halting.beta.fill_(best[1])
    return best[2]
