"""A network as a list: the tensors a trace stores and the operations that make them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

PRODUCTS = (
    "conv2d",
    "linear",
    "attention_scores",
    "attention_context",
    "spike_driven_attention",
    "token_qk_attention",
)


class Tensor(NamedTuple):
    """A stored tensor; `planes` is 1 for spikes, else the bit length of the largest value possible
    there. `unit`: what a 1 of the network is stored as.
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
        """Tokens or pixels."""
        return self.grid[0] * self.grid[1]

    def manifest(self) -> dict[str, Any]:
        """Return the entry of a manifest, less the counts that the writer adds."""
        entry = {**self._asdict(), "grid": list(self.grid), "rows": self.rows}
        del entry["unit"]  # an operation's `second_scale` tells it
        return entry


class Topology(NamedTuple):
    """All tensors and operations of a network."""

    tensors: dict[str, Tensor]
    operations: list[dict[str, Any]]


def stored_matrices(topology: Topology) -> Iterator[str]:
    """Names of the stored tensors that enter a product: inputs of convolutions (less the image) and
    linears, q, k, v.
    """
    seen: set[str | None] = set()
    for operation in topology.operations:
        if operation["kind"] in PRODUCTS:
            seen |= {operation["input"], operation["second_input"]}
        elif operation["kind"] == "spike_gate":  # what it lets through, not the gate
            seen.add(operation["input"])
    return (name for name in topology.tensors if name in seen and name != "sps.image")
