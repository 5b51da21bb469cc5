"""An array that computes what the spike rows of a tile have in common only once."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from simulator.components.base import Action, Primitive
from simulator.components.pe_arrays.base import ArrayCost, ColumnArray, Tiles
from simulator.components.pe_arrays.distinct import empty_slots, slot_of
from simulator.components.pe_arrays.popcount import popcount
from simulator.config.arrays import Int32s, Ints, Words
from simulator.config.kernels import allocating_kernel, allocating_part, kernel_part

SPIKES, REMAINING, EMPTIED, SEARCHED = range(4)
"""What is counted of a tile, see `product_search`."""


class ProductSparse(ColumnArray, kind="product_sparse"):
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
    def tile_inputs(self) -> int:
        return self.row_inputs

    def cost(self, tiles: Tiles) -> ArrayCost:
        cycles = np.empty(len(tiles.block), np.int64)
        totals = np.zeros((4, len(tiles.sizes)), np.int64)
        sizes = (self.tile_rows, self.popcounts_per_cycle)
        for first, last, words, ptr in tiles.word_runs():
            run = slice(first, last)
            _search_tiles(words, ptr, tiles.block[run], tiles.planes, *sizes, cycles[run], totals)
        remaining, emptied, searched = totals[REMAINING], totals[EMPTIED], totals[SEARCHED]
        rows = tiles.groups * tiles.sizes
        return ArrayCost(
            cycles=cycles,
            per_output={"accumulate": remaining},
            per_pass={
                "row_search": searched,
                "row_sort": rows * tiles.planes * tiles.chunks,
                "prefix_entry": searched,
            },
            # The sum of a row is begun by reading its own or its prefix's, and ended by writing.
            partial_sum_read_vectors=remaining + emptied,
            partial_sum_write_vectors=remaining + emptied + rows,
            spike_bits=tiles.operand_bits,
            weights_per_output=remaining,
        )

    def actions(self) -> dict[str, Action]:
        return super().actions() | {
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


@allocating_kernel
def product_search(rows: Words, prefix: Int32s, rest: Words, found: Ints) -> None:
    """Find the prefix of each row of a tile, -1 for none, and what is left of the row without it.

    Equal rows are searched once: those that come later are copies of the first.
    rows: uint64 (rows,). prefix, rest: filled.
    found: the tile's spikes, those that remain, rows that became empty, and rows that searched are
    added to it.
    """
    slots, values = empty_slots(len(rows)), np.empty(len(rows), np.uint64)
    first_row = np.empty(len(rows), np.int64)
    # Distinct values by falling number of spikes: how many there are, then where they begin.
    begin = np.zeros(66, np.int64)
    singles = np.uint64(0)  # inputs of which a row of one spike was met
    count, spikes, copied, repeated, searched = 0, 0, 0, 0, 0
    for row in range(len(rows)):
        value = rows[row]
        prefix[row], rest[row] = -1, value
        if value == 0:
            continue
        ones = popcount(value)
        spikes += ones
        if ones == 1:
            known = singles & value != 0
            singles |= value
            repeated += known
        else:
            searched += 1
            slot = slot_of(value, slots, values)
            known = slots[slot] >= 0
            if known:
                prefix[row], rest[row] = first_row[slots[slot]], 0
                copied += 1
            else:
                slots[slot] = count
        if not known:
            values[count], first_row[count] = value, row
            begin[65 - ones] += 1
            count += 1
    for place in range(1, len(begin)):
        begin[place] += begin[place - 1]
    found[SPIKES] += spikes
    found[EMPTIED] += copied
    found[SEARCHED] += searched
    found[REMAINING] += repeated + _search_distinct(values[:count], first_row, begin, prefix, rest)


@allocating_part
def _search_distinct(
    values: Words, first_row: Ints, begin: Ints, prefix: Int32s, rest: Words
) -> int:
    """Find the largest proper subset of each value, of equals the first; return what remains.

    begin[64 - n]: the values with more than n spikes, which is where those with n begin.
    """
    # An empty word at the end is a subset of every value and stops each search.
    ordered, order = np.zeros(len(values) + 1, np.uint64), np.empty(len(values), np.int64)
    next_place = begin.copy()
    for index in range(len(values)):
        spikes = 64 - popcount(values[index])
        place = next_place[spikes]
        ordered[place], order[place] = values[index], index
        next_place[spikes] = place + 1
    remaining = 0
    for index in range(len(values)):
        value = values[index]
        place = begin[65 - popcount(value)]
        while ordered[place] & ~value != 0:
            place += 1
        value ^= ordered[place]
        remaining += popcount(value)
        if place < len(values):
            row = first_row[index]
            prefix[row], rest[row] = first_row[order[place]], value
    return remaining


@allocating_kernel
def _search_tiles(
    words: Words,
    ptr: Ints,
    block: Ints,
    planes: Ints,
    tile_rows: int,
    popcounts: int,
    cycles: Ints,
    totals: Ints,
) -> None:
    """Fill the cycles of each tile; add to each block what `product_search` counts."""
    prefix, scratch = np.empty(tile_rows, np.int32), np.empty((2, tile_rows), np.uint64)
    found = np.zeros(4, np.int64)
    for tile in range(len(block)):
        spent, depth = 0, planes[block[tile]]
        for plane in range(depth):
            # A row of a tile has 64 inputs at most: one word.
            for first in range(ptr[tile] + plane, ptr[tile + 1], tile_rows * depth):
                count = 0
                for word in range(first, min(first + tile_rows * depth, ptr[tile + 1]), depth):
                    scratch[0, count] = words[word]
                    count += 1
                found[:] = 0
                product_search(scratch[0, :count], prefix, scratch[1], found)
                for what in range(len(found)):
                    totals[what, block[tile]] += found[what]
                search = found[SEARCHED] + count // popcounts
                spent += max(found[REMAINING] + found[EMPTIED], search)
        cycles[tile] = max(spent, 1)


@allocating_kernel
def product_matrix(words: Words, inputs: int, tile_rows: int, tile_inputs: int) -> Ints:
    """Return what `product_search` counts, summed over all tiles of uint64 (row, word)."""
    prefix, scratch = np.empty(tile_rows, np.int32), np.empty((2, tile_rows), np.uint64)
    found = np.zeros(4, np.int64)
    for first in range(0, words.shape[0], tile_rows):
        rows = words[first : first + tile_rows]
        for start in range(0, inputs, tile_inputs):
            _cut_inputs(rows, start, min(start + tile_inputs, inputs), scratch[0])
            product_search(scratch[0, : len(rows)], prefix, scratch[1], found)
    return found


@kernel_part
def _cut_inputs(words: Words, start: int, stop: int, values: Words) -> None:
    """Fill the inputs start to stop - 1, at most 64 of them, of uint64 (row, word)."""
    word, shift = start >> 6, np.uint64(start & 63)
    mask = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - (stop - start))
    for row in range(len(words)):
        value = words[row, word] >> shift
        if (start & 63) + stop - start > 64:
            value |= words[row, word + 1] << (np.uint64(64) - shift)
        values[row] = value & mask
