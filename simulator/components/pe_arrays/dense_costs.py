"""Arrays in which every input counts, spike or not, and that have neurons in their read-out."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from simulator.components.pe_arrays.base import AccumulatorArray, ArrayCost, Tiles
from simulator.config.arrays import Ints


class FiringArray(AccumulatorArray, base=True):
    """Hold what these arrays share: they move as one, and spikes leave them."""

    accumulates: ClassVar[str] = "adds the weight of an input, or 0"
    computes_zeros: ClassVar[bool] = True
    in_lockstep: ClassVar[bool] = True
    fires: ClassVar[bool] = True


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
