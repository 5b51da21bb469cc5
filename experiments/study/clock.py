"""Whether halting follows what an image shows: by the frame that decides it, and by the score."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from models.data.images import Images
from models.evaluate import EVALUATION_BATCH, batches, evaluate
from models.networks.stas import STAS

Row = dict[str, Any]


def cue_of(images: Images) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The frame of each image of the stream that decides it."""
    return np.array([int(name.rsplit(" ", 1)[1]) for name in images.ids])


def by_cue(model: STAS, images: Images) -> list[Row]:
    """Accuracy and active tokens of the images that each frame decides."""
    cues, rows = cue_of(images), []
    for cue in np.unique(cues):
        part = images.take(np.flatnonzero(cues == cue))
        found = evaluate(model, part)
        rows.append(
            {
                "cue": int(cue),
                "images": len(part.labels),
                "test_top1": found.accuracy,
                "active_tokens": found.active_tokens,
            }
        )
    return rows


@torch.no_grad()
def scores(model: STAS, images: Images) -> list[Row]:
    """Mean and deviation of the score h of tokens that go on, by check, over images and tokens.

    Empty where no score is accumulated over blocks and timesteps.
    """
    if model.config.halting.granularity != "two_dimensional":
        return []
    weights, running = [], []
    for pixels, _ in batches(images, EVALUATION_BATCH):
        output = model(pixels)
        if output.weights is None or output.active is None:
            return []
        active = output.active.flatten(1, 2)
        weights.append(output.weights)
        running.append(torch.cat([active[:, 1:], torch.zeros_like(active[:, :1])], 1))
    score, goes_on = torch.cat(weights), torch.cat(running)
    rows = []
    for check in range(score.shape[1]):
        chosen = score[:, check][goes_on[:, check]].double()
        if len(chosen):
            timestep, block = divmod(check, model.config.size.blocks)
            deviation = float(chosen.std(correction=0))
            rows.append(
                {
                    "timestep": timestep,
                    "block": block,
                    "score_mean": float(chosen.mean()),
                    "score_deviation": deviation,
                }
            )
    return rows
