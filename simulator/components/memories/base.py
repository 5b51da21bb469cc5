"""What every part of the slot memories offers: accesses in, words and cycles out."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from simulator.components.base import Action, Component, Primitive
from simulator.config.arrays import Int32s, Ints

AWAKE = "awake_cycle"
"""Action of a DRAM that powers down; how often is known once all requests have their time."""


class Transfer(NamedTuple):
    """Describe a request: how long it holds the memory, how much longer it takes, its counts."""

    busy_cycles: int
    latency_cycles: int
    counts: dict[str, int]


class PowerDown(NamedTuple):
    """Say when idle channels power down, and how long they wake for the next request."""

    after_cycles: int
    wake_cycles: int


class Memory(Component, slot="memories"):
    """Describe a memory: a local buffer, a global one, or DRAM."""

    @property
    @abstractmethod
    def capacity_bits(self) -> int:
        """What it holds; DRAM: as good as everything."""

    @property
    def fill_bits(self) -> int:
        """Bits that each request to fill it brings; 0: as many as are asked for."""
        return 0

    @abstractmethod
    def bits_per_cycle(self, clock_mhz: float) -> float:
        """Return the sustained bandwidth."""

    def gather_cycles(self, rows: Int32s, row_ptr: Ints, row_bits: int) -> tuple[Ints, Ints]:
        """Return cycles to read runs of rows, `row_bits` each, and those lost to conflicts.

        `rows`: numbers of rows that lie one after another, `row_ptr` (runs + 1,). int64 (runs,).
        Here whole words of a run pass at full bandwidth, wherever its rows lie.
        """
        sizes = np.diff(row_ptr)
        cycles = np.ceil(sizes * row_bits / self.bits_per_cycle(1.0)).astype(np.int64)
        return cycles, np.zeros_like(cycles)

    @abstractmethod
    def read(self, bits: int, clock_mhz: float) -> Transfer:
        """Return a read of bits in one piece."""

    @abstractmethod
    def write(self, bits: int, clock_mhz: float) -> Transfer:
        """Return a write of bits in one piece."""

    def power_down(self, clock_mhz: float) -> PowerDown | None:
        """Return when it powers down, in cycles of the machine; None: never."""
        return None

    def simulated(self, clock_mhz: float) -> dict[str, Any]:
        return super().simulated(clock_mhz) | {"clock_mhz": clock_mhz}


class DramMemory(Memory, base=True):
    """Hold what every DRAM has: room for everything, and a price of each bit of its bursts."""

    if TYPE_CHECKING:
        technology: str

    @property
    def capacity_bits(self) -> int:
        return 1 << 62

    def read(self, bits: int, clock_mhz: float) -> Transfer:
        return self._transfer(bits, clock_mhz, "read_bit")

    def write(self, bits: int, clock_mhz: float) -> Transfer:
        return self._transfer(bits, clock_mhz, "write_bit")

    @abstractmethod
    def _transfer(self, bits: int, clock_mhz: float, action: str) -> Transfer:
        """Move bits, each of which counts an action."""

    def standard_name(self) -> str:
        """Return the standard, as the energy table names it."""
        return self.technology

    def woken(self, alone: Transfer, clock_mhz: float) -> Transfer:
        """Return a request that finds the channels powered down, where they do so."""
        down = self.power_down(clock_mhz)
        wake = down.wake_cycles if down else 0
        return alone._replace(latency_cycles=alone.latency_cycles + wake)

    def actions(self) -> dict[str, Action]:
        read = Primitive("dram_read", bits=1, technology=self.standard_name())
        write = read._replace(operation="dram_write")
        unpriced: tuple[Primitive, ...] = ()  # unless power follows the states of the DRAM
        awake = {
            AWAKE: Action("a cycle of the machine in which the channels are not powered down", ())
        }
        return (awake if self.power_down(1.0) else {}) | {
            "read_bit": Action("reads a bit, as part of a whole burst", (read,)),
            "write_bit": Action("writes a bit, as part of a whole burst", (write,)),
            "row_miss": Action(
                "opens a page (in a table's price of a bit, unless priced by states)", unpriced
            ),
            "row_hit": Action("finds its page open (its energy is that of its bits)", unpriced),
            "active_cycle": Action(
                "a cycle of the machine in which the channels are busy, rows open", unpriced
            ),
        }
