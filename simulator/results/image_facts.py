"""Facts of a table of images: means, percentiles, active tokens."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.results.columns import Table, numbers, rows_of

PERCENTILES = (50, 95, 99)


def distribution(values: npt.NDArray[Any]) -> dict[str, float]:
    """Mean, extremes and percentiles; a percentile is the value of an image (nearest rank)."""
    ranks = np.percentile(values, PERCENTILES, method="inverted_cdf")
    facts = {f"p{rank}": float(value) for rank, value in zip(PERCENTILES, ranks, strict=True)}
    mean = math.fsum(values) / len(values)
    return {"mean": mean, "min": float(values.min()), **facts, "max": float(values.max())}


def active_tokens(images: Table, steps: Table, blocks_of: npt.NDArray[Any]) -> dict[str, Any]:
    """Means per image; `by_timestep_and_block[timestep][block]`, and the same without halting.

    These two are empty for a network of layers: no layer is in a block, and its one token never
    halts. `blocks_of`: the block of each layer, or -1.
    """
    facts = token_facts(images)
    timesteps, row = np.unique(numbers(steps, "timestep"), return_inverse=True)
    blocks, column = np.unique(numbers(steps, "block"), return_inverse=True)
    active, tokens = numbers(steps, "active_tokens"), numbers(steps, "tokens")
    if blocks_of.max(initial=-1) < 0 and tokens.max(initial=0) <= 1 and (active == tokens).all():
        return facts | {"by_timestep_and_block": [], "tokens_by_timestep_and_block": []}
    shape = (len(timesteps), len(blocks))
    place = row * len(blocks) + column
    found = np.bincount(place, minlength=shape[0] * shape[1])
    for name, counted in (
        ("by_timestep_and_block", "active_tokens"),
        ("tokens_by_timestep_and_block", "tokens"),
    ):
        sums = np.bincount(place, numbers(steps, counted), minlength=len(found))
        facts[name] = (sums / np.maximum(found, 1)).reshape(shape).tolist()
    return facts


def token_facts(images: Table) -> dict[str, Any]:
    mean, slots = mean_of(images, "active_tokens"), mean_of(images, "token_slots")
    return {"mean": mean, "slots": slots, "share": ratio(mean, slots)}


def mean_of(table: Table, name: str) -> float:
    return math.fsum(numbers(table, name)) / rows_of(table)


def ratio(part: float, entire: float) -> float:
    return part / entire if entire else 0.0
