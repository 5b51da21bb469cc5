"""PEs that join the spikes of a token with the weights that pruning has left."""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar

import numpy as np
from pydantic import Field

from simulator.components.base import Action, Primitive
from simulator.components.pe_arrays.base import AccumulatorArray, ArrayCost, Tiles
from simulator.components.pe_arrays.popcount import popcount
from simulator.components.pe_arrays.windows import WindowRun, join_windows, window_runs
from simulator.config.arrays import Ints, Words
from simulator.config.kernels import allocating_kernel, allocating_part, kernel_part

MATCHES, CORRECTIONS, WORDS = range(3)


class DualSparse(AccumulatorArray, kind="dual_sparse"):
    """Only inputs that spike in a token's timesteps and have a weight left take a cycle.

    Each of `columns` PEs has one output. For a token it joins the mask of inputs that spike at any
    of `window_timesteps` with the mask of its weights, `join_inputs` of them a cycle, and for each
    match adds the weight for all those timesteps at once, correcting those without a spike; a PE
    takes the longer of joining and adding, PEs walk the tokens of a block independently, and the
    block ends with the slowest. Source: LoAS (MICRO'24), fully temporal-parallel, dual-sparse.
    Approximate: a trace holds no weights, so the masks are drawn, an input's weight being left with
    `weight_density`, from `weight_seed` and the number of inputs, for one column tile that is used
    for all; products of activations have no pruned weights. Compressed weights take their values
    and a bit an input in memory. An integer operand is walked plane by plane.
    """

    example: ClassVar[str] = "kind: dual_sparse\ncolumns: 16\nweight_density: 0.1\n"
    reads_bits: ClassVar[bool] = True
    adds: ClassVar[tuple[str, ...]] = ("accumulate", "correct")

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

    def stored_weight_bits(self, inputs: int, outputs: int, weight_bits: int) -> int:
        kept = int(np.ceil(inputs * outputs * self.weight_density))
        return kept * weight_bits + inputs * outputs

    @property
    def adders(self) -> int:
        return self.columns * self.window_timesteps

    def cost(self, tiles: Tiles) -> ArrayCost:
        cycles = np.empty(len(tiles.block), np.int64)
        found = np.zeros((3, len(tiles.sizes)), np.int64)
        masks, first_mask = self._masks(tiles)
        for run, bits in window_runs(tiles, self.window_timesteps):
            _join(bits, masks, first_mask[run], self.columns, self.join_inputs, cycles[run], found)
        return ArrayCost(
            cycles=np.maximum(cycles, 1),
            per_output={},
            per_pass={
                "accumulate": found[MATCHES],
                "correct": found[CORRECTIONS],
                "join_word": found[WORDS],
            },
            partial_sum_read_vectors=np.zeros_like(tiles.sizes),
            partial_sum_write_vectors=tiles.groups * tiles.sizes * tiles.chunks,
            spike_bits=tiles.operand_bits,
            weights_per_output=-(-found[MATCHES] // self.columns),
        )

    def _masks(self, tiles: Tiles) -> tuple[Words, Ints]:
        """Return the masks of all tiles, one after another, and where those of each tile begin."""
        keys = 2 * tiles.inputs + tiles.attention[tiles.block]
        kinds, place = np.unique(keys, return_inverse=True)
        drawn = [
            drawn_masks(self.weight_seed, inputs, self.columns, 1.0 if own else self.weight_density)
            for inputs, own in (divmod(kind, 2) for kind in kinds.tolist())
        ]
        ends = np.cumsum([0, *(masks.size for masks in drawn)])
        flat = np.concatenate([np.zeros(0, np.uint64), *(masks.ravel() for masks in drawn)])
        return flat, ends[place]

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
    """Return uint64 (column, word), which inputs have a weight, drawn by number of inputs."""
    kept = np.ones((columns, inputs), np.bool_)
    if density < 1:
        kept = np.random.default_rng([seed, inputs]).random((columns, inputs)) < density
    packed = np.zeros((columns, -(-inputs // 64) * 8), np.uint8)
    packed[:, : -(-inputs // 8)] = np.packbits(kept, axis=1, bitorder="little")
    masks: Words = packed.view(np.uint64)
    masks.flags.writeable = False
    return masks


@allocating_kernel
def _join(
    run: WindowRun,
    masks: Words,
    first_mask: Ints,
    columns: int,
    join_inputs: int,
    cycles: Ints,
    found: Ints,
) -> None:
    """Fill the cycles of each tile, and add to each block what it counts."""
    spent = np.empty(columns, np.int64)
    for tile, block in enumerate(run.block):
        row_ptr = run.row_ptr[run.ptr[block] : run.ptr[block + 1] + 1]
        count, planes = len(row_ptr) - 1, run.planes[block]
        words = run.words[run.word_ptr[tile] : run.word_ptr[tile + 1]]
        words_by_row = words.reshape(row_ptr[-1] - row_ptr[0], planes, -1)
        width = words_by_row.shape[2]
        own = masks[first_mask[tile] : first_mask[tile] + columns * width].reshape(columns, width)
        holders = _holders(own)
        join_cycles = (run.inputs[tile] + join_inputs - 1) // join_inputs
        joined = np.empty((count, width), np.uint64)
        cycles[tile] = 0
        for plane in range(planes):
            rows = words_by_row[:, plane]
            join_windows(rows, row_ptr, joined)
            matched, added = _match(joined, row_ptr, own, join_cycles, spent)
            found[MATCHES, block] += matched
            found[CORRECTIONS, block] += added - _spikes(rows, holders)
            found[WORDS, block] += join_cycles * columns * count
            cycles[tile] += spent.max()


@kernel_part
def _match(
    joined: Words, row_ptr: Ints, masks: Words, join_cycles: int, spent: Ints
) -> tuple[int, int]:
    """Fill the cycles of each PE; return all matches, and the same times the rows of a window."""
    spent[:] = 0
    matched, added = 0, 0
    for window in range(len(joined)):
        of_window = 0
        for column in range(len(masks)):
            matches = 0
            for word in range(masks.shape[1]):
                matches += popcount(joined[window, word] & masks[column, word])
            spent[column] += max(matches, join_cycles)
            of_window += matches
        matched += of_window
        added += of_window * (row_ptr[window + 1] - row_ptr[window])
    return matched, added


@allocating_part
def _holders(masks: Words) -> Words:
    """Return uint64 (level, word): bit `level` of the number of PEs that hold an input's weight."""
    levels = 1
    while 1 << levels <= len(masks):
        levels += 1
    holders = np.zeros((levels, masks.shape[1]), np.uint64)
    for column in range(len(masks)):
        for word in range(masks.shape[1]):
            carry = masks[column, word]
            for level in range(levels):
                kept = holders[level, word]
                holders[level, word] = kept ^ carry
                carry &= kept
    return holders


@allocating_part
def _spikes(rows: Words, holders: Words) -> int:
    """Return the spikes that meet a weight, over all rows and PEs."""
    total = 0
    for level in range(len(holders)):
        if not holders[level].any():
            continue
        found = 0
        for row in range(len(rows)):
            for word in range(rows.shape[1]):
                found += popcount(rows[row, word] & holders[level, word])
        total += found << level
    return total
