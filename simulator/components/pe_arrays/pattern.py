"""An array that looks up the sums of frequent patterns and corrects them by what differs."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from simulator.components.base import Action, Primitive, small_bank
from simulator.components.pe_arrays.base import ArrayCost, ColumnArray, Tiles
from simulator.components.pe_arrays.distinct import Slots, empty_slots, slot_of
from simulator.components.pe_arrays.popcount import popcount
from simulator.config.arrays import Ints, Words
from simulator.config.kernels import allocating_kernel, allocating_part, kernel, kernel_part

LOOKED_UP, RESIDUAL = range(2)
"""What is counted of a tile."""


class Pattern(ColumnArray, kind="pattern"):
    """A row is a pattern whose sums are there, and the inputs in which it differs from it.

    A row of `row_inputs` inputs takes the nearest of `patterns` (Hamming distance), if that leaves
    fewer inputs than the row has spikes, else none. Level 1 reads the pattern's products with the
    weights, `lookup_lanes` rows a cycle; level 2 adds or subtracts the weights of the inputs that
    differ, `residual_lanes` a cycle; both work at once on `columns` outputs, and a tile takes the
    longer. Patterns are calibrated for each layer and chunk on the rows of the image itself: the
    start are the values with at least two spikes that save most (count x (spikes - 1), ties: the
    smaller value), then `rounds` of k-means, where a pattern becomes the majority of the rows that
    chose it. Source: Phi (ISCA'25), which calibrates on training images: ours see the image they
    are used on, so results are a little better than there. The products of patterns are made
    beforehand and `prefetched_percent` of them fetched with the weights; for products of
    activations, which are not known beforehand, no patterns are used. An integer operand is taken
    plane by plane. A tree adds up what a row has in `tree_chunks` chunks; only then its sum
    is read and written, unless all of them are empty.
    """

    example: ClassVar[str] = "kind: pattern\ncolumns: 32\npatterns: 128\n"
    reads_bits: ClassVar[bool] = True
    adds: ClassVar[tuple[str, ...]] = ("add_pattern", "add_residual")
    across_taps: ClassVar[bool] = True
    monotone: ClassVar[bool] = False
    """One more spike can make a row equal to a pattern."""

    columns: int = Field(gt=0, le=4096, description="outputs of a tile")
    patterns: int = Field(gt=0, le=4096, description="patterns of a chunk of inputs")
    row_inputs: int = Field(default=16, gt=0, le=64, description="inputs of a row of a tile")
    lookup_lanes: int = Field(default=8, gt=0, le=1024, description="patterns looked up a cycle")
    residual_lanes: int = Field(default=8, gt=0, le=1024, description="residuals added a cycle")
    prefetched_percent: int = Field(
        default=100, ge=0, le=100, description="patterns whose products are fetched, of a chunk"
    )
    tree_chunks: int = Field(
        default=1, gt=0, le=1024, description="chunks of a row that are added up, then to its sum"
    )
    rounds: int = Field(default=2, ge=0, le=100, description="rounds of k-means")
    latency_cycles: int = Field(default=4, ge=0, description="match, look up, add and write back")

    @property
    def tile_inputs(self) -> int:
        return self.row_inputs

    def stored_weight_bits(self, inputs: int, outputs: int, weight_bits: int) -> int:
        fetched = -(-inputs // self.row_inputs) * self.patterns * self.prefetched_percent
        return inputs * outputs * weight_bits + -(-fetched // 100) * outputs * self.sum_bits

    @property
    def adders(self) -> int:
        return self.columns * (self.lookup_lanes + self.residual_lanes)

    def cost(self, tiles: Tiles) -> ArrayCost:
        # A row of a chunk has 64 inputs at most: one word.
        words = np.empty(len(tiles.ones), np.min_scalar_type((1 << self.row_inputs) - 1))
        for first, last, bits, _ in tiles.word_runs():
            words[tiles.ptr[first] : tiles.ptr[last]] = bits
        order = np.argsort(tiles.pool, kind="stable")
        begins = np.flatnonzero(np.diff(tiles.pool[order], prepend=-1))
        pool_ptr = np.append(begins, len(order))
        patterns = np.where(tiles.attention[tiles.block[order[begins]]], 0, self.patterns)
        per_tile = np.empty((2, len(order)), np.int64)
        _match_pools(words, tiles.ptr, order, pool_ptr, patterns, self.rounds, per_tile)
        looked_up, residual = (tiles.by_block(each) for each in per_tile)
        lanes = np.array([[self.lookup_lanes], [self.residual_lanes]])
        visits = tiles.groups * tiles.chunks * tiles.sizes
        rows = tiles.groups * tiles.sizes
        passes = np.zeros(len(tiles.block), np.int64)
        seen = np.full(tiles.sizes.max(initial=0), -1)
        planes = tiles.planes[tiles.block]
        sum_passes(tiles.ones, tiles.ptr, tiles.chunk, planes, self.tree_chunks, seen, passes)
        sums = np.maximum(tiles.by_block(passes), rows)
        return ArrayCost(
            cycles=np.maximum(-(-per_tile // lanes), 1).max(axis=0),
            per_output={"add_pattern": looked_up, "add_residual": residual},
            per_pass={
                "row_match": np.where(tiles.attention, 0, tiles.planes * visits),
                "pattern_read": looked_up,
            },
            partial_sum_read_vectors=sums - rows,
            partial_sum_write_vectors=sums,
            spike_bits=tiles.operand_bits,
            weights_per_output=residual,
        )

    def actions(self) -> dict[str, Action]:
        add = Primitive("add", bits=self.sum_bits)
        width = self.columns * self.sum_bits
        table_kib = self.patterns * width / 8192
        return {
            "add_pattern": Action("adds one product of a pattern to a sum", (add,)),
            "add_residual": Action("adds or subtracts one weight", (add,)),
            "pattern_read": Action(
                "reads a pattern's products, for all columns, from the table of the chunk",
                (small_bank("sram_read", table_kib, width),),
            ),
            "row_match": Action(
                "compares a row with all patterns (as compares of at least 8 bits)",
                (Primitive("compare", bits=max(8, min(32, self.row_inputs)), times=self.patterns),),
            ),
        }


@kernel
def sum_passes(
    ones: npt.NDArray[Any],
    ptr: Ints,
    chunk: Ints,
    planes: Ints,
    tree: int,
    seen: Ints,
    passes: Ints,
) -> None:
    """Count, at the first chunk of a tree's, the rows with a spike in one of them.

    seen: int64, as long as the longest tile, of -1: the tree in which each row was counted last.
    """
    first = 0
    for tile in range(len(ptr) - 1):
        if chunk[tile] % tree == 0:
            first = tile
        for word in range(ptr[tile], ptr[tile + 1]):
            row = (word - ptr[tile]) // planes[tile]
            if ones[word] > 0 and seen[row] != first:
                seen[row] = first
                passes[first] += 1


@allocating_kernel
def calibrated(values: Words, counts: Ints, patterns: int, rounds: int) -> Words:
    """Return at most `patterns` patterns for distinct values that occur `counts` times."""
    saved = np.empty(len(values), np.int64)
    for place in range(len(values)):
        saved[place] = counts[place] * (popcount(values[place]) - 1)
    order = np.argsort(-saved, kind="mergesort")[:patterns]
    chosen = values[order[saved[order] > 0]]
    for _ in range(rounds):
        chosen = _majorities(values, counts, chosen)
    return chosen


@allocating_part
def _places(patterns: Words) -> Slots:
    """Return a table of the patterns, of equals the first."""
    slots: Slots = empty_slots(len(patterns))
    for place in range(len(patterns)):
        slot = slot_of(patterns[place], slots, patterns)
        if slots[slot] < 0:
            slots[slot] = place
    return slots


@kernel_part
def _nearest(value: np.uint64, patterns: Words, slots: Slots) -> tuple[int, int]:
    """Return the first nearest pattern that leaves fewer inputs than `value` has, or -1; and those.

    An empty value needs none.
    """
    best, left = -1, popcount(value)
    equal = int(np.int64(slots[slot_of(value, slots, patterns)]))
    if equal >= 0 and left > 0:
        return equal, 0
    # No pattern is equal, so none leaves less than one input.
    for place in range(len(patterns)):
        if left <= 1:
            break
        distance = popcount(value ^ patterns[place])
        if distance < left:
            best, left = place, distance
    return best, left


@allocating_kernel
def match_patterns(values: Words, patterns: Words, looked_up: Ints, residual: Ints) -> None:
    """Fill for each value whether it takes a pattern, and the inputs that are left."""
    slots = _places(patterns)
    for place in range(len(values)):
        best, left = _nearest(values[place], patterns, slots)
        looked_up[place] = 1 if best >= 0 else 0
        residual[place] = left


@allocating_part
def _majorities(values: Words, counts: Ints, patterns: Words) -> Words:
    """Return the patterns moved to the majority of those that chose them."""
    votes = np.zeros((len(patterns), 64), np.int64)
    weight = np.zeros(len(patterns), np.int64)
    slots = _places(patterns)
    for place in range(len(values)):
        best, _ = _nearest(values[place], patterns, slots)
        if best >= 0:
            weight[best] += counts[place]
            left = values[place]
            while left:
                votes[best, popcount((left - np.uint64(1)) & ~left)] += counts[place]
                left &= left - np.uint64(1)
    moved = patterns.copy()
    for place in range(len(patterns)):
        if weight[place] == 0:
            continue
        moved[place] = 0
        for bit in range(64):
            if 2 * votes[place, bit] > weight[place]:
                moved[place] |= np.uint64(1) << np.uint64(bit)
    return moved


@allocating_kernel
def _match_pools(
    words: npt.NDArray[Any],
    ptr: Ints,
    order: Ints,
    pool_ptr: Ints,
    patterns: Ints,
    rounds: int,
    per_tile: Ints,
) -> None:
    """Fill what is looked up and what is left of each tile; order: the tiles of each pool."""
    per_tile[:] = 0
    for pool in range(len(pool_ptr) - 1):
        own = order[pool_ptr[pool] : pool_ptr[pool + 1]]
        values, counts, places = _distinct(words, ptr, own)
        matched = np.zeros((2, len(values)), np.int64)
        several = 0
        for place in range(len(values)):
            several += popcount(values[place]) > 1
        if several <= patterns[pool]:
            # Each value of several spikes is a pattern of its own, and stays it.
            for place in range(len(values)):
                matched[LOOKED_UP if popcount(values[place]) > 1 else RESIDUAL, place] = 1
        else:
            by_value = np.argsort(values)
            chosen = calibrated(values[by_value], counts[by_value], patterns[pool], rounds)
            match_patterns(values, chosen, matched[LOOKED_UP], matched[RESIDUAL])
        word = 0
        for tile in own:
            for place in places[word : word + ptr[tile + 1] - ptr[tile]]:
                if place >= 0:
                    per_tile[LOOKED_UP, tile] += matched[LOOKED_UP, place]
                    per_tile[RESIDUAL, tile] += matched[RESIDUAL, place]
            word += ptr[tile + 1] - ptr[tile]


@allocating_part
def _distinct(words: npt.NDArray[Any], ptr: Ints, own: Ints) -> tuple[Words, Ints, Slots]:
    """Return the distinct values of a pool, their counts, and of each word its value (-1: none)."""
    total = 0
    for tile in own:
        total += ptr[tile + 1] - ptr[tile]
    slots, places = empty_slots(total), np.empty(total, np.int32)
    values, counts = np.empty(total, np.uint64), np.zeros(total, np.int64)
    count, place = 0, 0
    for tile in own:
        for word in range(ptr[tile], ptr[tile + 1]):
            places[place] = -1
            value = np.uint64(words[word])
            if value != 0:
                slot = slot_of(value, slots, values)
                if slots[slot] < 0:
                    slots[slot], values[count] = count, value
                    count += 1
                places[place] = slots[slot]
                counts[slots[slot]] += 1
            place += 1
    return values[:count], counts[:count], places
