"""One timestep after another through all blocks: what temporal halting needs."""

from __future__ import annotations

from itertools import groupby
from typing import ClassVar

from simulator.components.dataflows.base import ALL_TIMESTEPS, Dataflow, Slot


class TimestepSerial(Dataflow, kind="timestep_serial"):
    """The stem for all timesteps together, then the blocks timestep by timestep, then the head.

    A network of plain layers runs timestep by timestep, but for layers that are computed once.
    Weights of the blocks are fetched anew at each timestep unless the weight buffer holds them all;
    their membranes wait in the membrane buffer, or in DRAM where it is full.
    """

    example: ClassVar[str] = "kind: timestep_serial\n"

    def order(self, stages: list[str], timesteps: int, once: list[bool]) -> list[Slot]:
        if "layers" in stages:
            return _plain_layers(timesteps, once)
        inner = [index for index, stage in enumerate(stages) if stage in ("blocks", "halting")]
        first = min(inner, default=len(stages))
        last = max(inner, default=-1)
        slots = [Slot(layer, ALL_TIMESTEPS) for layer in range(first)]
        slots += [Slot(layer, step) for step in range(timesteps) for layer in inner]
        slots += [Slot(layer, ALL_TIMESTEPS) for layer in range(max(last + 1, first), len(stages))]
        return slots

    def refusal(self, granularity: str) -> str:
        return ""


def _plain_layers(timesteps: int, once: list[bool]) -> list[Slot]:
    """Order layers without blocks: neighbours that run at every timestep share the loop over it."""
    slots: list[Slot] = []
    for is_once, run in groupby(range(len(once)), key=lambda layer: once[layer]):
        layers = list(run)
        steps = [ALL_TIMESTEPS] if is_once else range(timesteps)
        slots += [Slot(layer, step) for step in steps for layer in layers]
    return slots
