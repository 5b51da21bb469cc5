"""A row-stationary array that reads the image again for each output channel."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from simulator.components.pe_arrays.base import ArrayCost, Tiles
from simulator.components.pe_arrays.dense_costs import FiringArray, dense_cost


class RowEncoder(FiringArray, kind="row_encoder"):
    """Multiplies integer pixels, one output channel at a time; shift lines hold the rows between.

    An output channel takes `half_cycles` half cycles a position, a cycle for each word of the
    image, which it reads again, and `channel_cycles`; or as long as the image takes in bursts over
    a port of the array's own, one at a time, their latency exposed. The kernel is taken as 3 x 3.
    Source: the encoder of FPGA_SpikingTransformer; the cycles are read off runs of its public RTL
    (arch_configs/fpga_spiking_transformer.yaml).
    """

    example: ClassVar[str] = "kind: row_encoder\nmultipliers: 27\n"
    accumulates: ClassVar[str] = "multiplies a bit of a pixel and adds"
    streams_weights: ClassVar[bool] = True

    multipliers: int = Field(gt=0, le=4096, description="taps x channels multiplied at once")
    half_cycles: int = Field(default=3, gt=0, le=1024, description="half cycles of a position")
    word_bytes: int = Field(default=8, gt=0, le=1024, description="bytes of a word of the image")
    channel_cycles: int = Field(default=216, ge=0, le=65536, description="of an output channel")

    burst_words: int = Field(default=16, gt=0, le=4096, description="words of a burst of the image")
    gap_cycles: int = Field(default=18, ge=0, le=4096, description="handshake of a burst")
    port_latency_cycles: int = Field(default=0, ge=0, le=65536, description="of DRAM, exposed")

    @property
    def tile_columns(self) -> int:
        return 1

    @property
    def adders(self) -> int:
        return self.multipliers

    def cost(self, tiles: Tiles) -> ArrayCost:
        rows, planes = tiles.tile_rows, tiles.planes[tiles.block]
        # Of the bits under a 3 x 3 window those of one tap belong to its own position.
        bits = -(-tiles.inputs * planes // 9)
        words = -(-rows * bits // (8 * self.word_bytes))
        cycles = -(-rows * self.half_cycles // 2) + words + self.channel_cycles
        bursts = -(-words // self.burst_words)
        port = bursts * (self.burst_words + self.gap_cycles + self.port_latency_cycles)
        return dense_cost(tiles, np.maximum(cycles, port))
