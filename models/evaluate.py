"""What a network does on images: accuracy and active tokens; and the halting offset that meets a
token budget.
"""

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
    """`accuracy`: top-1 fraction; `active_tokens`: mean fraction over (image, timestep, block,
    token); `profile`: the same for each step, timesteps outside, blocks inside (empty without
    halting).
    """

    accuracy: float
    active_tokens: float
    profile: tuple[float, ...] = ()


def pixels_of(images: Images) -> Tensor:
    """Pixels (image, [timestep,] channel, h, w) as a network takes them: float32, 0..255."""
    return torch.from_numpy(images.pixels.astype(np.float32))


def batches(images: Images, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Pixels and labels of `size` images at a time, in order."""
    for at in range(0, len(images.labels), size):
        part = images._replace(pixels=images.pixels[at : at + size])
        yield pixels_of(part), torch.from_numpy(images.labels[at : at + size])


@torch.no_grad()
def evaluate(model: STAS, images: Images, path: str | None = None) -> Metrics:
    """Run the network in evaluation mode over `images`."""
    was_training = model.training
    model.eval()
    device = model.head.weight.device
    right, active, of = 0, 0, 0
    by_step = torch.zeros(model.config.timesteps, model.config.size.blocks, dtype=torch.int64)
    for pixels, labels in batches(images, EVALUATION_BATCH):
        output = model(pixels.to(device), path=path)
        right += int((output.logits.argmax(1).cpu() == labels).sum())
        if output.active is not None:
            active += int(output.active.sum())
            of += output.active.numel()
            by_step += output.active.sum((0, 3)).cpu()
    model.train(was_training)
    each = of / by_step.numel()
    profile = tuple((by_step.flatten() / each).tolist()) if of else ()
    return Metrics(right / len(images.labels), active / of if of else 1.0, profile)


def check_budget(config: ModelConfig, active_tokens: float) -> None:
    """Raise ModelError for a mean of active tokens that no halting can reach."""
    blocks, timesteps = config.size.blocks, config.timesteps
    steps = {"block": blocks, "timestep": timesteps}.get(
        config.halting.granularity, timesteps * blocks
    )
    if not 1.0 / steps <= active_tokens <= 1.0:
        raise ModelError(
            f"active tokens {active_tokens} cannot be met: every token runs at least one of "
            f"{steps} steps, so the target must lie in {1.0 / steps:.4g}..1"
        )


def fit_beta(model: STAS, images: Images, active_tokens: float) -> float:
    """Set the halting's beta by bisection so that the mean of active tokens on `images` is
    `active_tokens`.

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
