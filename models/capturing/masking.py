"""The masks that `active` noted: which operations they cover, and whether they tell the truth."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from models.capturing.marks import Bits, Marks
from models.capturing.operands import Coded
from models.errors import ModelError

if TYPE_CHECKING:
    from models.capturing.plan import CapturePlan


def put_under_masks(plan: CapturePlan, marks: Marks) -> None:
    """Put each operation between two marks under the first one's mask, if it has its tokens."""
    masks = marks.masks(plan.timesteps)
    plan.blocks = list(masks)
    if not masks:
        plan.tokens = _tokens_of_products(plan)
        return
    sizes = {mask.shape[1] for mask in masks.values()}
    if len(sizes) > 1:
        raise ModelError(f"active: blocks of {sorted(sizes)} tokens: must be of one number")
    plan.tokens = sizes.pop()
    begins: dict[str, int] = {}
    for mark in marks:
        begins.setdefault(mark.name, mark.call)
    starts = sorted((call, name) for name, call in begins.items())
    firsts = {each.name: each.calls[0].index for each in plan.layers}
    block: int | None = None
    for operation in plan.listing.operations:
        call = firsts.get(operation["name"])
        if call is not None:
            passed = [name for start, name in starts if start <= call]
            block = plan.blocks.index(passed[-1]) if passed else None
        if block is None:
            operation["stage"] = "stem"
            continue
        operation |= {"stage": "blocks", "block": block}
        if _rows(operation) == plan.tokens and operation["timesteps"] == plan.timesteps:
            operation["mask"] = str(block)
    for operation in reversed(plan.listing.operations):
        if operation["mask"] is not None or operation["block"] is None:
            break
        operation |= {"stage": "head", "block": None}


def _tokens_of_products(plan: CapturePlan) -> int:
    """The rows that most products of two activations are walked by; 1 without such."""
    found = Counter(
        _rows(each) for each in plan.listing.operations if each["kind"] == "product"
    ).most_common(1)
    return found[0][0] or 1 if found else 1


def _rows(operation: dict[str, Any]) -> int | None:
    """The rows that an operation computes, if they can be tokens."""
    if operation["kind"] in ("conv2d", "convolution", "pool", "reduce"):
        return None
    by_inputs = operation["parameters"].get("input_by") == "inputs"
    return operation["shapes"]["inputs" if by_inputs else "rows"]


def block_masks(plan: CapturePlan, marks: Marks, image: str) -> dict[str, Bits]:
    """Return the masks (timestep, token) of an image by number of the block.

    Without marks all of the one token is always active.
    """
    blocks, tokens = plan.blocks, plan.tokens
    if not blocks:
        return {"0": np.ones((plan.timesteps, tokens), np.bool_)}
    found = marks.masks(plan.timesteps)
    if list(found) != blocks or any(mask.shape[1] != tokens for mask in found.values()):
        raise ModelError(
            f"image {image}: active() was called for {list(found)} of {tokens} tokens: must be "
            f"{blocks}, as for the first image"
        )
    return {str(blocks.index(name)): mask for name, mask in found.items()}


def check_halted(
    plan: CapturePlan, tensors: dict[str, Coded], masks: dict[str, Bits], image: str
) -> None:
    """Raise if what a masked layer reads carries spikes in rows of halted tokens."""
    for operation in plan.listing.operations:
        name, mask = operation["input"], operation["mask"]
        if mask is None or operation["weight_bits"] == 0 or name not in tensors:
            continue
        numbers = tensors[name].numbers
        halted = ~masks[mask]
        if numbers.shape[:2] == halted.shape and numbers[halted].any():
            step, token = np.argwhere(halted & numbers.any(axis=2))[0]
            raise ModelError(
                f"image {image}",
                f"{operation['name']} reads spikes of token {token} at timestep {step}, "
                f"which active(..., {plan.blocks[int(mask)]!r}) says has halted; mask what "
                "the block reads, or mark the token as active",
            )


def padded_masks(masks: dict[str, Bits], timesteps: int, halting: str) -> dict[str, Bits]:
    """Return masks of all timesteps of a trace.

    Nothing is active in those that an image did not take, unless the trace has no masks.
    """
    return {
        block: np.concatenate(
            [mask, np.full((timesteps - len(mask), mask.shape[1]), halting == "none")]
        )
        for block, mask in masks.items()
    }


def granularity(masks: list[dict[str, Bits]]) -> str:
    """Return how tokens halt in all images, as a trace names it."""
    arrays = [np.stack([each[str(b)] for b in range(len(each))], axis=1) for each in masks]
    if all(active.all() for active in arrays):
        return "none"
    if all(not (a[:, 1:] & ~a[:, :-1]).any() for a in arrays):
        by_step = all(not (a[1:] & ~a[:-1]).any() and (a == a[:, :1]).all() for a in arrays)
        if by_step:
            return "timestep"
        flat = [a.reshape(-1, a.shape[-1]) for a in arrays]
        return "two_dimensional" if all(not (f[1:] & ~f[:-1]).any() for f in flat) else "block"
    raise ModelError(
        "active: a token that halted in one block is active again in a later one of the same "
        "timestep: a trace has no such halting"
    )
