"""Costs of tiles in which every input counts, spike or not."""

from __future__ import annotations

import numpy as np

from simulator.components.pe_arrays.base import ArrayCost, Ints, Tiles


def dense_cost(tiles: Tiles, cycles: Ints) -> ArrayCost:
    """Return the cost of tiles that add every input once, in these cycles, sums kept inside."""
    added = tiles.by_block(tiles.tile_rows * tiles.planes[tiles.block] * tiles.inputs)
    rows = tiles.groups * tiles.sizes
    return ArrayCost(
        cycles=np.maximum(cycles, 1),
        per_output={"accumulate": added},
        per_pass={},
        partial_sum_read_vectors=np.zeros_like(added),
        partial_sum_write_vectors=rows,
        spike_bits=tiles.operand_bits,
        weights_per_output=tiles.groups * tiles.product_inputs,
    )
