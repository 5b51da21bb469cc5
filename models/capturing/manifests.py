"""The manifest of a captured network's trace."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from torch import nn

from models.capturing.coding import Coding
from models.capturing.courses import Course, Kept
from models.capturing.masking import granularity
from models.capturing.plan import CapturePlan, share_of_real
from models.capturing.running import modules_of
from models.networks.weights import weights_sha256
from models.operations.topology import manifest_head

NOTE = (
    "A network of another code base, captured as it runs; its weights are not rounded to the 8 "
    "bits that a trace counts, and batch-norms and biases fold into the weighted sums before them."
)

_NONE = "0" * 64


class CaptureFacts(NamedTuple):
    """Hold what a manifest says beside the network: names, origins, and what is kept of each image.

    `silent`: the tensors that are zero in all images; `courses`: of images that leave early.
    """

    name: str
    network: Any
    dataset: str
    split: str
    source: str
    origin: str
    kept: list[Kept]
    silent: list[str]
    courses: list[Course]


def manifest_of(
    plan: CapturePlan, codings: dict[str, Coding], facts: CaptureFacts
) -> dict[str, Any]:
    """Return the manifest, less what the writer counts and hashes."""
    tensors = [_tensor(plan, name, coding) for name, coding in codings.items()]
    by_name = {each["name"]: each for each in tensors}
    for operation in plan.listing.operations:
        operation["input_bits"] = by_name.get(operation["input"], {}).get("planes", 0)
        if operation["mask"] is not None and operation["output"] in by_name:
            by_name[operation["output"]]["mask"] = operation["mask"]
    ids = [each.name for each in facts.kept]
    head = manifest_head(_model(plan, facts), facts.dataset, facts.split, facts.source, ids)
    manifest: dict[str, Any] = head | {
        "weights": {
            "origin": facts.origin,
            "seed": 0,
            "accuracy": _accuracy(facts),
            "sha256": _digest(facts.network),
            "notes": NOTE,
        },
        "stages": {each["stage"]: each["stage"] for each in plan.listing.operations},
        "tensors": tensors,
        "operations": plan.listing.operations,
        "capture": _capture(plan, codings, facts),
    }
    if any(each.timesteps < plan.timesteps for each in facts.kept):
        manifest["image_timesteps"] = [each.timesteps for each in facts.kept]
    return manifest


def _tensor(plan: CapturePlan, name: str, coding: Coding) -> dict[str, Any]:
    stored = next(each for each in plan.listing.stored if each.name == name)
    _, rows, channels = stored.arrangement.shape
    grid = [1, *stored.arrangement.grid]
    entry = {
        "name": name,
        "kind": coding.kind,
        "timesteps": len(stored.kept),
        "planes": coding.planes,
        "grid": [int(np.prod(grid[:-1])), grid[-1]],
        "rows": rows,
        "channels": channels,
        "mask": None,
    }
    optional = {"scale": (coding.scale, 1.0), "zero_point": (coding.zero, 0)}
    optional["error"] = (coding.error, 0.0)
    return entry | {key: value for key, (value, default) in optional.items() if value != default}


def _model(plan: CapturePlan, facts: CaptureFacts) -> dict[str, Any]:
    products = [each.product for each in plan.layers]
    roots = modules_of(facts.network)
    parameters = sum(each.numel() for root in roots for each in root.parameters())
    return {
        "name": facts.name,
        "family": type(facts.network).__name__,
        "timesteps": plan.timesteps,
        "blocks": max(1, len(plan.blocks)),
        "embed_dim": max(each.outputs * each.groups for each in products),
        "heads": max((each.groups for each in products if each.window is None), default=1),
        "tokens": plan.tokens,
        "token_grid": [1, plan.tokens],
        "parameters": parameters,
        "isps": "none",
        "halting": {"granularity": granularity([each.masks for each in facts.kept])},
    }


def _capture(plan: CapturePlan, codings: dict[str, Coding], facts: CaptureFacts) -> dict[str, Any]:
    """What was proven, what folds, what is not spiking."""
    others = [
        {"timesteps": each.plan.timesteps, "images": each.images, "proof": each.plan.proof}
        for each in facts.courses
        if each.plan is not plan
    ]
    real = {name: "real" for name, each in codings.items() if each.error > 0}
    return {
        "proof": plan.proof,
        "folded": plan.listing.folded[:256],
        "neurons": [
            {"name": name, "module": each.fires.module, "line": each.fires.line}
            for name, each in plan.listing.neurons.items()
        ][:1024],
        "real_operands": sorted(real),
        "share_of_macs_on_real_operands": share_of_real(plan, real),
        "never_fires": facts.silent,
        "input": plan.listing.input_names,
        **({"other_courses": others} if others else {}),
    }


def _accuracy(facts: CaptureFacts) -> dict[str, Any] | None:
    known = [each for each in facts.kept if each.label >= 0]
    if facts.origin != "trained" or not known:
        return None
    right = sum(each.label == each.prediction for each in known)
    return {"top1": right / len(known), "test_images": len(known)}


def _digest(network: Any) -> str:
    roots = modules_of(network)
    return weights_sha256(nn.ModuleList(roots) if len(roots) > 1 else roots[0]) if roots else _NONE
