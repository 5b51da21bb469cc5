"""A threshold for each (timestep, block), searched after training: the simple control of A-SSA.

A trained network's score is shifted at each check by an offset; a higher one halts earlier. Check
after check, and round after round, the offset is taken that runs fewest tokens among those that
keep the accuracy of the network as trained, within a point, on training composites.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from models.data.images import Images
from models.evaluate import evaluate
from models.halting.recursion import Halting
from models.networks.stas import STAS

OFFSETS = (-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0)
ROUNDS = 2
POINTS_GIVEN_UP = 1.0


def with_offsets(model: STAS) -> STAS:
    """Return a copy of a network with A-SSA whose checks have offsets of their own, all 0."""
    halting = dataclasses.replace(model.config.halting, offsets=True)
    copied = STAS(dataclasses.replace(model.config, halting=halting))
    copied.load_state_dict(copied.state_dict() | model.state_dict())
    copied.eval()
    return copied


@torch.no_grad()
def searched_thresholds(model: STAS, training: Images, held_out: Images) -> dict[str, Any]:
    """Return what the searched offsets give on held-out images, and which they are."""
    shifted = with_offsets(model)
    halting = shifted.halting
    assert isinstance(halting, Halting)
    offset = halting.offset
    assert offset is not None
    found = evaluate(shifted, training)
    least, best = found.accuracy - POINTS_GIVEN_UP / 100.0, found
    for _ in range(ROUNDS):
        before = offset.clone()
        # At the last check whoever is left halts: its offset moves nothing.
        for check in range(len(offset) - 1):
            kept = float(offset[check])
            for value in OFFSETS:
                if value == kept:
                    continue
                previous = float(offset[check])
                offset[check] = value
                metrics = evaluate(shifted, training)
                if metrics.accuracy >= least and metrics.active_tokens < best.active_tokens:
                    best = metrics
                else:
                    offset[check] = previous
        if torch.equal(before, offset):
            break
    shown = evaluate(shifted, held_out)
    return {
        "test_top1": shown.accuracy,
        "active_tokens": shown.active_tokens,
        "profile": list(shown.profile),
        "training_profile": list(best.profile),
        "offsets": offset.tolist(),
    }
