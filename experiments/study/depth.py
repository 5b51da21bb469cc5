"""Leaving after a block, untrained: all tokens of an image at all timesteps, once it is certain.

The control of halting over blocks: an image ends behind the first block at which the classifier,
which was trained behind the last one, predicts with a normalised entropy under a level.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from experiments.study.events import ENTROPIES, POINTS_GIVEN_UP
from models.data.images import Images
from models.evaluate import EVALUATION_BATCH, batches
from models.halting.exits import normalised_entropy
from models.networks.stas import STAS


class DepthOutcomes(NamedTuple):
    """What every level of entropy does: float64 (level,) accuracy, int64 (level, image) blocks."""

    accuracy: npt.NDArray[np.float64]
    blocks: npt.NDArray[np.int64]


@torch.no_grad()
def depth_outcomes(model: STAS, images: Images) -> DepthOutcomes:
    """Run the images once, and leave by each level of entropy."""
    logits = torch.stack([torch.cat(each) for each in zip(*_by_block(model, images), strict=True)])
    entropy = normalised_entropy(logits.flatten(0, 1)).view(logits.shape[:2]).numpy()
    entropy[-1] = -1.0  # behind the last block every image ends
    right = (logits.argmax(2).numpy() == images.labels).astype(np.float64)
    last = np.array([np.argmax(entropy < level, 0) for level in ENTROPIES])
    accuracy = [right[each, np.arange(len(each))].mean() for each in last]
    return DepthOutcomes(np.array(accuracy), last + 1)


def _by_block(model: STAS, images: Images) -> list[list[torch.Tensor]]:
    """Logits (image, class) behind each block, batch by batch."""
    found: list[list[torch.Tensor]] = []
    handles = [
        block.register_forward_hook(
            lambda module, inputs, stream: found[-1].append(model.head(stream.mean((0, 2))))
        )
        for block in model.blocks
    ]
    for pixels, _ in batches(images, EVALUATION_BATCH):
        found.append([])
        model(pixels, path="layers")
    for handle in handles:
        handle.remove()
    return found


def block_exit(model: STAS, training: Images, held_out: Images) -> dict[str, Any]:
    """What the level does that runs fewest blocks within a point on the training composites."""
    chosen, shown = depth_outcomes(model, training), depth_outcomes(model, held_out)
    fine = chosen.accuracy >= chosen.accuracy[0] - POINTS_GIVEN_UP / 100.0
    best = int(np.argmin(np.where(fine, chosen.blocks.mean(1), np.inf)))
    blocks, timesteps = model.config.size.blocks, model.config.timesteps

    def profile(of: DepthOutcomes) -> list[float]:
        return [float((of.blocks[best] > b).mean()) for b in range(blocks)] * timesteps

    return {
        "test_top1": float(shown.accuracy[best]),
        "active_tokens": float(shown.blocks[best].mean() / blocks),
        "profile": profile(shown),
        "training_profile": profile(chosen),
        "entropy": ENTROPIES[best],
    }


def depth_masks(model: STAS, images: Images, entropy: float) -> npt.NDArray[np.bool_]:
    """Masks (image, timestep, block, token) of who runs where images leave under that entropy."""
    blocks = depth_outcomes(model, images).blocks[ENTROPIES.index(entropy)]
    config = model.config
    runs = np.arange(config.size.blocks) < blocks[:, None]
    shape = (len(blocks), config.timesteps, config.size.blocks, config.tokens)
    return np.broadcast_to(runs[:, None, :, None], shape)
