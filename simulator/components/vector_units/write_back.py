"""What happens to results on their way to memory: neurons, and bitwise operations for nothing."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from simulator.components.vector_units.base import ElementWork
from simulator.components.vector_units.gates import GateUnit

FREE = ("residual", "spike_driven_attention", "spike_gate", "rearrange")
"""Bitwise on spikes as they pass: OR with the residual, AND and OR of attention."""


class WriteBack(GateUnit, kind="write_back"):
    """A row of `channels` neurons a cycle; residual and attention are gates in its path.

    A residual is the OR of spikes with those stored, and attention the OR over tokens of K AND V,
    which Q passes through: gates that take no cycle. A pool of spikes is an OR of all channels of a
    position at once, `pool_row_cycles` a result row whatever its channels. It has no halting score.
    Source: ExSpike (FPL'26); the cycles are read off its public RTL (arch_configs/exspike.yaml).
    """

    example: ClassVar[str] = "kind: write_back\nchannels: 32\n"

    channels: int = Field(gt=0, le=4096, description="neurons a cycle, one position of a tile")
    pool_row_cycles: int = Field(default=4, gt=0, le=1024, description="of a row of pooled spikes")

    @property
    def elements_per_cycle(self) -> int:
        return self.channels

    def element_cycles(self, kind: str, window_inputs: int) -> int:
        return 0 if kind in FREE else 1

    def element_work(self, work: ElementWork) -> int:
        if work.kind == "pool":
            return work.rows * work.timesteps * self.pool_row_cycles * self.channels
        return super().element_work(work)

    def element_counts(self, kind: str, window_inputs: int) -> dict[str, int]:
        if kind == "rearrange":
            return {}
        if kind == "pool":
            return {"gate": window_inputs}
        return {"gate": 1} if kind in FREE else {"lif_update": 1}
