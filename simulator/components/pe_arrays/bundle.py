"""A dense, a sparse and an attention core side by side, which take bundles of tokens and times."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numba import njit
from pydantic import Field

from simulator.components.base import Action, Primitive
from simulator.components.pe_arrays.base import AccumulatorArray, ArrayCost, Ints, Words, Work
from simulator.components.pe_arrays.windows import join_windows, window_ptr, windows

DENSE, SPARSE, PASSED = range(3)


class Bundle(AccumulatorArray, kind="bundle"):
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
    in no time, for each block anew. An integer operand is taken plane by plane.
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
    def tile_columns(self) -> int:
        return self.columns

    @property
    def peak_accumulations_per_cycle(self) -> int:
        return self.columns * max(self.dense_rows + self.sparse_rows, self.attention_rows)

    @property
    def adders(self) -> int:
        return self.columns * (self.dense_rows + self.sparse_rows + self.attention_rows)

    def cost(self, work: Work) -> ArrayCost:
        groups, rows, planes, chunks = work.ones.shape
        sizes = np.diff(work.block_ptr)
        cycles = np.zeros((groups, len(sizes), chunks), np.int64)
        found = np.zeros((3, len(sizes)), np.int64)
        first, length = windows(work, self.bundle_timesteps)
        cores = (0, self.attention_rows) if work.attention else (self.dense_rows, self.sparse_rows)
        shape = np.array([self.bundle_tokens, *cores], np.int64)
        for group, chunk in np.ndindex(groups if rows else 0, chunks):
            bits, inputs = work.bits(group, chunk), int(work.chunk_inputs[chunk])
            for plane in range(planes):
                _bundle_blocks(
                    join_windows(bits[:, plane], first, length),
                    inputs,
                    window_ptr(work, first),
                    length,
                    shape,
                    cycles[group, :, chunk],
                    found,
                )
        np.maximum(cycles, 1, out=cycles, where=(sizes > 0)[None, :, None])
        return ArrayCost(
            cycles=cycles,
            per_output={"accumulate": work.block_ones()},
            per_pass={"stratify": found[PASSED], "bundle_slot": found[DENSE] + found[SPARSE]},
            partial_sum_read_vectors=np.zeros_like(sizes),
            # Two cores have a part of each sum.
            partial_sum_write_vectors=groups * sizes * (1 if work.attention else 2),
            spike_bits=groups * planes * sizes * int(work.chunk_inputs.sum()),
            weights_per_output=-(-found[DENSE] // self.dense_rows) + found[SPARSE],
        )

    def actions(self) -> dict[str, Action]:
        return {
            "accumulate": Action(
                "adds one weight to one accumulator", (Primitive("add", bits=self.sum_bits),)
            ),
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


@njit(cache=True, nogil=True)
def stratified(active: Ints, bundles: int, rows: int, cores: Ints, found: Ints) -> int:
    """Cycles of one block with the best split; `active` (input,): the active bundles of each.

    `rows`: of a bundle; `cores`: bundles at a time in the dense (0: there is none) and in the
    sparse core. Adds to `found` the bundles that each core takes, and those looked at.
    """
    ordered = np.sort(active)[::-1]
    sparse, passes = ordered.sum(), 0
    if cores[0]:
        passes = (bundles + cores[0] - 1) // cores[0]
    best, best_dense, best_sparse = (sparse + cores[1] - 1) // cores[1], 0, sparse
    for place in range(len(ordered) if passes else 0):
        sparse -= ordered[place]
        longer = max((place + 1) * passes, (sparse + cores[1] - 1) // cores[1])
        if longer < best:
            best, best_dense, best_sparse = longer, place + 1, sparse
    found[DENSE] += best_dense * bundles
    found[SPARSE] += best_sparse
    found[PASSED] += len(active) * bundles
    return int(best * rows)


@njit(cache=True, nogil=True)
def _bundle_blocks(
    joined: Words, inputs: int, ptr: Ints, length: Ints, shape: Ints, cycles: Ints, found: Ints
) -> None:
    """Adds the cycles of each block of windows."""
    active = np.empty(inputs, np.int64)
    union = np.empty(joined.shape[1], np.uint64)
    counted = np.zeros(3, np.int64)
    for block in range(len(ptr) - 1):
        active[:] = 0
        bundles, longest = 0, 0
        for first in range(ptr[block], ptr[block + 1], shape[0]):
            union[:] = 0
            rows = 0
            for window in range(first, min(first + shape[0], ptr[block + 1])):
                rows += length[window]
                for word in range(joined.shape[1]):
                    union[word] |= joined[window, word]
            bundles += 1
            longest = max(longest, rows)
            for place in range(inputs):
                bit = union[place >> 6] >> np.uint64(place & 63)
                active[place] += np.int64(bit & np.uint64(1))
        counted[:] = 0
        cycles[block] += stratified(active, bundles, longest, shape[1:], counted)
        found[:, block] += counted
