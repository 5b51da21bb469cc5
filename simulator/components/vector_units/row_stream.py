"""Pools and residuals that stream maps row by row; neurons are in the arrays' own read-out."""

from __future__ import annotations

import math
from typing import ClassVar

from pydantic import Field

from simulator.components.vector_units.base import ElementWork
from simulator.components.vector_units.gates import GateUnit


class RowStream(GateUnit, kind="row_stream"):
    """A row of a map a cycle, all its positions and timesteps at once.

    A pool takes a cycle for each input row of a channel and `pool_cycles` a channel. A residual of
    a convolution is a pass of its own, `residual_cycles` a channel; other residuals, neurons and
    what carries scores are in the read-out of the arrays. It has no halting score. Source: the
    units of FPGA_SpikingTransformer; the cycles are read off runs of its public RTL
    (arch_configs/fpga_spiking_transformer.yaml).
    """

    example: ClassVar[str] = "kind: row_stream\npositions: 16\n"

    positions: int = Field(gt=0, le=4096, description="positions of a row")
    pool_stride: int = Field(default=2, gt=0, le=16, description="input rows of an output row")
    pool_cycles: int = Field(default=2, ge=0, le=1024, description="of a channel, beyond its rows")
    residual_cycles: int = Field(default=8, ge=0, le=1024, description="of a channel")
    latency_cycles: int = Field(default=5, ge=0, description="from a layer's last row to its end")

    @property
    def elements_per_cycle(self) -> int:
        return self.positions

    def element_cycles(self, kind: str, window_inputs: int) -> int:
        return 1

    def element_work(self, work: ElementWork) -> int:
        cycles = 0
        if work.kind == "pool":
            rows = math.isqrt(work.rows) * self.pool_stride
            cycles = work.channels * (rows + self.pool_cycles)
        elif work.kind == "residual" and work.after == "convolutions":
            cycles = work.channels * self.residual_cycles
        return cycles * self.positions

    def element_counts(self, kind: str, window_inputs: int) -> dict[str, int]:
        if kind in ("pool", "residual"):
            return {"gate": window_inputs}
        return {} if kind in ("rearrange", "spike_gate") else {"lif_update": 1}
