"""Ways to halt a network as it was trained: what each finds, and whom it lets run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from experiments.study.depth import block_exit, depth_masks
from experiments.study.events import composites_to_choose_by, event_exit, plan_masks
from experiments.study.gap import ORACLES, imposed_accuracy, oracle_masks
from experiments.study.thresholds import searched_thresholds
from models.data.images import Images
from models.networks.stas import STAS

SEARCH_IMAGES = 500
Found = dict[str, Any]


class Untrained(NamedTuple):
    """Describe a way to halt.

    find: what it does on held-out images, of network, images and seed.
    masks: bool (image, timestep, block, token), who runs, of network, images and what was found;
    None: no machine runs it.
    granularity: that of the masks in a trace.
    """

    find: Callable[[STAS, Images, int], Found]
    masks: Callable[[STAS, Images, Found], npt.NDArray[np.bool_]] | None = None
    granularity: str = "waking"


def _chosen(
    measure: Callable[[STAS, Images, Images], Found],
    model: STAS,
    held_out: Images,
    seed: int,
    count: int | None = None,
) -> Found:
    """Choose on composites of training digits, as many as the held-out images unless said."""
    count = len(held_out.labels) if count is None else count
    return measure(model, composites_to_choose_by(count, seed), held_out)


def _oracle(kind: str, model: STAS, held_out: Images, seed: int) -> Found:
    top1, masks = imposed_accuracy(model, held_out, kind)
    profile = masks.mean((0, 3)).flatten().tolist()
    return {"test_top1": top1, "active_tokens": float(masks.mean()), "profile": profile}


WAYS = {
    "events": Untrained(
        partial(_chosen, event_exit),
        lambda model, images, found: plan_masks(model, images, found["kept"], found["entropy"]),
    ),
    "depth": Untrained(
        partial(_chosen, block_exit),
        lambda model, images, found: depth_masks(model, images, found["entropy"]),
        "block",
    ),
    "thresholds": Untrained(partial(_chosen, searched_thresholds, count=SEARCH_IMAGES)),
    **{kind: Untrained(partial(_oracle, kind)) for kind in ORACLES},
}
WAYS["both"] = WAYS["both"]._replace(
    masks=lambda model, images, found: oracle_masks(images, model.config, "both")
)
