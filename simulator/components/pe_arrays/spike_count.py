"""PEs side by side that take one spike a cycle between them."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from simulator.components.pe_arrays.base import ArrayCost, ColumnArray, Tiles


class SpikeCount(ColumnArray, kind="spike_count"):
    """Each spike takes one cycle, in which all `columns` PEs add their weight of its input.

    Zeros cost nothing; rows, timesteps and planes follow one another without a gap, so the cycles
    of a piece are its set bits (an empty piece takes one, to see that it is empty). Source: MINT
    (quantised spiking networks on 128 PEs) as re-modelled in Prosperity's public simulator
    (HPCA'25), whose rule this is. Approximate: MINT's 2-bit weights and membranes are taken at
    the widths given here, its multiplier-less scaling is free, finding the next spike is free.
    """

    example: ClassVar[str] = "kind: spike_count\ncolumns: 128\n"
    across_taps: ClassVar[bool] = True

    columns: int = Field(gt=0, le=4096, description="PEs, one an output of a tile")
    chunk_inputs: int = Field(
        default=256, gt=0, le=65536, description="inputs whose weights a tile holds"
    )
    latency_cycles: int = Field(default=3, ge=0, description="read, add and write back")

    @property
    def tile_inputs(self) -> int:
        return self.chunk_inputs

    def cost(self, tiles: Tiles) -> ArrayCost:
        spikes = tiles.tile_ones()
        ones = tiles.by_block(spikes)
        visits = tiles.groups * tiles.chunks * tiles.sizes
        return ArrayCost(
            cycles=np.maximum(spikes, 1),
            per_output={"accumulate": ones},
            per_pass={},
            # A row's sums stay in the PEs while its spikes of one chunk last.
            partial_sum_read_vectors=visits - tiles.groups * tiles.sizes,
            partial_sum_write_vectors=visits,
            spike_bits=tiles.operand_bits,
            weights_per_output=ones,
        )
