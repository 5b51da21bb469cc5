"""A network as a list: the tensors a trace stores and the operations that make them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

import simulator
from simulator.trace import SCHEMA

PRODUCTS = (
    "conv2d",
    "linear",
    "attention_scores",
    "attention_context",
    "spike_driven_attention",
    "token_qk_attention",
)


class Tensor(NamedTuple):
    """Describe a stored tensor.

    `planes`: 1 for spikes, else the bit length of the largest value possible there; `unit`: what a
    1 of the network is stored as.
    """

    name: str
    kind: str
    timesteps: int
    planes: int
    grid: tuple[int, int]
    channels: int
    mask: str | None
    unit: int = 1

    @property
    def rows(self) -> int:
        """Count tokens or pixels."""
        return self.grid[0] * self.grid[1]

    def manifest(self) -> dict[str, Any]:
        """Return the entry of a manifest, less the counts that the writer adds."""
        entry = {**self._asdict(), "grid": list(self.grid), "rows": self.rows}
        del entry["unit"]  # an operation's `second_scale` tells it
        return entry


def manifest_head(
    model: dict[str, Any], name: str, split: str, source: str, ids: Sequence[str]
) -> dict[str, Any]:
    """Return what each manifest begins with: versions, its section `model`, and the data set.

    `ids`: where each image came from.
    """
    import torch  # which a topology alone does not need

    versions = {"stasim": simulator, "torch": torch, "numpy": np}
    return {
        "schema": SCHEMA,
        "created_by": {package: made.__version__ for package, made in versions.items()},
        "model": model,
        "dataset": {
            "name": name,
            "split": split,
            "source": source,
            "images": len(ids),
            "image_ids": list(ids),
        },
    }


class Topology(NamedTuple):
    """Hold all tensors and operations of a network."""

    tensors: dict[str, Tensor]
    operations: list[dict[str, Any]]


def stored_matrices(topology: Topology) -> Iterator[str]:
    """Return the names of the stored tensors that enter a product.

    They are inputs of convolutions (less the image) and linears, q, k and v.
    """
    seen: set[str | None] = set()
    for operation in topology.operations:
        if operation["kind"] in PRODUCTS:
            seen |= {operation["input"], operation["second_input"]}
        elif operation["kind"] == "spike_gate":  # what it lets through, not the gate
            seen.add(operation["input"])
    return (name for name in topology.tensors if name in seen and name != "sps.image")
