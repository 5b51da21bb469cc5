"""Timesteps together where a trace's halting allows it, else one after another."""

from __future__ import annotations

from typing import ClassVar

from simulator.components.dataflows.base import Dataflow
from simulator.components.dataflows.tick_batched import TickBatched
from simulator.components.dataflows.timestep_serial import TimestepSerial


class AsHaltingAllows(TickBatched, kind="as_halting_allows"):
    """tick_batched for a trace that does not halt in time, timestep_serial for one that does.

    For published machines that take the timesteps of a layer together: a trace whose halting
    decides at one timestep who runs at the next cannot be run so, and such a machine must then run
    timestep by timestep, without what it gains from their being together. A result names the one
    of the two that ran.
    """

    example: ClassVar[str] = "kind: as_halting_allows\n"

    def for_halting(self, granularity: str) -> Dataflow:
        kind = TimestepSerial if self.refusal(granularity) else TickBatched
        return kind(**{name: getattr(self, name) for name in type(self).model_fields})
