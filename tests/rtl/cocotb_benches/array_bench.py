"""Does the spike-skip array keep its handshake and its sums, however its words come and wait?"""

from __future__ import annotations

import random
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge

from simulator.hil.benches import field_words

WORD_INPUTS, COLUMNS, WEIGHT_BITS, SUM_BITS, PORT_INPUTS = 16, 4, 8, 16, 4
PARAMETERS = {
    "ROWS": 2,
    "COLUMNS": COLUMNS,
    "WORD_INPUTS": WORD_INPUTS,
    "FIFO_WORDS": 2,
    "WEIGHT_BITS": WEIGHT_BITS,
    "SUM_BITS": SUM_BITS,
    "PORT_INPUTS": PORT_INPUTS,
    "BLOCK_ITEMS": 16,
    "PLANE_BITS": 2,
}
ITEMS, PLANES = 12, 3


async def begin(dut: Any) -> None:
    """Start the clock and reset, with all inputs at rest."""
    for name in ("start", "word_valid", "load", "drain", "empty_block", "one_bit", "last"):
        getattr(dut, name).value = 0
    for name in ("block", "slot", "drain_block", "emptied_block"):
        getattr(dut, name).value = 0
    dut.reset.value = 1
    Clock(dut.clk, 2, "step").start()
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.reset.value = 0


async def load(dut: Any, weights: np.ndarray) -> None:
    """Load a chunk of weights, int (input, column)."""
    words = field_words(weights.reshape(len(weights) // PORT_INPUTS, -1), WEIGHT_BITS)
    for address, word in enumerate(words):
        dut.load.value = 1
        dut.load_address.value = address
        dut.load_data.value = int.from_bytes(word.tobytes(), "little")
        await RisingEdge(dut.clk)
    dut.load.value = 0


async def feed(dut: Any, words: np.ndarray, gaps: random.Random) -> int:
    """Push a tile's words, bool (word, input), with gaps; return those that were dropped.

    A word that is not taken stays as it is, as the handshake wants it.
    """
    dropped = 0
    dut.start.value = 1
    for place, bits in enumerate(words):
        while gaps.random() < 0.3:
            dut.word_valid.value = 0
            await RisingEdge(dut.clk)
        dut.word_valid.value = 1
        dut.word.value = sum(1 << input_ for input_ in np.flatnonzero(bits).tolist())
        dut.item.value, dut.plane.value = divmod(place, PLANES)
        dut.last.value = int(place + 1 == len(words))
        for _ in range(200):
            await ReadOnly()
            taken = int(dut.word_ready.value)
            # A word is dropped or pushed when it is taken, and never both.
            assert int(dut.dropped.value) + int(dut.pushed.value) == taken
            dropped += int(dut.dropped.value)
            await RisingEdge(dut.clk)
            if taken:
                break
        else:
            raise AssertionError(f"word {place} was not taken within 200 cycles")
    dut.word_valid.value = 0
    return dropped


async def sums(dut: Any) -> np.ndarray:
    """Wait for the last merge, then read and empty the sums, int (item, column)."""
    while int(dut.pending.value) or int(dut.busy.value):
        await RisingEdge(dut.clk)
    found = np.zeros((ITEMS, COLUMNS), np.int64)
    dut.drain.value = 1
    for item in range(ITEMS):
        dut.drain_item.value = item
        await RisingEdge(dut.clk)
        await ReadOnly()
        packed = int(dut.drain_sums.value).to_bytes(COLUMNS * SUM_BITS // 8, "little")
        found[item] = np.frombuffer(packed, "<i2")
        await RisingEdge(dut.clk)
    dut.drain.value = 0
    dut.empty_block.value = 1
    await RisingEdge(dut.clk)
    dut.empty_block.value = 0
    return found


@cocotb.test()
async def sums_are_the_integer_product(dut: Any) -> None:
    """Tiles of all densities, one after another."""
    await begin(dut)
    chosen = np.random.default_rng(11)
    gaps = random.Random(11)
    weights = chosen.integers(-128, 128, (WORD_INPUTS, COLUMNS))
    await load(dut, weights)
    for density in (0.0, 0.05, 0.3, 1.0):
        words = chosen.random((ITEMS * PLANES, WORD_INPUTS)) < density
        dropped = await feed(dut, words, gaps)
        assert dropped == int((~words.any(axis=1)).sum())
        partial = words.astype(np.int64) @ weights << np.tile(np.arange(PLANES), ITEMS)[:, None]
        wanted = partial.reshape(ITEMS, PLANES, COLUMNS).sum(axis=1)
        assert np.array_equal(await sums(dut), wanted), density


@cocotb.test()
async def nothing_is_taken_before_its_start(dut: Any) -> None:
    """A tile waits for its weights: `start` is theirs."""
    await begin(dut)
    dut.word_valid.value = 1
    dut.word.value = 1
    dut.last.value = 1
    for _ in range(10):
        await RisingEdge(dut.clk)
        await ReadOnly()
        assert not int(dut.word_ready.value)
        assert not int(dut.busy.value)
