"""An array whose rows walk the set bits of their inputs and skip the zeros."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from simulator.components.base import Action, Primitive, small_bank
from simulator.components.pe_arrays.base import ArrayCost, ColumnArray, Tiles
from simulator.config.arrays import Ints
from simulator.config.kernels import kernel


class SpikeSkip(ColumnArray, kind="spike_skip"):
    """Rows of accumulators, each of which walks the set bits of one operand row at a time.

    A dispatcher takes a word (`word_inputs` bits of one operand row and plane) a cycle, in order;
    it drops a zero word and pushes any other into the FIFO of the next array row, round robin,
    waiting while that FIFO is full. An array row pops a word and adds, `lanes` set bits a cycle,
    the weights of those inputs to its `columns` accumulators. So rows are decoupled up to
    `fifo_words`, and a tile ends with its slowest row. Each row reads its own copy of the chunk's
    weights, preloaded through the weight port. An integer operand is walked plane by plane. A
    word's sums go through a queue to one port, which adds them, shifted by their plane, to the
    partial sums of the operand row; sums that nothing was added to yet read as zero. The queue is
    deep enough (`fifo_words` + 2) that no array row ever waits for that port. Our own
    microarchitecture, after the common core of the spike-driven designs (one operand row a PE row,
    zeros skipped); the rules above are the whole model, and simulator/hil/rtl is the same in
    SystemVerilog, to the cycle.
    """

    example: ClassVar[str] = "kind: spike_skip\nrows: 8\ncolumns: 32\n"
    preloads_weights: ClassVar[bool] = True

    rows: int = Field(gt=0, le=4096, description="operand rows in flight, one a PE row")
    columns: int = Field(gt=0, le=4096, description="accumulators of a row: outputs of a tile")
    lanes: int = Field(default=1, gt=0, le=64, description="set bits a row adds in a cycle")
    word_inputs: int = Field(
        default=128, gt=0, le=4096, multiple_of=8, description="inputs of a word and of a tile"
    )
    fifo_words: int = Field(default=4, gt=0, le=1024, description="words a row's FIFO holds")
    latency_cycles: int = Field(
        default=3, ge=0, description="pop, add and write back, after a row's last bit"
    )

    @property
    def tile_inputs(self) -> int:
        return self.word_inputs

    @property
    def adders(self) -> int:
        return self.rows * self.columns * self.lanes

    def cost(self, tiles: Tiles) -> ArrayCost:
        cycles = np.empty(len(tiles.block), np.int64)
        totals = np.zeros((3, len(tiles.sizes)), np.int64)
        free = np.empty(self.rows * self.fifo_words, np.int64)
        busy_until = np.empty(self.rows, np.int64)
        _walk(tiles.ones, tiles.ptr, tiles.block, self.lanes, free, busy_until, cycles, totals)
        ones, words, live_words = totals
        return ArrayCost(
            cycles=cycles,
            per_output={"accumulate": ones},
            per_pass={
                "weight_read": ones,
                "weight_write": tiles.groups * tiles.product_inputs,
                "word_scan": words,
                "fifo_word": live_words,
                "result_word": live_words,
                "merge": live_words,
            },
            partial_sum_read_vectors=live_words,
            partial_sum_write_vectors=live_words,
            spike_bits=words * self.word_inputs,
            weights_per_output=np.zeros_like(words),
        )

    def actions(self) -> dict[str, Action]:
        chunk_kib = self.word_inputs * self.columns * self.weight_bits / 8192
        width = self.columns * self.weight_bits
        word = Primitive("sram_write", size_kib=1.0, width_bits=self.word_inputs)
        sums = Primitive("sram_write", size_kib=1.0, width_bits=128)
        sums = sums._replace(times=-(-self.columns * self.sum_bits // 128))
        return super().actions() | {
            "weight_read": Action(
                "reads the weights of one input, for all columns, from a row's own copy",
                (small_bank("sram_read", chunk_kib, width),),
            ),
            "weight_write": Action(
                "writes the weights of one input, for all columns, into every row's copy",
                (small_bank("sram_write", chunk_kib, width, self.rows),),
            ),
            "word_scan": Action(
                "tests a word for zero (as compares of 32 bits)",
                (Primitive("compare", bits=32, times=-(-self.word_inputs // 32)),),
            ),
            "fifo_word": Action(
                "passes a word through a row's FIFO (priced as the smallest bank of the table)",
                (word, word._replace(operation="sram_read")),
            ),
            "result_word": Action(
                "passes a word's sums through a row's queue (as smallest banks of 128 bits)",
                (sums, sums._replace(operation="sram_read")),
            ),
            "merge": Action(
                "adds a word's sums to the partial sums of its row",
                (Primitive("add", bits=self.sum_bits, times=self.columns),),
            ),
        }

    def leakage(self) -> tuple[Primitive, ...]:
        # Two copies a row: one in use, one being loaded.
        chunk_kib = self.word_inputs * self.columns * self.weight_bits / 8192
        width = self.columns * self.weight_bits
        return (small_bank("sram_leakage", chunk_kib, width, 2 * self.rows),)


@kernel
def _walk(
    ones: npt.NDArray[Any],
    ptr: Ints,
    block: Ints,
    lanes: int,
    free: Ints,
    busy_until: Ints,
    cycles: Ints,
    totals: Ints,
) -> None:
    """Fill the cycles of each tile; add to each block its ones, words, words with ones.

    free[n % (rows * fifo_words)]: when the n-th word pushed left its FIFO, that of row n % rows.
    """
    rows = len(busy_until)
    for tile in range(len(block)):
        free[:] = -1
        busy_until[:] = 0
        dispatched, end, found, live, row, place = -1, 0, 0, 0, 0, 0
        for word in range(ptr[tile], ptr[tile + 1]):
            dispatched += 1
            count: Any = np.int64(ones[word])
            if count == 0:
                continue
            # A slot is free again one cycle after its word was popped.
            dispatched = max(dispatched, free[place] + 1)
            start = max(dispatched + 1, busy_until[row])
            stop = start + (count if lanes == 1 else (count + lanes - 1) // lanes)
            free[place] = start
            busy_until[row] = stop
            end = max(end, stop)
            found += count
            live += 1
            row = row + 1 if row + 1 < rows else 0
            place = place + 1 if place + 1 < len(free) else 0
        cycles[tile] = max(end, dispatched + 1)
        totals[0, block[tile]] += found
        totals[1, block[tile]] += ptr[tile + 1] - ptr[tile]
        totals[2, block[tile]] += live
