"""Trees of adders: each sums one row's inputs of a chunk for one output, in one cycle."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from simulator.components.pe_arrays.base import ArrayCost, ColumnArray, Tiles


class AdderTrees(ColumnArray, kind="adder_trees"):
    """Rows x columns trees of `tree_inputs` adders; operands are broadcast, sums are in one place.

    In a cycle `rows` operand rows meet the weights of a chunk of `tree_inputs` inputs for `columns`
    outputs; a tile takes its rows over `rows`. Zeros take their time, and no energy: a spike gates
    its weight. The planes of an integer are rows that follow one another, whose sums are shifted
    in the accumulator. A chunk's weights stay in registers while all rows of a block pass, the next
    chunk's are read meanwhile; sums pass their buffer once a row and chunk. One register a tree
    and one a weight take the place of those in each PE of a systolic array.
    """

    in_lockstep: ClassVar[bool] = True
    across_taps: ClassVar[bool] = True
    example: ClassVar[str] = "kind: adder_trees\nrows: 4\ncolumns: 12\ntree_inputs: 72\n"

    rows: int = Field(gt=0, le=4096, description="operand rows of a cycle")
    columns: int = Field(gt=0, le=4096, description="outputs of a tile")
    tree_inputs: int = Field(gt=0, le=4096, description="inputs that a tree sums in a cycle")
    latency_cycles: int = Field(default=8, ge=0, description="levels of a tree, and write back")

    @property
    def fold_rows(self) -> int:
        return self.rows

    @property
    def tile_inputs(self) -> int:
        return self.tree_inputs

    @property
    def adders(self) -> int:
        return self.rows * self.columns * self.tree_inputs

    @property
    def accumulators(self) -> int:
        return self.rows * self.columns

    @property
    def weight_registers(self) -> int:
        return self.columns * self.tree_inputs

    def cost(self, tiles: Tiles) -> ArrayCost:
        cycles = -(-tiles.sizes * tiles.planes // self.rows)
        visits = tiles.groups * tiles.chunks * tiles.sizes
        return ArrayCost(
            cycles=np.maximum(cycles, 1)[tiles.block],
            per_output={"accumulate": tiles.by_block(tiles.tile_ones())},
            per_pass={},
            partial_sum_read_vectors=visits - tiles.groups * tiles.sizes,
            partial_sum_write_vectors=visits,
            spike_bits=tiles.operand_bits,
            weights_per_output=tiles.groups * tiles.product_inputs,
        )
