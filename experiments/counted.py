"""Tiles made by hand, where only the set bits of their rows are known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simulator.components.pe_arrays.base import RowLists, Tiles
from simulator.config.arrays import Ints


def counted_tiles(
    ones: npt.NDArray[np.integer], inputs: npt.NDArray[np.integer], outputs: int = 1
) -> Tiles:
    """Return the tiles of one block: rows of one timestep and one plane, nothing known of bits.

    ones: integers (rows, chunks), set bits. inputs: integers (chunks,).
    """
    rows, chunks = ones.shape
    tiles = chunks if rows else 0
    blocks = int(tiles > 0)
    row = np.arange(rows, dtype=np.int32)

    def of_block(value: int) -> Ints:
        return np.full(blocks, value, np.int64)

    return Tiles(
        ones=np.ascontiguousarray(ones.T, np.min_scalar_type(ones.max(initial=0))).ravel(),
        ptr=np.arange(tiles + 1, dtype=np.int64) * rows,
        block=np.zeros(tiles, np.int64),
        chunk=np.arange(tiles, dtype=np.int64),
        inputs=inputs[:tiles].astype(np.int64),
        pool=np.arange(tiles, dtype=np.int64),
        sizes=of_block(rows),
        planes=of_block(1),
        groups=of_block(1),
        chunks=of_block(chunks),
        product_inputs=of_block(int(inputs.sum())),
        outputs=of_block(outputs),
        integer=np.zeros(blocks, np.bool_),
        attention=np.zeros(blocks, np.bool_),
        rows=lambda: RowLists(np.array([0, rows][: blocks + 1]), np.zeros_like(row), row),
    )
