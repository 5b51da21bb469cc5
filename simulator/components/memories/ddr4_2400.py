"""DDR4-2400. Timing with its source; the price of a bit is the energy table's."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from simulator.components.memories.dram_preset import DramPreset


class Ddr4x2400(DramPreset, kind="ddr4_2400"):
    """DDR4-2400, 64-bit channels of x8 chips: DRAMsim3, DDR4_8Gb_x8_2400.ini (Micron
    MT40A1G8PM-083E): tCK 0.833 ns, CL = tRCD = tRP = 16, BL8; 8 chips with pages of 1 KiB."""

    example: ClassVar[str] = "kind: ddr4_2400\nchannels: 2\n"

    technology: str = Field(default="ddr4", description="standard, as the energy table names it")
    bandwidth_gb_per_s: float = Field(
        default=19.2, gt=0, le=1e5, description="of one channel, sustained"
    )
    latency_ns: float = Field(default=13.3, ge=0, le=1e6, description="CL")
    row_miss_ns: float = Field(default=26.7, ge=0, le=1e6, description="tRP + tRCD")
    burst_bytes: int = Field(default=64, gt=0, le=65536, description="bytes of a burst")
    page_bytes: int = Field(default=8192, gt=0, le=1048576, description="bytes of an open page")
