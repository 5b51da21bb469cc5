"""Layouts of other code bases' checkpoints: where each layer of ours finds its weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class WeightSource(NamedTuple):
    """Name where one of our layers finds its weights.

    weights, norm: a convolution or linear layer and its batch-norm.
    part: of `parts` equal parts of both, where they are fused.
    """

    weights: str
    norm: str
    part: int = 0
    parts: int = 1


Sources = dict[str, WeightSource]
CONVS_OF_RPE = [
    *((f"proj_conv{stage}", f"proj_bn{stage}") for stage in ("", 1, 2, 3)),
    ("rpe_conv", "rpe_bn"),
]


def stages(convs: Iterable[tuple[str, str]]) -> Sources:
    """Return the five stages of the patch splitting of a repository."""
    return {
        f"sps.stages.{stage}": WeightSource(f"patch_embed.{conv}", f"patch_embed.{norm}")
        for stage, (conv, norm) in enumerate(convs)
    }


def repository_blocks(
    state: Mapping[str, Any], blocks: int, mlp: tuple[str, str], attention: str = ""
) -> Sources:
    """Return blocks as the repositories name them: `_linear` or `_conv`, `_bn`.

    `attention`: the module of ours that holds q, k, v, where there is one.
    """
    sources: Sources = {}
    for block in range(blocks):
        own, their = f"blocks.{block}", f"block.{block}"
        pairs = {f"{own}{attention}.{x}": f"{their}.attn.{x}" for x in ("q", "k", "v", "proj")}
        pairs |= {f"{own}.fc{n}": f"{their}.mlp.{mlp[n - 1]}" for n in (1, 2)}
        for layer, place in pairs.items():
            kind = "linear" if f"{place}_linear.weight" in state else "conv"
            sources[layer] = WeightSource(f"{place}_{kind}", f"{place}_bn")
    return sources


def fused(where: str, prefix: str, letters: str) -> Sources:
    """Return layers that SpikingJelly fuses into one convolution and norm."""
    return {
        f"{where}.{letter}": WeightSource(f"{prefix}.0", f"{prefix}.1", part, len(letters))
        for part, letter in enumerate(letters)
    }


def sequence(place: str) -> WeightSource:
    """Return a convolution and its norm in one sequence."""
    return WeightSource(f"{place}.0", f"{place}.1")


def numbered_mlp(own: str, their: str) -> Sources:
    """Return fc1, bn1, fc2, bn2."""
    return {f"{own}.fc{n}": WeightSource(f"{their}.fc{n}", f"{their}.bn{n}") for n in (1, 2)}
