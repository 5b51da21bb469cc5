"""PEs that join the spikes of a token with the weights that pruning has left."""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar

import numpy as np
from numba import njit
from pydantic import Field

from simulator.components.base import Action, Primitive
from simulator.components.pe_arrays.base import AccumulatorArray, ArrayCost, Ints, Words, Work
from simulator.components.pe_arrays.windows import join_windows, window_ptr, windows

MATCHES, CORRECTIONS, WORDS = range(3)


class DualSparse(AccumulatorArray, kind="dual_sparse"):
    """Only inputs that spike in a token's timesteps and have a weight left take a cycle.

    Each of `columns` PEs has one output. For a token it joins the mask of inputs that spike at any
    of `window_timesteps` with the mask of its weights, `join_inputs` of them a cycle, and for each
    match adds the weight for all those timesteps at once, correcting those without a spike; a PE
    takes the longer of joining and adding, PEs walk the tokens of a block independently, and the
    block ends with the slowest. Source: LoAS (MICRO'24), fully temporal-parallel, dual-sparse.
    Approximate: a trace holds no weights, so the masks are drawn, an input's weight being left with
    `weight_density`, from `weight_seed` and the number of inputs, for one column tile that stands
    for all; products of activations have no pruned weights. Compressed weights take their values
    and a bit an input in memory. An integer operand is walked plane by plane.
    """

    example: ClassVar[str] = "kind: dual_sparse\ncolumns: 16\nweight_density: 0.1\n"
    reads_bits: ClassVar[bool] = True

    columns: int = Field(gt=0, le=1024, description="PEs, one an output of a tile")
    weight_density: float = Field(gt=0, le=1, description="share of weights that pruning has left")
    weight_seed: int = Field(default=0, ge=0, description="of the drawn masks")
    window_timesteps: int = Field(
        default=4, gt=0, le=64, description="timesteps of a token that a PE adds at once"
    )
    join_inputs: int = Field(
        default=128, gt=0, le=4096, multiple_of=64, description="inputs joined in a cycle"
    )
    latency_cycles: int = Field(default=4, ge=0, description="prefix sum, add and write back")

    @property
    def tile_columns(self) -> int:
        return self.columns

    @property
    def peak_accumulations_per_cycle(self) -> int:
        """A useful accumulation counts pruned weights too, which a join passes without a cycle."""
        return self.columns * self.join_inputs * self.window_timesteps

    def stored_weight_bits(self, inputs: int, outputs: int, weight_bits: int) -> int:
        kept = int(np.ceil(inputs * outputs * self.weight_density))
        return kept * weight_bits + inputs * outputs

    @property
    def adders(self) -> int:
        return self.columns * self.window_timesteps

    def cost(self, work: Work) -> ArrayCost:
        groups, rows, planes, chunks = work.ones.shape
        sizes = np.diff(work.block_ptr)
        cycles = np.zeros((groups, len(sizes), chunks), np.int64)
        found = np.zeros((3, len(sizes)), np.int64)
        first, length = windows(work, self.window_timesteps)
        density = 1.0 if work.attention else self.weight_density
        for group, chunk in np.ndindex(groups if rows else 0, chunks):
            bits, inputs = work.bits(group, chunk), int(work.chunk_inputs[chunk])
            masks = drawn_masks(self.weight_seed, inputs, self.columns, density)
            for plane in range(planes):
                words = np.ascontiguousarray(bits[:, plane])
                _join_blocks(
                    words,
                    join_windows(words, first, length),
                    masks,
                    window_ptr(work, first),
                    first,
                    length,
                    -(-inputs // self.join_inputs),
                    cycles[group, :, chunk],
                    found,
                )
        np.maximum(cycles, 1, out=cycles, where=(sizes > 0)[None, :, None])
        return ArrayCost(
            cycles=cycles,
            per_output={},
            per_pass={
                "accumulate": found[MATCHES],
                "correct": found[CORRECTIONS],
                "join_word": found[WORDS],
            },
            partial_sum_read_vectors=np.zeros_like(sizes),
            partial_sum_write_vectors=groups * sizes * chunks,
            spike_bits=groups * planes * sizes * int(work.chunk_inputs.sum()),
            weights_per_output=-(-found[MATCHES] // self.columns),
        )

    def actions(self) -> dict[str, Action]:
        add = Primitive("add", bits=self.sum_bits)
        return {
            "accumulate": Action("adds a matched weight to the sum of all timesteps", (add,)),
            "correct": Action("takes a matched weight from a timestep without the spike", (add,)),
            "join_word": Action(
                "joins two masks and counts the prefix (a compare and an add of 8 bits an input)",
                (
                    Primitive("compare", bits=8, times=-(-self.join_inputs // 8)),
                    Primitive("add", bits=8, times=self.join_inputs),
                ),
            ),
        }


@lru_cache(maxsize=64)
def drawn_masks(seed: int, inputs: int, columns: int, density: float) -> Words:
    """uint64 (column, word): which inputs have a weight, drawn anew for each number of inputs."""
    kept = np.ones((columns, inputs), np.bool_)
    if density < 1:
        kept = np.random.default_rng([seed, inputs]).random((columns, inputs)) < density
    packed = np.zeros((columns, -(-inputs // 64) * 8), np.uint8)
    packed[:, : -(-inputs // 8)] = np.packbits(kept, axis=1, bitorder="little")
    masks: Words = packed.view(np.uint64)
    masks.flags.writeable = False
    return masks


@njit(cache=True, nogil=True)
def _common(left: Words, right: Words) -> int:
    """Bits set in both rows of words."""
    total = 0
    for word in range(len(left)):
        value = left[word] & right[word]
        while value:
            value &= value - np.uint64(1)
            total += 1
    return total


@njit(cache=True, nogil=True)
def _join_blocks(
    rows: Words,
    joined: Words,
    masks: Words,
    ptr: Ints,
    first: Ints,
    length: Ints,
    join_cycles: int,
    cycles: Ints,
    found: Ints,
) -> None:
    """Adds the cycles of each block of windows, and what it counts."""
    spent = np.empty(masks.shape[0], np.int64)
    for block in range(len(ptr) - 1):
        spent[:] = 0
        for window in range(ptr[block], ptr[block + 1]):
            for column in range(masks.shape[0]):
                matches = _common(joined[window], masks[column])
                spent[column] += max(matches, join_cycles)
                spikes = 0
                if matches:
                    for row in range(first[window], first[window] + length[window]):
                        spikes += _common(rows[row], masks[column])
                found[MATCHES, block] += matches
                found[CORRECTIONS, block] += matches * length[window] - spikes
                found[WORDS, block] += join_cycles
        cycles[block] += spent.max()
