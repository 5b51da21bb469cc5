"""A systolic array in which one weight serves a window of timesteps."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from simulator.components.base import Action, Primitive
from simulator.components.pe_arrays.base import AccumulatorArray, ArrayCost, Tiles
from simulator.components.pe_arrays.windows import WindowRun, join_windows, window_runs
from simulator.config.arrays import Ints, Words
from simulator.config.kernels import allocating_kernel, kernel_part


class TimeBatched(AccumulatorArray, kind="time_batched"):
    """`rows` outputs x `columns` windows: an input's weight stays for all timesteps of a window.

    Rows of one token or pixel are cut into windows of `window_timesteps`. `columns` windows run
    side by side; an input is skipped if all of them are silent in it, else it takes a cycle for
    each timestep of the window. StSAP: of the inputs that are neither silent nor set in every
    window, each takes the first later one that shares no window with it, and such a pair takes the
    time of one. The windows of a block are dealt to the columns as the re-modelled design does:
    cut into `columns` equal consecutive parts, group g having the g-th of each. Where a block holds
    one timestep only, as under timestep_serial, a window is one row and the batching is lost.
    Source: PTB (HPCA'22) as re-modelled in Prosperity's public simulator (HPCA'25), which charges
    the fill of the array once a layer; here every group of a column tile fills and drains it, rows
    + columns - 2 cycles. An integer operand is walked plane by plane.
    """

    example: ClassVar[str] = "kind: time_batched\nrows: 16\ncolumns: 8\n"
    reads_bits: ClassVar[bool] = True
    monotone: ClassVar[bool] = False
    """First-fit pairing: one more spike can make better pairs of all that follow."""

    rows: int = Field(gt=0, le=4096, description="rows of PEs, one an output")
    columns: int = Field(gt=0, le=64, description="columns of PEs, one a window of a token")
    window_timesteps: int = Field(default=4, gt=0, le=64, description="timesteps of a window")
    latency_cycles: int = Field(
        default=3, ge=0, description="write back, after a group's last input"
    )

    @property
    def tile_columns(self) -> int:
        return self.rows

    @property
    def adders(self) -> int:
        return self.rows * self.columns

    def cost(self, tiles: Tiles) -> ArrayCost:
        cycles = np.empty(len(tiles.block), np.int64)
        found = np.zeros((3, len(tiles.sizes)), np.int64)
        fill = self.rows + self.columns - 2
        for run, bits in window_runs(tiles, self.window_timesteps):
            _walk(bits, self.columns, fill, cycles[run], found)
        inputs, slots, scanned = found
        return ArrayCost(
            cycles=np.maximum(cycles, 1),
            per_output={"accumulate": tiles.by_block(tiles.tile_ones())},
            per_pass={"input_scan": scanned, "slot": slots},
            partial_sum_read_vectors=np.zeros_like(inputs),
            partial_sum_write_vectors=tiles.groups * tiles.sizes,
            spike_bits=tiles.operand_bits,
            weights_per_output=inputs,
        )

    def actions(self) -> dict[str, Action]:
        return super().actions() | {
            "input_scan": Action(
                "tests an input of a group for silence and overlap (as a compare of 8 bits)",
                (Primitive("compare", bits=8, times=-(-self.columns // 8)),),
            ),
            "slot": Action(
                "passes an input, or a pair, through the input queue (as the smallest bank)",
                (
                    Primitive("sram_write", size_kib=1.0, width_bits=32),
                    Primitive("sram_read", size_kib=1.0, width_bits=32),
                ),
            ),
        }


@allocating_kernel
def paired_length(flags: Words, full: np.uint64, left: Words) -> int:
    """Return the slots of a group's inputs: the silent none, the full one, two that fit one.

    Inputs pair first fit, in their order.
    flags: uint64 (inputs,), bit c = a spike in window c. full: all windows of the group.
    left: uint64 (inputs at least,), scratch.
    """
    every, all_taken = np.uint64(full), ~np.uint64(0)
    slots, count = 0, 0
    for place in range(len(flags)):
        flag = flags[place]
        slots += flag == every and flag != 0
        left[count] = flag
        count += flag != 0 and flag != every
    # Where the search for a partner of a flag ended: all before it are taken or overlap the flag,
    # and stay so. What was paired is made to overlap all. A place for each of 8 columns' flags.
    known, ended = np.zeros(256, np.uint64), np.zeros(256, np.int64)
    for begin in range(count):
        flag = left[begin]
        if flag == all_taken:
            continue
        slots += 1
        key = np.int64((flag ^ (flag >> np.uint64(8))) & np.uint64(255))
        place = begin + 1
        if known[key] == flag:
            place = max(place, ended[key])
        while place < count and left[place] & flag != 0:
            place += 1
        if place < count:
            left[place] = all_taken
        known[key], ended[key] = flag, place
    return slots


@allocating_kernel
def window_slots(words: Words, inputs: int, columns: int, found: Ints) -> int:
    """Return the slots of all groups of windows.

    The windows are cut into `columns` consecutive parts, group g having the g-th of each.
    words: uint64 (window, word), a bit where the window has a spike.
    found: inputs with a spike, slots, inputs looked at are added to it.
    """
    windows, width = words.shape
    groups = (windows + columns - 1) // columns
    flags, left = np.empty(width * 64, np.uint64), np.empty(width * 64, np.uint64)
    total = 0
    for group in range(groups):
        flags[:] = 0
        full = np.uint64(0)
        for column, window in enumerate(range(group, windows, groups)):
            full |= np.uint64(1) << np.uint64(column)
            for word in range(width):
                _spread(words[window, word], np.uint64(column), flags[64 * word : 64 * word + 64])
        live = 0
        for place in range(inputs):
            live += flags[place] != 0
        slots = paired_length(flags[:inputs], full, left)
        found[0] += live
        found[1] += slots
        found[2] += inputs
        total += slots
    return total


@kernel_part
def _spread(value: np.uint64, column: np.uint64, flags: Words) -> None:
    """Set the bit of a column in the flags of the inputs of a word."""
    for place in range(64):
        flags[place] |= ((value >> np.uint64(place)) & np.uint64(1)) << column


@allocating_kernel
def _walk(run: WindowRun, columns: int, fill: int, cycles: Ints, found: Ints) -> None:
    """Fill the cycles of each tile, and add to each block what `window_slots` counts."""
    counted = np.zeros(3, np.int64)
    for tile, block in enumerate(run.block):
        row_ptr = run.row_ptr[run.ptr[block] : run.ptr[block + 1] + 1]
        count, planes = len(row_ptr) - 1, run.planes[block]
        words = run.words[run.word_ptr[tile] : run.word_ptr[tile + 1]]
        words_by_row = words.reshape(row_ptr[-1] - row_ptr[0], planes, -1)
        joined = np.empty((count, words_by_row.shape[2]), np.uint64)
        timesteps = max(1, np.diff(row_ptr).max())
        counted[:] = 0
        for plane in range(planes):
            join_windows(words_by_row[:, plane], row_ptr, joined)
            window_slots(joined, run.inputs[tile], columns, counted)
        groups = (count + columns - 1) // columns
        cycles[tile] = counted[1] * timesteps + planes * groups * fill
        found[:, block] += counted
