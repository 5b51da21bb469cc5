"""All timesteps of a layer together: a weight is fetched once for all of them."""

from __future__ import annotations

from typing import ClassVar

from simulator.components.dataflows.base import ALL_TIMESTEPS, Dataflow, Slot


class TickBatched(Dataflow, kind="tick_batched"):
    """Layer after layer, each for all timesteps: weights are shared, membranes stay in the unit.

    Rows are ordered token-major, timestep-minor, so a neuron sees its timesteps one after another.
    """

    example: ClassVar[str] = "kind: tick_batched\n"
    takes_layers_first: ClassVar[str] = "tick_batched runs all timesteps of a layer at once"

    def order(self, roles: list[str], timesteps: int, once: list[bool]) -> list[Slot]:
        return [Slot(layer, ALL_TIMESTEPS) for layer in range(len(roles))]
