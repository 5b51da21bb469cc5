"""A memory: SRAM behind a line buffer."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from stasim.parts import Action, Memory, Primitive, Transfer


class BufferedSram(Memory, kind="buffered_sram"):
    """One bank whose words are read a line at a time, and served from the line after that."""

    example: ClassVar[str] = "kind: buffered_sram\nsize_kib: 64\nwidth_bits: 128\n"

    size_kib: float = Field(gt=0, le=4096, description="capacity")
    width_bits: int = Field(gt=0, le=512, description="bits of a word, one a cycle")
    line_words: int = Field(default=4, gt=0, le=64, description="words of a line")

    @property
    def capacity_bits(self) -> int:
        return int(self.size_kib * 8192)

    def bits_per_cycle(self, clock_mhz: float) -> float:
        return float(self.width_bits)

    def read(self, bits: int, clock_mhz: float) -> Transfer:
        words = -(-bits // self.width_bits)
        lines = -(-words // self.line_words)
        return Transfer(words, 2, {"read_word": lines * self.line_words, "serve_word": words})

    def write(self, bits: int, clock_mhz: float) -> Transfer:
        words = -(-bits // self.width_bits)
        return Transfer(words, 1, {"write_word": words})

    def actions(self) -> dict[str, Action]:
        bank = Primitive("sram_read", size_kib=self.size_kib, width_bits=self.width_bits)
        line = Primitive("sram_read", size_kib=1.0, width_bits=32, times=-(-self.width_bits // 32))
        return {
            "read_word": Action("reads a word of a line from the bank", (bank,)),
            "write_word": Action("writes a word", (bank._replace(operation="sram_write"),)),
            "serve_word": Action("serves a word from the line (as the smallest bank)", (line,)),
        }

    def leakage(self) -> tuple[Primitive, ...]:
        return (Primitive("sram_leakage", size_kib=self.size_kib, width_bits=self.width_bits),)
