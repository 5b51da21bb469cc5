"""One timestep after another through all blocks: what temporal halting needs."""

from __future__ import annotations

from typing import ClassVar

from simulator.components.dataflows.base import ALL_TIMESTEPS, Dataflow, Slot


class TimestepSerial(Dataflow, kind="timestep_serial"):
    """The stem for all timesteps together, then the blocks timestep by timestep, then the head.

    A network of plain layers runs so too: neighbours share the loop over timesteps, layers that are
    computed once and the head run for all of them together. Weights are fetched at each timestep
    unless the weight buffer holds them all; membranes wait in the membrane buffer, or in DRAM where
    it is full.
    """

    example: ClassVar[str] = "kind: timestep_serial\n"

    def order(self, roles: list[str], timesteps: int, once: list[bool]) -> list[Slot]:
        if "layers" in roles:
            at_once = [each or role == "head" for role, each in zip(roles, once, strict=True)]
            return self.in_runs(at_once, timesteps)
        inner = [index for index, role in enumerate(roles) if role in ("blocks", "halting")]
        first = min(inner, default=len(roles))
        last = max(inner, default=-1)
        slots = [Slot(layer, ALL_TIMESTEPS) for layer in range(first)]
        slots += [Slot(layer, step) for step in range(timesteps) for layer in inner]
        slots += [Slot(layer, ALL_TIMESTEPS) for layer in range(max(last + 1, first), len(roles))]
        return slots
