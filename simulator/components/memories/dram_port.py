"""A port to DRAM that has one burst under way at a time."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from pydantic import Field

from simulator.components.memories.base import DramMemory, Transfer


class DramPort(DramMemory, kind="dram_port"):
    """A port of one word a cycle that asks for a burst only when the one before has ended.

    So the time between two bursts is exposed: a burst holds the port for its words, `gap_cycles` of
    handshake and arbitration and `latency_ns`. A request ends with a whole burst and takes
    `request_cycles` more. Pages and refresh are part of the latency. Source: the masters of ExSpike
    (FPL'26) and FPGA_SpikingTransformer, by their public RTL.
    """

    example: ClassVar[str] = (
        "kind: dram_port\ntechnology: ddr4\nwidth_bits: 256\nburst_words: 144\n"
    )

    technology: str = Field(description="standard, as the energy table names it: ddr4, hbm2, ...")
    width_bits: int = Field(gt=0, le=4096, description="bits of a word, one a cycle of the clock")
    burst_words: int = Field(gt=0, le=65536, description="words of a burst")
    gap_cycles: int = Field(default=5, ge=0, le=65536, description="of a burst beyond its words")
    request_cycles: int = Field(default=0, ge=0, le=65536, description="of a request, once")
    latency_ns: float = Field(default=0.0, ge=0, le=1e6, description="of each burst, exposed")

    def burst_cycles(self, clock_mhz: float) -> int:
        """Return the cycles from a burst's request to that of the next."""
        latency = math.ceil(round(self.latency_ns * clock_mhz / 1e3, 6))
        return self.burst_words + self.gap_cycles + latency

    def bits_per_cycle(self, clock_mhz: float) -> float:
        return self.burst_words * self.width_bits / self.burst_cycles(clock_mhz)

    def _transfer(self, bits: int, clock_mhz: float, action: str) -> Transfer:
        bursts = -(-bits // (self.burst_words * self.width_bits))
        busy = max(1, bursts * self.burst_cycles(clock_mhz) + self.request_cycles)
        moved = bursts * self.burst_words * self.width_bits
        # Each burst opens its page: others may have been there in between.
        states = {"row_miss": bursts, "row_hit": 0, "active_cycle": busy}
        return Transfer(busy, 0, {action: moved, **states})

    def simulated(self, clock_mhz: float) -> dict[str, Any]:
        fields = super().simulated(clock_mhz)
        del fields["technology"]  # which decides prices only
        return fields
