"""A pair of units for attention: scores of a head while the one before meets its values."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from simulator.components.pe_arrays.base import ArrayCost, Tiles
from simulator.components.pe_arrays.dense_costs import FiringArray, dense_cost


class ScorePair(FiringArray, kind="score_pair"):
    """A score a cycle over all channels of a head, and its product with the values in ping-pong.

    The scores of a head take a cycle each, `width` cycles a key to load it, and `head_cycles`; the
    values of a head are added while the scores of the next are made, so that only the last of
    `heads` shows, with `last_cycles`; each head counts its part of that. `timesteps` timesteps are
    computed in parallel. Zeros cost what ones cost. Source: attention of FPGA_SpikingTransformer;
    the cycles are read off runs of its public RTL (arch_configs/fpga_spiking_transformer.yaml).
    """

    example: ClassVar[str] = "kind: score_pair\nwidth: 32\ntimesteps: 4\n"
    accumulates: ClassVar[str] = "adds a product of two bits, or a score"
    entire_maps: ClassVar[bool] = True

    width: int = Field(gt=0, le=1024, description="channels of a head, added at once")
    timesteps: int = Field(default=1, gt=0, le=64, description="timesteps computed in parallel")
    heads: int = Field(default=1, gt=0, le=256, description="heads one after another in a layer")
    most_tokens: int = Field(default=64, gt=0, le=4096, description="scores of a row that it holds")
    head_cycles: int = Field(default=6, ge=0, le=4096, description="of a head's scores, once")
    last_cycles: int = Field(default=14, ge=0, le=4096, description="of the last head's values")

    @property
    def tile_columns(self) -> int:
        return self.most_tokens

    @property
    def adders(self) -> int:
        return 2 * self.width * self.timesteps

    def cost(self, tiles: Tiles) -> ArrayCost:
        tokens = tiles.outputs[tiles.block]
        loads = -(-tiles.inputs // self.width) * (tokens + self.width) * tokens
        values = -(-(tokens * tokens + self.last_cycles) // self.heads)
        scores = tiles.tile_rows == tokens
        cycles = np.where(scores, loads + self.head_cycles, values)
        # Each timestep is a step of its own, and takes its part of the cycles of all.
        return dense_cost(tiles, -(-cycles // self.timesteps))
