"""An array that looks up the sums of frequent patterns and corrects them by what differs."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numba import njit
from pydantic import Field

from simulator.components.base import Action, Primitive
from simulator.components.pe_arrays.base import AccumulatorArray, ArrayCost, Ints, Words, Work

LOOKED_UP, RESIDUAL = range(2)


class Pattern(AccumulatorArray, kind="pattern"):
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
    plane by plane.
    """

    example: ClassVar[str] = "kind: pattern\ncolumns: 32\npatterns: 128\n"
    reads_bits: ClassVar[bool] = True
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
    rounds: int = Field(default=2, ge=0, le=100, description="rounds of k-means")
    latency_cycles: int = Field(default=4, ge=0, description="match, look up, add and write back")

    @property
    def tile_columns(self) -> int:
        return self.columns

    @property
    def tile_inputs(self) -> int:
        return self.row_inputs

    @property
    def peak_accumulations_per_cycle(self) -> int:
        """A pattern brings the sums of up to all its inputs at once."""
        return self.columns * (self.lookup_lanes * self.row_inputs + self.residual_lanes)

    def stored_weight_bits(self, inputs: int, outputs: int, weight_bits: int) -> int:
        fetched = -(-inputs // self.row_inputs) * self.patterns * self.prefetched_percent
        return inputs * outputs * weight_bits + -(-fetched // 100) * outputs * self.sum_bits

    @property
    def adders(self) -> int:
        return self.columns * (self.lookup_lanes + self.residual_lanes)

    def cost(self, work: Work) -> ArrayCost:
        groups, rows, planes, chunks = work.ones.shape
        sizes = np.diff(work.block_ptr)
        cycles = np.zeros((groups, len(sizes), chunks), np.int64)
        found = np.zeros((2, len(sizes)), np.int64)
        lanes = np.array([self.lookup_lanes, self.residual_lanes], np.int64)
        for group, chunk in np.ndindex(groups if rows else 0, chunks):
            values = work.bits(group, chunk)[:, :, 0]
            unique, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
            count = 0 if work.attention else self.patterns
            chosen = calibrated(unique, counts.astype(np.int64), count, self.rounds)
            looked_up, residual = np.empty((2, len(unique)), np.int64)
            match_patterns(unique, chosen, looked_up, residual)
            places = inverse.reshape(rows, planes)
            _sum_blocks(
                looked_up[places].sum(axis=1),
                residual[places].sum(axis=1),
                work.block_ptr,
                lanes,
                cycles[group, :, chunk],
                found,
            )
        matched = groups * planes * chunks * sizes * (0 if work.attention else 1)
        return ArrayCost(
            cycles=cycles,
            per_output={"add_pattern": found[LOOKED_UP], "add_residual": found[RESIDUAL]},
            per_pass={"row_match": matched, "pattern_read": found[LOOKED_UP]},
            partial_sum_read_vectors=groups * sizes * (chunks - 1),
            partial_sum_write_vectors=groups * sizes * chunks,
            spike_bits=groups * planes * sizes * int(work.chunk_inputs.sum()),
            weights_per_output=found[RESIDUAL],
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
                (Primitive("sram_read", size_kib=max(1.0, table_kib), width_bits=width),),
            ),
            "row_match": Action(
                "compares a row with all patterns (as compares of at least 8 bits)",
                (Primitive("compare", bits=max(8, min(32, self.row_inputs)), times=self.patterns),),
            ),
        }


def calibrated(values: Words, counts: Ints, patterns: int, rounds: int) -> Words:
    """uint64 (at most `patterns`,): patterns for values that occur `counts` times."""
    saved = counts * (np.bitwise_count(values).astype(np.int64) - 1)
    order = np.argsort(-saved, kind="stable")[:patterns]
    chosen = values[order[saved[order] > 0]]
    for _ in range(rounds):
        chosen = _majorities(values, counts, chosen)
    return chosen


@njit(cache=True, nogil=True)
def _ones(word: np.uint64) -> int:
    """Set bits of a word."""
    total = 0
    while word:
        word &= word - np.uint64(1)
        total += 1
    return total


@njit(cache=True, nogil=True)
def _nearest(value: np.uint64, patterns: Words) -> tuple[int, int]:
    """The first nearest pattern that leaves fewer inputs than `value` has, or -1; and what is left.

    An empty value needs none.
    """
    best, left = -1, _ones(value)
    for place in range(len(patterns)):
        if left == 0:
            break
        distance = _ones(value ^ patterns[place])
        if distance < left:
            best, left = place, distance
    return best, left


@njit(cache=True, nogil=True)
def match_patterns(values: Words, patterns: Words, looked_up: Ints, residual: Ints) -> None:
    """For each value whether it takes a pattern, and the inputs that are left."""
    for place in range(len(values)):
        best, left = _nearest(values[place], patterns)
        looked_up[place] = 1 if best >= 0 else 0
        residual[place] = left


@njit(cache=True, nogil=True)
def _majorities(values: Words, counts: Ints, patterns: Words) -> Words:
    """The patterns moved to the majority of those that chose them."""
    votes = np.zeros((len(patterns), 64), np.int64)
    weight = np.zeros(len(patterns), np.int64)
    for place in range(len(values)):
        best, _ = _nearest(values[place], patterns)
        if best >= 0:
            weight[best] += counts[place]
            for bit in range(64):
                if (values[place] >> np.uint64(bit)) & np.uint64(1):
                    votes[best, bit] += counts[place]
    moved = patterns.copy()
    for place in range(len(patterns)):
        if weight[place] == 0:
            continue
        moved[place] = 0
        for bit in range(64):
            if 2 * votes[place, bit] > weight[place]:
                moved[place] |= np.uint64(1) << np.uint64(bit)
    return moved


@njit(cache=True, nogil=True)
def _sum_blocks(
    looked_up: Ints, residual: Ints, block_ptr: Ints, lanes: Ints, cycles: Ints, found: Ints
) -> None:
    """Cycles of each block for one chunk: the longer of both levels, at least one."""
    for block in range(len(block_ptr) - 1):
        first, second = 0, 0
        for row in range(block_ptr[block], block_ptr[block + 1]):
            first += looked_up[row]
            second += residual[row]
        found[LOOKED_UP, block] += first
        found[RESIDUAL, block] += second
        level_1 = (first + lanes[0] - 1) // lanes[0]
        level_2 = (second + lanes[1] - 1) // lanes[1]
        cycles[block] += max(level_1, level_2, 1)
