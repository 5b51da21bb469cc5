"""An array that computes what the spike rows of a tile have in common only once."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from numba import njit
from pydantic import Field

from simulator.components.base import Action, Primitive
from simulator.components.pe_arrays.base import AccumulatorArray, ArrayCost, Ints, Words, Work

SPIKES, REMAINING, EMPTIED, SEARCHED = range(4)
"""What is counted of a tile, see `product_tile`."""


class ProductSparse(AccumulatorArray, kind="product_sparse"):
    """A row adds only the spikes that it does not share with its largest subset row of the tile.

    A tile is `tile_rows` operand rows of `tile_inputs` inputs. Each row with two spikes or more
    looks among the tile's rows for the subset of itself with the most spikes (an equal row only if
    it comes earlier; of equals the first), takes over that row's result and adds the weights of
    the rest, a spike a cycle on all columns; a row that is wholly found costs a cycle for the
    copy. The search for the next tile runs beside the sums of this one: a row a cycle for those
    that search, `popcounts_per_cycle` rows a cycle for the sort by spikes that orders them. So a
    tile takes the longer of the two. An integer operand is a tile for each bit-plane.
    Source: Prosperity (HPCA'25) and its public simulator, whose linear and convolution rule this
    is, with search and sums compared tile by tile. Approximate: the CAM of the search is priced
    as compares of all its rows, the forest of prefixes as one buffer access a row.
    """

    example: ClassVar[str] = "kind: product_sparse\ncolumns: 128\n"
    reads_bits: ClassVar[bool] = True
    across_taps: ClassVar[bool] = True
    monotone: ClassVar[bool] = False
    """One more spike can make a row the copy of another."""

    columns: int = Field(gt=0, le=4096, description="PEs, one an output of a tile")
    tile_rows: int = Field(default=256, gt=0, le=4096, description="operand rows of a tile")
    row_inputs: int = Field(default=16, gt=0, le=64, description="inputs of a row of a tile")
    popcounts_per_cycle: int = Field(default=8, gt=0, le=4096, description="rows sorted in a cycle")
    latency_cycles: int = Field(
        default=3, ge=0, description="read, add and write back, after a tile's last spike"
    )

    @property
    def tile_columns(self) -> int:
        return self.columns

    @property
    def tile_inputs(self) -> int:
        return self.row_inputs

    @property
    def peak_accumulations_per_cycle(self) -> int:
        """A copied row brings the sums of up to all its inputs in one cycle."""
        return self.columns * self.row_inputs

    @property
    def adders(self) -> int:
        return self.columns

    def cost(self, work: Work) -> ArrayCost:
        groups, rows, planes, chunks = work.ones.shape
        sizes = np.diff(work.block_ptr)
        cycles = np.zeros((groups, len(sizes), chunks), np.int64)
        totals = np.zeros((4, len(sizes)), np.int64)
        for group in range(groups if rows else 0):
            for chunk in range(chunks):
                _search_blocks(
                    work.bits(group, chunk),
                    work.block_ptr,
                    int(work.chunk_inputs[chunk]),
                    self.tile_rows,
                    self.popcounts_per_cycle,
                    cycles[group, :, chunk],
                    totals,
                )
        remaining, emptied, searched = totals[REMAINING], totals[EMPTIED], totals[SEARCHED]
        return ArrayCost(
            cycles=cycles,
            per_output={"accumulate": remaining},
            per_pass={
                "row_search": searched,
                "row_sort": groups * planes * chunks * sizes,
                "prefix_entry": searched,
            },
            # The sum of a row is begun by reading its own or its prefix's, and ended by writing.
            partial_sum_read_vectors=remaining + emptied,
            partial_sum_write_vectors=remaining + emptied + groups * sizes,
            spike_bits=groups * planes * sizes * int(work.chunk_inputs.sum()),
            weights_per_output=remaining,
        )

    def actions(self) -> dict[str, Action]:
        return {
            "accumulate": Action(
                "adds one weight to one accumulator", (Primitive("add", bits=self.sum_bits),)
            ),
            "row_search": Action(
                "compares a row with all rows of the tile (as compares of at least 8 bits)",
                (
                    Primitive(
                        "compare", bits=max(8, min(32, self.row_inputs)), times=self.tile_rows
                    ),
                ),
            ),
            "row_sort": Action(
                "counts a row's spikes and places it (as two adds of 8 bits)",
                (Primitive("add", bits=8, times=2),),
            ),
            "prefix_entry": Action(
                "writes and reads a row's prefix in the table of the tile (as the smallest bank)",
                (
                    Primitive("sram_write", size_kib=1.0, width_bits=32),
                    Primitive("sram_read", size_kib=1.0, width_bits=32),
                ),
            ),
        }


@njit(cache=True, nogil=True)
def _ones(word: np.uint64) -> int:
    """Set bits of a word."""
    value = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    value = (value & np.uint64(0x3333333333333333)) + (
        (value >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    value = (value + (value >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    value = value + (value >> np.uint64(8))
    value = value + (value >> np.uint64(16))
    value = value + (value >> np.uint64(32))
    return int(value & np.uint64(0x7F))


@njit(cache=True, nogil=True)
def product_search(rows: Words, prefix: npt.NDArray[np.int32], rest: Words, found: Ints) -> None:
    """The prefix of each row of a tile, -1 for none, and what is left of the row without it.

    `rows`: uint64 (row,); `prefix`, `rest`: to be filled. Adds to `found` the tile's spikes, those
    that remain, rows that became empty, and rows that searched. Rows are visited by falling number
    of spikes, so that the first subset met is the largest and of equals the first.
    """
    count = len(rows)
    weight = np.empty(count, np.int64)
    first = np.zeros(66, np.int64)
    for row in range(count):
        weight[row] = _ones(rows[row])
        first[64 - weight[row] + 1] += 1
    for place in range(65):
        first[place + 1] += first[place]
    begin = first.copy()
    order = np.empty(count, np.int64)
    for row in range(count):
        place = 64 - weight[row]
        order[first[place]] = row
        first[place] += 1
    for row in range(count):
        value, prefix[row] = rows[row], -1
        found[SPIKES] += weight[row]
        if weight[row] > 1:
            found[SEARCHED] += 1
            for place in range(begin[64 - weight[row]], begin[64]):
                other = order[place]
                if rows[other] & ~value == 0 and (rows[other] != value or other < row):
                    prefix[row] = other
                    value ^= rows[other]
                    break
            if value == 0:
                found[EMPTIED] += 1
        rest[row] = value
        found[REMAINING] += weight[row] if prefix[row] < 0 else _ones(value)


@njit(cache=True, nogil=True)
def product_tile(
    words: Words, first: int, last: int, start: int, stop: int, work: Words, found: Ints
) -> None:
    """Search rows first..last of uint64 (row, word) over inputs start..stop, at most 64 of them.

    `work`: uint64 (2, rows at least), scratch. Adds to `found` as `product_search`.
    """
    prefix = np.empty(last - first, np.int32)
    word, shift = start >> 6, np.uint64(start & 63)
    mask = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - (stop - start))
    for row in range(first, last):
        value = words[row, word] >> shift
        if (start & 63) + stop - start > 64:
            value |= words[row, word + 1] << (np.uint64(64) - shift)
        work[0, row - first] = value & mask
    product_search(work[0, : last - first], prefix, work[1, : last - first], found)


@njit(cache=True, nogil=True)
def _search_blocks(
    bits: Words,
    block_ptr: Ints,
    inputs: int,
    tile_rows: int,
    popcounts: int,
    cycles: Ints,
    totals: Ints,
) -> None:
    """Cycles of each block for one chunk; totals by block, as `product_search` counts them."""
    work = np.empty((2, tile_rows), np.uint64)
    found = np.zeros(4, np.int64)
    for block in range(len(block_ptr) - 1):
        for plane in range(bits.shape[1]):
            for first in range(block_ptr[block], block_ptr[block + 1], tile_rows):
                last = min(first + tile_rows, block_ptr[block + 1])
                found[:] = 0
                product_tile(bits[:, plane], first, last, 0, inputs, work, found)
                totals[:, block] += found
                search = found[SEARCHED] + (last - first) // popcounts
                cycles[block] += max(found[REMAINING] + found[EMPTIED], search)
        cycles[block] = max(cycles[block], 1)


@njit(cache=True, nogil=True)
def product_matrix(words: Words, inputs: int, tile_rows: int, tile_inputs: int) -> Ints:
    """What `product_search` counts, summed over all tiles of uint64 (row, word)."""
    work = np.empty((2, tile_rows), np.uint64)
    found = np.zeros(4, np.int64)
    for first in range(0, words.shape[0], tile_rows):
        last = min(first + tile_rows, words.shape[0])
        for start in range(0, inputs, tile_inputs):
            product_tile(words, first, last, start, min(start + tile_inputs, inputs), work, found)
    return found
