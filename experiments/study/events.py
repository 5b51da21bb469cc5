"""Halting by a count of events, untrained: how many tokens of a frame run, when an image ends.

By a plan (k, e) the k tokens of each frame of the stream with most ink at or beside them run, a
count of events that a machine has ahead of the frame, and an image ends after the first frame at
which the normalised entropy of its running prediction is under e.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from models.data.composites import TASKS, drawn, ink_beside
from models.data.images import Images
from models.evaluate import EVALUATION_BATCH, batches
from models.halting.exits import normalised_entropy
from models.networks.config import ModelConfig
from models.networks.stas import STAS

KEPT = (36, 28, 24, 20, 16, 14)
ENTROPIES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
SEED_OF_CHOICE = 778
POINTS_GIVEN_UP = 1.0
Floats = npt.NDArray[np.float64]


class PlanOutcomes(NamedTuple):
    """What every plan does on a set: float64 (k, e) accuracy, int64 (k, e, image) frames run."""

    accuracy: Floats
    frames: npt.NDArray[np.int64]


def composites_to_choose_by(count: int, seed: int) -> Images:
    """Composites of training digits that no training has shown."""
    digits = TASKS["stream"].digits()[0]
    return drawn("stream", digits, count, (SEED_OF_CHOICE, seed)).images


@torch.no_grad()
def outcomes(model: STAS, images: Images) -> PlanOutcomes:
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
    return PlanOutcomes(np.array(accuracy), np.array(frames))


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


def event_exit(model: STAS, training: Images, held_out: Images) -> dict[str, Any]:
    """What the plan does that runs fewest tokens within a point on the training composites."""
    chosen, shown = outcomes(model, training), outcomes(model, held_out)
    shares = tokens_of(chosen, model.config)
    fine = chosen.accuracy >= chosen.accuracy[0, 0] - POINTS_GIVEN_UP / 100.0
    best = np.unravel_index(np.argmin(np.where(fine, shares, np.inf)), shares.shape)
    return {
        "test_top1": float(shown.accuracy[best]),
        "active_tokens": float(tokens_of(shown, model.config)[best]),
        "profile": profile_of(shown, best, model.config),
        "training_profile": profile_of(chosen, best, model.config),
        "kept": KEPT[best[0]],
        "entropy": ENTROPIES[best[1]],
    }


def plan_masks(model: STAS, images: Images, kept: int, entropy: float) -> npt.NDArray[np.bool_]:
    """Masks (image, timestep, block, token) of who runs by a plan."""
    frames = outcomes(model, images).frames[KEPT.index(kept), ENTROPIES.index(entropy)]
    until = np.arange(model.config.timesteps) < frames[:, None]
    masks = (order_by_ink(images, model.config.grid[0]) < kept) & until[:, :, None]
    return np.repeat(masks[:, :, None], model.config.size.blocks, 2)


def tokens_of(outcome: PlanOutcomes, config: ModelConfig) -> Floats:
    """The mean share of active tokens of each plan, float64 (k, e)."""
    shares = np.array(KEPT)[:, None] / config.tokens
    return np.asarray(shares * outcome.frames.mean(2) / config.timesteps)


def profile_of(outcome: PlanOutcomes, plan: Any, config: ModelConfig) -> list[float]:
    """The share of active tokens of a plan at each (timestep, block)."""
    running = [(outcome.frames[plan] > at).mean() for at in range(config.timesteps)]
    share = KEPT[plan[0]] / config.tokens
    return [float(share * each) for each in running for _ in range(config.size.blocks)]
