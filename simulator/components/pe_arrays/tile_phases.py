"""Systolic arrays side by side whose tiles fill, compute and drain in stated phases."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from simulator.components.pe_arrays.base import ArrayCost, Tiles
from simulator.components.pe_arrays.dense_costs import FiringArray, dense_cost


class TilePhases(FiringArray, kind="tile_phases"):
    """`arrays` of `rows` tokens x `columns` outputs, tiles of `inputs` inputs one after another.

    Layers that read the same operand, as q, k and v do, run at once, one an array, and its tile
    goes to all of them; else the arrays share the inputs of one layer, tile by tile, and their sums
    are merged. `timesteps` timesteps are computed in parallel. A tile of the operand takes
    `input_cycles` over the port that all arrays share, one of weights `weight_cycles` in an array;
    with `overlap: fill` these hide behind the tile before, and the longer of both counts, with
    `none` they add up. Draining a tile of outputs hides behind nothing. Weights stream from DRAM,
    an array's over a port of its own, a burst a tile with its latency exposed, for each `rows`
    tokens again. Zeros cost what ones cost. Source: the block of FPGA_SpikingTransformer; the
    cycles are read off runs of its public RTL (arch_configs/fpga_spiking_transformer.yaml).
    """

    example: ClassVar[str] = "kind: tile_phases\nrows: 16\ncolumns: 16\ninputs: 16\narrays: 3\n"
    streams_weights: ClassVar[bool] = True

    rows: int = Field(gt=0, le=1024, description="tokens of a tile")
    columns: int = Field(gt=0, le=4096, description="outputs of a tile")
    inputs: int = Field(gt=0, le=4096, description="inputs of a tile")
    arrays: int = Field(default=1, gt=0, le=64, description="equal arrays")
    timesteps: int = Field(default=1, gt=0, le=64, description="timesteps computed in parallel")
    input_cycles: int = Field(default=36, gt=0, le=4096, description="of a tile of the operand")
    weight_cycles: int = Field(default=53, gt=0, le=4096, description="of a tile of weights")
    overlap: Literal["none", "fill"] = Field(
        default="fill", description="whether tiles enter while the one before is computed"
    )
    drain_cycles: int = Field(default=294, ge=0, le=65536, description="of a tile of outputs")
    merge_cycles: int = Field(default=19, ge=0, le=65536, description="of sums of several arrays")
    burst_words: int = Field(default=32, gt=0, le=4096, description="words of a tile of weights")
    gap_cycles: int = Field(default=7, ge=0, le=4096, description="handshake of a burst")
    port_latency_cycles: int = Field(default=0, ge=0, le=65536, description="of DRAM, exposed")

    @property
    def tile_columns(self) -> int:
        return self.columns

    @property
    def stream_rows(self) -> int:
        return self.rows * self.timesteps

    @property
    def adders(self) -> int:
        return self.rows * self.columns * self.timesteps * self.arrays

    def cost(self, tiles: Tiles) -> ArrayCost:
        sharers = np.ones_like(tiles.block)
        if tiles.sharers is not None:
            sharers = tiles.sharers[tiles.block]
        together = (sharers > 1) & (sharers <= self.arrays)
        pieces = -(-tiles.inputs // self.inputs)
        burst = self.burst_words + self.gap_cycles + self.port_latency_cycles
        split = np.where(together, 1, self.arrays)
        weights = -(-pieces * max(self.weight_cycles, burst) // split)
        if self.overlap == "none":
            fills = pieces * self.input_cycles + weights
        else:
            # A burst delays its own array alone, draining included.
            port = -(-pieces // split) * burst
            entering = pieces * np.where(together, max(self.weight_cycles, self.input_cycles), 0)
            entering = np.where(together, entering, pieces * self.input_cycles)
            drained = self.drain_cycles + np.where(split > 1, self.merge_cycles, 0)
            fills = np.maximum(entering + drained, port) - drained
        drained = self.drain_cycles + np.where(split > 1, self.merge_cycles, 0)
        blocks = -(-tiles.tile_rows // (self.rows * self.timesteps))
        cycles = blocks * (fills + drained)
        return dense_cost(tiles, -(-cycles // np.where(together, sharers, 1)))
