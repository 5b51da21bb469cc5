"""A PE array: one row at a time through an adder tree."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from stasim.parts import Action, ArrayCost, PEArray, Primitive, Tiles


class AdderTree(PEArray, kind="adder_tree"):
    """Adds up to `fan_in` set bits of a row a cycle, on `columns` outputs; empty words pass too."""

    example: ClassVar[str] = "kind: adder_tree\ncolumns: 16\nfan_in: 8\n"

    columns: int = Field(gt=0, le=4096, description="outputs of a tile")
    fan_in: int = Field(gt=0, le=256, description="weights that the tree adds in a cycle")

    @property
    def tile_columns(self) -> int:
        return self.columns

    @property
    def tile_inputs(self) -> int:
        return 128

    @property
    def pipeline_latency_cycles(self) -> int:
        return self.fan_in.bit_length()

    @property
    def adders(self) -> int:
        return self.columns * self.fan_in

    def cost(self, tiles: Tiles) -> ArrayCost:
        cycles = np.maximum(-(-tiles.ones.astype(np.int64) // self.fan_in), 1)
        words = tiles.groups * tiles.chunks * tiles.planes * tiles.sizes
        added = tiles.by_block(tiles.tile_ones())
        return ArrayCost(
            # No tile is empty: each begins where the one before it ends.
            cycles=np.add.reduceat(cycles, tiles.ptr[:-1]) if len(tiles.block) else cycles,
            per_output={"accumulate": added},
            per_pass={},
            partial_sum_read_vectors=words,
            partial_sum_write_vectors=words,
            spike_bits=words * self.tile_inputs,
            weights_per_output=added,
        )

    def actions(self) -> dict[str, Action]:
        add = Primitive("add", bits=self.sum_bits)
        return {"accumulate": Action("adds one weight in the tree", (add,))}
