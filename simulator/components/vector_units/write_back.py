"""What happens to results on their way to memory: neurons, and bitwise operations for nothing."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from simulator.components.base import Action, Primitive
from simulator.components.vector_units.base import ElementWork, VectorUnit

FREE = ("residual", "spike_driven_attention", "spike_gate", "rearrange")
"""Bitwise on spikes as they pass: OR with the residual, AND and OR of attention."""


class WriteBack(VectorUnit, kind="write_back"):
    """A row of `channels` neurons a cycle; residual and attention are gates in its path.

    A residual is the OR of spikes with those stored, and attention the OR over tokens of K AND V,
    which Q passes through: gates that take no cycle. A pool of spikes is an OR of all channels of a
    position at once, `pool_row_cycles` a result row whatever its channels. It has no halting score.
    Source: ExSpike (FPL'26), by its public RTL.
    """

    example: ClassVar[str] = "kind: write_back\nchannels: 32\n"

    channels: int = Field(gt=0, le=4096, description="neurons a cycle, one position of a tile")
    pool_row_cycles: int = Field(default=4, gt=0, le=1024, description="of a row of pooled spikes")
    latency_cycles: int = Field(default=4, ge=0, description="from a layer's last sum to its end")

    @property
    def elements_per_cycle(self) -> int:
        return self.channels

    @property
    def pipeline_latency_cycles(self) -> int:
        return self.latency_cycles

    @property
    def halting_latency_cycles(self) -> int:
        return self.latency_cycles

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

    def actions(self) -> dict[str, Action]:
        add = Primitive("add", bits=self.precision.operand_bits)
        compare = Primitive("compare", bits=self.precision.operand_bits)
        return {
            "lif_update": Action(
                "adds, halves, compares, resets one membrane", (add._replace(times=2), compare)
            ),
            "gate": Action(
                "takes a spike through a gate (as the narrowest compare)",
                (Primitive("compare", bits=8),),
            ),
        }
