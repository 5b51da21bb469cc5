"""A dense, a sparse and an attention core side by side, which take bundles of tokens and times."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from simulator.components.base import Action, Primitive
from simulator.components.pe_arrays.base import ArrayCost, ColumnArray, Tiles
from simulator.components.pe_arrays.windows import WindowRun, join_windows, window_runs
from simulator.config.arrays import Ints, Words
from simulator.config.kernels import allocating_kernel, kernel_part

DENSE, SPARSE, PASSED = range(3)


class Bundle(ColumnArray, kind="bundle"):
    """A weight serves a bundle of tokens and timesteps; inputs go to a dense or to a sparse core.

    A bundle is `bundle_tokens` tokens x `bundle_timesteps`; it is active in an input that spikes
    anywhere in it. Of a block, the inputs with the most active bundles go to the dense core, which
    takes all bundles of such an input, `dense_rows` at a time; the others go to the sparse core,
    which takes active bundles only, `sparse_rows` at a time. A bundle takes a cycle a row of it.
    Both cores work at once on `columns` outputs, a block ends with the later one, and the split is
    the best there is. Products of activations go to the attention core, active bundles only,
    `attention_rows` at a time. Source: Bishop (ISCA'25): token-time bundles, stratified dense and
    sparse cores with a threshold tuned to balance them, sparse attention core. Not modelled: its
    bundle-sparsity training and pruning, which change the spikes. Approximate: the split is found
    in no time, again for each block. An integer operand is taken plane by plane.
    """

    example: ClassVar[str] = "kind: bundle\ncolumns: 32\ndense_rows: 16\nsparse_rows: 4\n"
    reads_bits: ClassVar[bool] = True
    columns: int = Field(gt=0, le=4096, description="outputs of a tile, in each core")
    dense_rows: int = Field(gt=0, le=1024, description="bundles in the dense core at a time")
    sparse_rows: int = Field(gt=0, le=1024, description="bundles in the sparse core at a time")
    attention_rows: int = Field(
        default=16, gt=0, le=1024, description="bundles in the attention core at a time"
    )
    bundle_tokens: int = Field(default=2, gt=0, le=64, description="tokens of a bundle")
    bundle_timesteps: int = Field(default=4, gt=0, le=64, description="timesteps of a bundle")
    latency_cycles: int = Field(default=4, ge=0, description="add, join the cores, write back")

    @property
    def adders(self) -> int:
        return self.columns * (self.dense_rows + self.sparse_rows + self.attention_rows)

    def cost(self, tiles: Tiles) -> ArrayCost:
        cycles = np.empty(len(tiles.block), np.int64)
        found = np.zeros((3, len(tiles.sizes)), np.int64)
        cores = np.empty((len(tiles.sizes), 2), np.int64)
        cores[:, DENSE] = np.where(tiles.attention, 0, self.dense_rows)
        cores[:, SPARSE] = np.where(tiles.attention, self.attention_rows, self.sparse_rows)
        for run, bits in window_runs(tiles, self.bundle_timesteps):
            _stratify(bits, self.bundle_tokens, cores, cycles[run], found)
        return ArrayCost(
            cycles=np.maximum(cycles, 1),
            per_output={"accumulate": tiles.by_block(tiles.tile_ones())},
            per_pass={"stratify": found[PASSED], "bundle_slot": found[DENSE] + found[SPARSE]},
            partial_sum_read_vectors=np.zeros_like(tiles.sizes),
            # Two cores have a part of each sum.
            partial_sum_write_vectors=tiles.groups * tiles.sizes * np.where(tiles.attention, 1, 2),
            spike_bits=tiles.operand_bits,
            weights_per_output=-(-found[DENSE] // self.dense_rows) + found[SPARSE],
        )

    def actions(self) -> dict[str, Action]:
        return super().actions() | {
            "stratify": Action(
                "tests and counts a bundle of an input (an add of 8 bits)",
                (Primitive("add", bits=8),),
            ),
            "bundle_slot": Action(
                "passes a bundle of an input through the bundle buffer of a core",
                (
                    Primitive("sram_write", size_kib=12.0, width_bits=32),
                    Primitive("sram_read", size_kib=12.0, width_bits=32),
                ),
            ),
        }


@allocating_kernel
def stratified(active: Ints, bundles: int, rows: int, cores: Ints, found: Ints) -> int:
    """Return the cycles of one block with the best split.

    active: int64 (inputs,), active bundles of each. rows: of a bundle.
    cores: bundles at a time in the dense core (0: there is none) and in the sparse core.
    found: the bundles that each core takes, and those looked at, are added to it.
    """
    inputs_of = np.zeros(active.max() + 1 if len(active) else 1, np.int64)
    sparse, passes = 0, 0
    for count in active:
        inputs_of[count] += 1
        sparse += count
    if cores[0]:
        passes = (bundles + cores[0] - 1) // cores[0]
    best, best_dense, best_sparse = (sparse + cores[1] - 1) // cores[1], 0, sparse
    # The dense core takes inputs from the fullest on, until it alone would be no better.
    dense, count = 0, len(inputs_of) - 1
    while passes and dense < len(active) and (dense + 1) * passes < best:
        while inputs_of[count] == 0:
            count -= 1
        inputs_of[count] -= 1
        dense += 1
        sparse -= count
        longer = max(dense * passes, (sparse + cores[1] - 1) // cores[1])
        if longer < best:
            best, best_dense, best_sparse = longer, dense, sparse
    found[DENSE] += best_dense * bundles
    found[SPARSE] += best_sparse
    found[PASSED] += len(active) * bundles
    return int(best * rows)


@allocating_kernel
def _stratify(run: WindowRun, tokens: int, cores: Ints, cycles: Ints, found: Ints) -> None:
    """Fill the cycles of each tile, and add to each block what `stratified` counts."""
    counted = np.zeros(3, np.int64)
    for tile, block in enumerate(run.block):
        row_ptr = run.row_ptr[run.ptr[block] : run.ptr[block + 1] + 1]
        planes, inputs = run.planes[block], run.inputs[tile]
        words = run.words[run.word_ptr[tile] : run.word_ptr[tile + 1]]
        words_by_row = words.reshape(row_ptr[-1] - row_ptr[0], planes, -1)
        # A bundle is a window of windows.
        count = len(row_ptr) - 1
        bundle_ptr = np.append(row_ptr[0:count:tokens], row_ptr[count])
        joined = np.empty((len(bundle_ptr) - 1, words_by_row.shape[2]), np.uint64)
        active = np.empty(joined.shape[1] * 64, np.int64)
        longest = np.diff(bundle_ptr).max()
        counted[:] = 0
        cycles[tile] = 0
        for plane in range(planes):
            join_windows(words_by_row[:, plane], bundle_ptr, joined)
            _count_active(joined, active)
            own = active[:inputs]
            cycles[tile] += stratified(own, len(joined), longest, cores[block], counted)
        found[:, block] += counted


@kernel_part
def _count_active(joined: Words, active: Ints) -> None:
    """Fill the bundles that are active in each input."""
    active[:] = 0
    for bundle in range(joined.shape[0]):
        for word in range(joined.shape[1]):
            value = joined[bundle, word]
            own = active[64 * word : 64 * word + 64]
            for place in range(64):
                own[place] += np.int64((value >> np.uint64(place)) & np.uint64(1))
