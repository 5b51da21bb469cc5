"""The stream's known optimum: masks that know it, and how much of the way to it an arm goes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from experiments.study.clock import cue_of
from experiments.study.numbers import interval, percent, rows_of
from models.data.composites import ink_beside
from models.data.images import Images
from models.evaluate import EVALUATION_BATCH, batches
from models.networks.config import ModelConfig
from models.networks.stas import STAS

ORACLES = ("time", "space", "both")
ARMS = ("stas", "readout", "gate", "gate_exit", "event_exit", "event_exit_long")
TARGET = 0.6
LEAST_GAP = 0.03

Masks = npt.NDArray[np.bool_]


def oracle_masks(images: Images, config: ModelConfig, kind: str) -> Masks:
    """Masks (image, timestep, block, token) of who runs by an oracle of the stream.

    `time`: frames until the square's; `space`: tokens at or beside ink; `both`.
    """
    timesteps, blocks = config.timesteps, config.size.blocks
    until = np.arange(timesteps) <= cue_of(images)[:, None]
    near = ink_beside(images.pixels, config.grid[0], 1) > 0
    masks = np.ones_like(near)
    if kind != "space":
        masks &= until[:, :, None]
    if kind != "time":
        masks &= near
    return np.repeat(masks[:, :, None], blocks, 2)


@torch.no_grad()
def imposed_accuracy(model: STAS, images: Images, kind: str) -> tuple[float, Masks]:
    """Accuracy of a network that obeys an oracle's masks, and these."""
    masks = oracle_masks(images, model.config, kind)
    right = 0
    for place, (pixels, labels) in enumerate(batches(images, EVALUATION_BATCH)):
        at = place * EVALUATION_BATCH
        imposed = torch.from_numpy(masks[at : at + len(labels)])
        logits = model(pixels, path="layers", imposed=imposed).logits
        right += int((logits.argmax(1) == labels).sum())
    return right / len(images.labels), masks


def gaps(arms: pd.DataFrame) -> pd.DataFrame:
    """The gap closed, (arm - random) / (oracle - random), by arm and seed.

    `random` runs as many tokens at every step as the arm. Of an arm that runs fewer tokens than the
    oracle this is a lower bound: the optimum at its tokens is no more accurate. Where the oracle is
    less than LEAST_GAP above random tokens there is nothing to close, and no row. An arm that was
    trained longer than the static network is held against the optimum on weights that were trained
    as long, where those are: its random tokens were, too. So were those of `event_exit`, which is
    held against the optimum on its own weights: what it closes is a little more than is said.
    """
    found = {(row.arm, row.seed): row for row in rows_of(arms[arms.task == "stream"])}
    rows = []
    for (name, seed), arm in found.items():
        random = found.get((f"random_{name.removesuffix('_long')}", seed))
        oracle = found.get(("oracle", seed))
        if name in ARMS and name != "event_exit":
            oracle = found.get(("oracle_long", seed), oracle)
        if name not in ARMS or random is None or oracle is None:
            continue
        between = oracle.test_top1 - random.test_top1
        if between >= LEAST_GAP:
            closed = (arm.test_top1 - random.test_top1) / between
            row = {"arm": name, "seed": seed, "tokens": arm.active_tokens, "closed": closed}
            rows.append(row | {"oracle": oracle.arm})
    return pd.DataFrame(rows, columns=["arm", "seed", "tokens", "closed", "oracle"])


def gap_sentences(arms: pd.DataFrame) -> list[str]:
    """Sentences on the gap that each arm closes."""
    lines = []
    for name, group in gaps(arms).groupby("arm", sort=False):
        low, high = interval(group.closed)
        reached = "reached" if low >= TARGET else "missed" if high < TARGET else "not decided"
        seeds, reach = "a single seed: no interval", ""
        if len(group) > 1:
            seeds = f"{len(group)} seeds, 95 % interval"
            reach = f" [{percent(low)}, {percent(high)}]"
        longer = int((group.oracle == "oracle_long").sum())
        weights = f", that on weights trained as long with {longer}" if longer else ""
        lines.append(
            f"- **The gap to the optimum.** On the stream, `{name}` closes "
            f"{percent(group.closed.mean())}{reach} of what lies between random tokens at its "
            f"budget and the best known halting, with {percent(group.tokens.mean())} of the tokens "
            f"({seeds}{weights}; where that gap is under {percent(LEAST_GAP)} a seed says "
            f"nothing). The target of {percent(TARGET)} is {reached}."
        )
    return lines
