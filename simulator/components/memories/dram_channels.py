"""DRAM served command by command: channels, banks, bus turns and refresh of a named standard."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from simulator.components.memories.base import DramMemory, PowerDown, Transfer
from simulator.components.memories.dram_controller import serve
from simulator.components.memories.dram_gaps import gaps_of, place_bursts
from simulator.components.memories.dram_standards import STANDARDS, DramStandard
from simulator.components.memories.dram_state import (
    ACTIVATES,
    HITS,
    READS,
    WRITES,
    Controllers,
    new_controllers,
)
from simulator.config.arrays import Floats, Ints

STREAM_BURSTS = 512
"""Bursts of a channel over which the mean time of a block is taken."""


class Served(NamedTuple):
    """Hold when each request is complete, and what each channel did.

    `counts` (channel, 9): reads, writes, activates, refreshes, bursts that found their page open,
    entries into power-down; then cycles of the DRAM's clock with a bank open, powered down with
    none, powered down with one open.
    """

    done_ns: Floats
    counts: Ints


class DramChannels(DramMemory, kind="dram_channels"):
    """Channels that take turns burst by burst, each with a controller that knows the banks' times.

    A request is kept on the channels that its bursts touch. Reading turns to writing and back,
    rows open and close, all banks refresh (dram_controller.py). `serve` gives the time of each of
    a list of requests. A program does not know what its requests meet, so there a request holds
    the memory for the mean time of a block in a stream of equal blocks at consecutive addresses,
    and its latency is what one such block takes alone, beyond that; where channels power down, it
    waits until they have woken.
    """

    example: ClassVar[str] = "kind: dram_channels\nstandard: ddr4_2400\nchannels: 1\n"

    standard: Literal["ddr4_2400", "ddr5_3200", "lpddr4_3200", "lpddr5_6400", "hbm2_2000"] = Field(
        description="speed grade, with the timing of its source"
    )
    channels: int = Field(gt=0, le=1024, description="channels, a power of two")
    mapping: Literal["row_bank_column", "four_burst_xor"] = Field(
        default="four_burst_xor", description="how an address becomes bank, row and column"
    )
    refresh: bool = Field(default=True, description="refresh all banks each tREFI")
    power_down_after_cycles: int = Field(
        default=0, ge=0, le=1 << 40, description="idle DRAM cycles before power-down, 0: never"
    )

    def model_post_init(self, context: Any) -> None:
        """Refuse a number of channels that address bits cannot count."""
        if self.channels & (self.channels - 1):
            raise ValueError(f"channels: {self.channels}: must be a power of two")

    @property
    def timing(self) -> DramStandard:
        """Timing of the standard."""
        return STANDARDS[self.standard]

    def bits_per_cycle(self, clock_mhz: float) -> float:
        timing = self.timing
        halves = timing.pseudo_channels
        peak_bits_per_ns = halves * timing.burst_bytes * 8 / (timing.bl * timing.tck_ns)
        return self.channels * peak_bits_per_ns * 1e3 / clock_mhz

    def _transfer(self, bits: int, clock_mhz: float, action: str) -> Transfer:
        bursts = -(-bits // (8 * self.timing.burst_bytes))
        block = _block_cost(self, bursts, action == "write_bit")
        cycles_per_ns = clock_mhz / 1e3
        busy = max(1, math.ceil(round(block.busy_ns * cycles_per_ns, 6)))
        found = Transfer(
            busy,
            math.ceil(round(block.latency_ns * cycles_per_ns, 6)),
            {
                action: bursts * self.timing.burst_bytes * 8,
                "row_miss": block.row_misses,
                "row_hit": bursts - block.row_misses,
                "active_cycle": busy,
            },
        )
        return self.woken(found, clock_mhz)

    def power_down(self, clock_mhz: float) -> PowerDown | None:
        if not self.power_down_after_cycles:
            return None
        ratio = self.timing.tck_ns * clock_mhz / 1e3
        times = self.power_down_after_cycles, self.timing.xp
        return PowerDown(*(math.ceil(round(each * ratio, 6)) for each in times))

    def serve(
        self, addresses: Ints, sizes_bytes: Ints, writes: npt.NDArray[Any], arrivals_ns: Any
    ) -> Served:
        """Return when each of these requests is complete; they enter in order.

        All arrays (requests,). An arrival is in nanoseconds; 0 for all asks for them back to back.
        """
        arrivals = np.broadcast_to(np.asarray(arrivals_ns, np.float64), addresses.shape)
        return self._serve(addresses, sizes_bytes, writes, arrivals, self._controllers())

    def serve_in_turn(self, addresses: Ints, size_bytes: int) -> Served:
        """Return when each read is complete, where one begins when the one before is complete."""
        state, now_ns = self._controllers(), 0.0
        done_ns = np.zeros(len(addresses))
        size, read = np.array([size_bytes]), np.zeros(1, np.bool_)
        for index in range(len(addresses)):
            one = addresses[index : index + 1]
            served = self._serve(one, size, read, np.array([now_ns]), state)
            now_ns = done_ns[index] = served.done_ns[0]
        return Served(done_ns, state.counts)

    def _controllers(self) -> Controllers:
        timing = self.timing
        groups = timing.pseudo_channels * timing.bank_groups
        gaps = gaps_of(timing, self.refresh, self.power_down_after_cycles)
        banks = groups * timing.banks
        return new_controllers(self.channels, timing.pseudo_channels, groups, banks, gaps)

    def _serve(
        self,
        addresses: Ints,
        sizes_bytes: Ints,
        writes: npt.NDArray[Any],
        arrivals_ns: Floats,
        state: Controllers,
    ) -> Served:
        timing = self.timing
        first = addresses // timing.burst_bytes
        each = -(-(addresses + sizes_bytes) // timing.burst_bytes) - first
        request = np.repeat(np.arange(len(addresses)), each)
        begins = np.concatenate([[0], np.cumsum(each)[:-1]])
        burst = first[request] + np.arange(len(request)) - begins[request]
        places = place_bursts(burst * timing.burst_bytes, timing, self.channels, self.mapping)
        arrivals = np.ceil(arrivals_ns / timing.tck_ns).astype(np.int64)
        columns = (*places, burst, np.asarray(writes, np.int64)[request], arrivals[request])
        done = np.zeros(len(request), np.int64)
        serve(state._replace(bursts=np.stack(columns, axis=1).astype(np.int64), done=done))
        return Served(np.maximum.reduceat(done, begins) * timing.tck_ns, state.counts)

    def standard_name(self) -> str:
        return self.standard.partition("_")[0]


class BlockCost(NamedTuple):
    """Hold the mean time of a block among its like, what it takes alone beyond that, its rows."""

    busy_ns: float
    latency_ns: float
    row_misses: int


@lru_cache(maxsize=65536)
def _block_cost(memory: DramChannels, bursts: int, write: bool) -> BlockCost:
    """Serve a stream of blocks of some bursts, and one alone."""
    size = bursts * memory.timing.burst_bytes
    blocks = max(2, -(-STREAM_BURSTS * memory.channels // bursts))
    addresses = np.arange(blocks, dtype=np.int64) * size
    sizes, writes = np.full(blocks, size), np.full(blocks, write)
    stream = memory.serve(addresses, sizes, writes, 0.0)
    alone = memory.serve(addresses[:1], sizes[:1], writes[:1], 0.0)
    busy_ns = float(stream.done_ns.max()) / blocks
    accesses = int(stream.counts[:, [READS, WRITES]].sum())
    misses = accesses - int(stream.counts[:, HITS].sum())
    share = max(int(stream.counts[:, ACTIVATES].sum()), misses) / accesses
    return BlockCost(
        busy_ns, max(0.0, float(alone.done_ns[0]) - busy_ns), min(bursts, round(share * bursts))
    )
