"""On-chip SRAM: banks read and written a word at a time."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from simulator.components.base import Action, Primitive
from simulator.components.memories.base import Memory, Transfer


class Sram(Memory, kind="sram"):
    """Equal single-port banks, interleaved word by word; every access moves a whole word.

    Accesses in sequence use all banks at once; conflicts of gathered accesses are not modelled.
    A write and a read of different banks in the same cycle do not disturb each other.
    """

    example: ClassVar[str] = "kind: sram\nsize_kib: 64\nbanks: 4\nwidth_bits: 128\n"

    size_kib: float = Field(gt=0, le=1048576, description="capacity of all banks")
    banks: int = Field(default=1, gt=0, le=4096, description="banks, each with one port")
    width_bits: int = Field(gt=0, le=65536, description="bits of a word")
    latency_cycles: int = Field(default=1, ge=0, description="from the access to its data")

    @property
    def capacity_bits(self) -> int:
        return int(self.size_kib * 8192)

    def bits_per_cycle(self, clock_mhz: float) -> float:
        return float(self.banks * self.width_bits)

    def words(self, bits: int) -> int:
        """Words that so many bits take."""
        return -(-bits // self.width_bits)

    def read(self, bits: int, clock_mhz: float) -> Transfer:
        words = self.words(bits)
        return Transfer(-(-words // self.banks), self.latency_cycles, {"read_word": words})

    def write(self, bits: int, clock_mhz: float) -> Transfer:
        words = self.words(bits)
        return Transfer(-(-words // self.banks), self.latency_cycles, {"write_word": words})

    def simulated(self, clock_mhz: float) -> dict[str, Any]:
        return self.model_dump()  # whatever the clock: nothing takes a time in nanoseconds

    def actions(self) -> dict[str, Action]:
        bank_kib = self.size_kib / self.banks
        read = Primitive("sram_read", size_kib=bank_kib, width_bits=self.width_bits)
        write = Primitive("sram_write", size_kib=bank_kib, width_bits=self.width_bits)
        return {
            "read_word": Action("reads a word from a bank", (read,)),
            "write_word": Action("writes a word to a bank", (write,)),
        }

    def leakage(self) -> tuple[Primitive, ...]:
        bank_kib = self.size_kib / self.banks
        return (
            Primitive(
                "sram_leakage", size_kib=bank_kib, width_bits=self.width_bits, times=self.banks
            ),
        )
