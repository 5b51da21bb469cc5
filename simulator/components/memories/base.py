"""What every part of the slot memories offers: accesses in, words and cycles out."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, NamedTuple

from simulator.components.base import Component


class Transfer(NamedTuple):
    """One request: how long it holds the memory, how much longer it takes, and what it counts."""

    busy_cycles: int
    latency_cycles: int
    counts: dict[str, int]


class Memory(Component, slot="memories"):
    """A memory: a local buffer, a global one, or DRAM."""

    @property
    @abstractmethod
    def capacity_bits(self) -> int:
        """What it holds; DRAM: as good as everything."""

    @abstractmethod
    def bits_per_cycle(self, clock_mhz: float) -> float:
        """Sustained bandwidth."""

    @abstractmethod
    def read(self, bits: int, clock_mhz: float) -> Transfer:
        """A read of so many bits in one piece."""

    @abstractmethod
    def write(self, bits: int, clock_mhz: float) -> Transfer:
        """A write of so many bits in one piece."""

    def simulated(self, clock_mhz: float) -> dict[str, Any]:
        return super().simulated(clock_mhz) | {"clock_mhz": clock_mhz}
