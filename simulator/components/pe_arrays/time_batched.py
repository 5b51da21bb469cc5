"""A systolic array in which one weight serves a window of timesteps."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numba import njit
from pydantic import Field

from simulator.components.base import Action, Primitive
from simulator.components.pe_arrays.base import AccumulatorArray, ArrayCost, Ints, Words, Work
from simulator.components.pe_arrays.windows import join_windows, window_ptr, windows


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
    def peak_accumulations_per_cycle(self) -> int:
        return self.rows * self.columns

    def cost(self, work: Work) -> ArrayCost:
        groups, rows, planes, chunks = work.ones.shape
        sizes = np.diff(work.block_ptr)
        cycles = np.zeros((groups, len(sizes), chunks), np.int64)
        fetched = np.zeros((3, len(sizes)), np.int64)
        first, length = windows(work, self.window_timesteps)
        for group in range(groups if rows else 0):
            for chunk in range(chunks):
                bits = work.bits(group, chunk)
                for plane in range(planes):
                    _window_blocks(
                        join_windows(bits[:, plane], first, length),
                        window_ptr(work, first),
                        length,
                        np.array([work.chunk_inputs[chunk], self.columns, self.rows], np.int64),
                        cycles[group, :, chunk],
                        fetched,
                    )
        np.maximum(cycles, 1, out=cycles, where=(sizes > 0)[None, :, None])
        inputs, slots, scanned = fetched
        return ArrayCost(
            cycles=cycles,
            per_output={"accumulate": work.block_ones()},
            per_pass={"input_scan": scanned, "slot": slots},
            partial_sum_read_vectors=np.zeros_like(sizes),
            partial_sum_write_vectors=groups * sizes,
            spike_bits=groups * planes * sizes * int(work.chunk_inputs.sum()),
            weights_per_output=inputs,
        )

    def actions(self) -> dict[str, Action]:
        return {
            "accumulate": Action(
                "adds one weight to one accumulator", (Primitive("add", bits=self.sum_bits),)
            ),
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


@njit(cache=True, nogil=True)
def paired_length(flags: Words, full: int, left: Words) -> int:
    """Slots that the inputs of a group take: the silent none, the full one, two that fit one.

    `flags`: uint64 (input,), bit c = a spike in window c; `full`: all windows of the group;
    `left`: uint64 (inputs at least,), scratch. First fit, in the order of the inputs.
    """
    slots, count = 0, 0
    for place in range(len(flags)):
        if flags[place] == full:
            slots += 1
        elif flags[place]:
            left[count] = flags[place]
            count += 1
    begin = 0
    while begin < count:
        flag = left[begin]
        begin += 1
        if flag == 0:
            continue
        slots += 1
        for place in range(begin, count):
            # What was paired already is 0 and overlaps nothing, so it must be passed by itself.
            if left[place] != 0 and left[place] & flag == 0:
                left[place] = 0
                break
    return slots


@njit(cache=True, nogil=True)
def window_slots(words: Words, inputs: int, columns: int, found: Ints) -> int:
    """Slots of all groups of windows; adds to `found` inputs with a spike, slots, inputs looked at.

    `words`: uint64 (window, word), a bit where the window has a spike. The windows are cut into
    `columns` consecutive parts, group g having the g-th of each.
    """
    windows = words.shape[0]
    groups = (windows + columns - 1) // columns
    flags, left = np.empty(inputs, np.uint64), np.empty(inputs, np.uint64)
    total = 0
    for group in range(groups):
        flags[:] = 0
        full = np.uint64(0)
        for column, window in enumerate(range(group, windows, groups)):
            bit = np.uint64(1) << np.uint64(column)
            full |= bit
            for word in range(words.shape[1]):
                value = words[window, word]
                place = word * 64
                while value:
                    if value & np.uint64(1):
                        flags[place] |= bit
                    value >>= np.uint64(1)
                    place += 1
        for place in range(inputs):
            found[0] += flags[place] != 0
        slots = paired_length(flags, full, left)
        found[1] += slots
        found[2] += inputs
        total += slots
    return total


@njit(cache=True, nogil=True)
def _window_blocks(
    joined: Words,
    ptr: Ints,
    length: Ints,
    sizes: Ints,
    cycles: Ints,
    found: Ints,
) -> None:
    """Adds the cycles of each block of windows; `sizes`: inputs, columns, rows of PEs."""
    inputs, columns, fill = sizes[0], sizes[1], sizes[1] + sizes[2] - 2
    counted = np.zeros(3, np.int64)
    for block in range(len(ptr) - 1):
        begin, end = ptr[block], ptr[block + 1]
        timesteps = 1
        for window in range(begin, end):
            timesteps = max(timesteps, length[window])
        counted[:] = 0
        slots = window_slots(joined[begin:end], inputs, columns, counted)
        groups = (end - begin + columns - 1) // columns
        cycles[block] += slots * timesteps + groups * fill
        found[:, block] += counted
