"""SRAM that is filled part by part, each whole: a double buffer, if there are two parts."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from simulator.components.memories.sram import Sram


class SramFills(Sram, kind="sram_fills"):
    """An SRAM in equal parts, each of which one request fills whole, whatever is needed of it.

    As a weight buffer it holds in a part as many chunks of weights of a layer as fit; a part is
    filled again when the last of them has been used. Source: the weight buffer of ExSpike
    (FPL'26), two parts of 512 entries, by its public RTL.
    """

    example: ClassVar[str] = (
        "kind: sram_fills\nsize_kib: 288\nbanks: 2\nwidth_bits: 256\nparts: 2\n"
    )

    parts: int = Field(default=2, gt=1, le=64, description="parts that are filled in turn")

    @property
    def fill_bits(self) -> int:
        return self.capacity_bits // self.parts
