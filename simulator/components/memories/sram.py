"""On-chip SRAM: banks read and written a word at a time."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from simulator.components.base import Action, Primitive
from simulator.components.memories.base import Memory, Transfer
from simulator.config.arrays import Int32s, Ints
from simulator.config.kernels import kernel


class Sram(Memory, kind="sram"):
    """Equal single-port banks, interleaved word by word; every access moves a whole word.

    Accesses in sequence use all banks at once. Gathered rows are read in order, as many words at a
    time as there are banks; such a group takes as many cycles as its fullest bank has words, so
    rows that halting leaves apart may wait for each other. A word that several rows share is read
    once if they follow each other. A write and a read in the same cycle do not disturb each other.
    """

    example: ClassVar[str] = "kind: sram\nsize_kib: 64\nbanks: 4\nwidth_bits: 128\n"

    size_kib: float = Field(gt=0, le=1048576, description="capacity of all banks")
    banks: int = Field(default=1, gt=0, le=4096, description="banks, each with one port")
    width_bits: int = Field(gt=0, le=65536, description="bits of a word")
    latency_cycles: int = Field(
        default=1, ge=0, description="from the access to its data; pipelines include one"
    )

    @property
    def capacity_bits(self) -> int:
        return int(self.size_kib * 8192)

    def bits_per_cycle(self, clock_mhz: float) -> float:
        return float(self.banks * self.width_bits)

    def words(self, bits: int) -> int:
        """Return the words that bits take."""
        return -(-bits // self.width_bits)

    def read(self, bits: int, clock_mhz: float) -> Transfer:
        words = self.words(bits)
        return Transfer(-(-words // self.banks), self.latency_cycles, {"read_word": words})

    def write(self, bits: int, clock_mhz: float) -> Transfer:
        words = self.words(bits)
        return Transfer(-(-words // self.banks), self.latency_cycles, {"write_word": words})

    def simulated(self, clock_mhz: float) -> dict[str, Any]:
        return self.model_dump()  # whatever the clock: nothing takes a time in nanoseconds

    def gather_cycles(self, rows: Int32s, row_ptr: Ints, row_bits: int) -> tuple[Ints, Ints]:
        cycles = np.zeros(len(row_ptr) - 1, np.int64)
        lost = np.zeros_like(cycles)
        held = np.empty(self.banks, np.int64)
        _gather(rows, row_ptr, row_bits, self.width_bits, held, cycles, lost)
        return cycles, lost

    def actions(self) -> dict[str, Action]:
        bank_kib = self.size_kib / self.banks
        read = Primitive("sram_read", size_kib=bank_kib, width_bits=self.width_bits)
        write = Primitive("sram_write", size_kib=bank_kib, width_bits=self.width_bits)
        return {
            "read_word": Action("reads a word from a bank", (read,)),
            "write_word": Action("writes a word to a bank", (write,)),
            "bank_conflict": Action("waits a cycle for a bank that another word holds", ()),
        }

    def leakage(self) -> tuple[Primitive, ...]:
        bank_kib = self.size_kib / self.banks
        return (
            Primitive(
                "sram_leakage", size_kib=bank_kib, width_bits=self.width_bits, times=self.banks
            ),
        )


@kernel
def _gather(
    rows: Int32s,
    row_ptr: Ints,
    row_bits: int,
    width_bits: int,
    held: Ints,
    cycles: Ints,
    lost: Ints,
) -> None:
    """Cycles of each run of rows, and those beyond what as many words take without conflicts."""
    banks = len(held)
    for run in range(len(row_ptr) - 1):
        held[:] = 0
        words, waiting, fullest, last = 0, 0, 0, -1
        for item in range(row_ptr[run], row_ptr[run + 1]):
            first_bit = rows[item] * row_bits
            for word in range(
                first_bit // width_bits, (first_bit + row_bits - 1) // width_bits + 1
            ):
                if word == last:
                    continue
                last = word
                words += 1
                waiting += 1
                held[word % banks] += 1
                fullest = max(fullest, held[word % banks])
                if waiting == banks:
                    cycles[run] += fullest
                    held[:] = 0
                    waiting, fullest = 0, 0
        cycles[run] += fullest
        lost[run] = cycles[run] - (words + banks - 1) // banks
