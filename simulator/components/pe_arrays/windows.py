"""Windows of timesteps: the rows of one token that an array takes together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from simulator.components.pe_arrays.base import RowLists, Tiles
from simulator.config.arrays import Int32s, Ints, Words
from simulator.config.kernels import kernel


class Windows(NamedTuple):
    """Hold the windows of all blocks.

    ptr: int64 (blocks + 1,), windows of each block.
    row_ptr: int64 (windows + 1,), rows of each window.
    """

    ptr: Ints
    row_ptr: Ints


class WindowRun(NamedTuple):
    """Hold a run of tiles, with their bits and the windows of their blocks, for one kernel.

    words, word_ptr: bits of the run, as `Tiles.word_runs` gives them.
    block, inputs: int64 (tiles of the run,).
    planes: int64 (blocks,).
    ptr, row_ptr: see `Windows`.
    """

    words: Words
    word_ptr: Ints
    block: Ints
    inputs: Ints
    planes: Ints
    ptr: Ints
    row_ptr: Ints


def windows(rows: RowLists, timesteps: int) -> Windows:
    """Cut the rows of each block into windows.

    A window is the rows of one token or pixel whose timesteps fall into the same `timesteps`. It
    ends where a block ends. Rows of one timestep only make windows of one row.
    """
    ptr = np.zeros(len(rows.ptr), np.int64)
    row_ptr = np.zeros(len(rows.row) + 1, np.int64)
    count = _cut(rows.ptr, rows.timestep, rows.row, timesteps, ptr, row_ptr)
    return Windows(ptr, row_ptr[: count + 1])


def window_runs(tiles: Tiles, timesteps: int) -> Iterator[tuple[slice, WindowRun]]:
    """Yield runs of tiles, bounded in memory: which tiles, and what a kernel needs of them."""
    cut = windows(tiles.rows(), timesteps)
    for first, last, words, word_ptr in tiles.word_runs():
        run = slice(first, last)
        block, inputs = tiles.block[run], tiles.inputs[run]
        yield run, WindowRun(words, word_ptr, block, inputs, tiles.planes, *cut)


@kernel
def _cut(
    block_ptr: Ints, timestep: Int32s, row: Int32s, timesteps: int, ptr: Ints, row_ptr: Ints
) -> int:
    """Fill the windows of each block and the rows of each window; return the windows."""
    count = 0
    for block in range(len(block_ptr) - 1):
        begin, end = block_ptr[block], block_ptr[block + 1]
        for place in range(begin, end):
            if (
                place == begin
                or row[place] != row[place - 1]
                or timestep[place] // timesteps != timestep[place - 1] // timesteps
            ):
                row_ptr[count] = place
                count += 1
        ptr[block + 1] = count
    row_ptr[count] = len(row)
    return count


@kernel
def join_windows(words: Words, row_ptr: Ints, joined: Words) -> None:
    """Fill `joined` (window, word) with the inputs that spike at any row of each window.

    words: uint64 (row, word), whose first row is number row_ptr[0].
    row_ptr: int64 (windows + 1,).
    """
    for window in range(len(row_ptr) - 1):
        first, last = row_ptr[window] - row_ptr[0], row_ptr[window + 1] - row_ptr[0]
        for word in range(words.shape[1]):
            found = words[first, word]
            for row in range(first + 1, last):
                found |= words[row, word]
            joined[window, word] = found
