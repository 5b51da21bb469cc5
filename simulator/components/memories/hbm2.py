"""HBM2. Timing with its source; the price of a bit is the energy table's."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from simulator.components.memories.dram_preset import DramPreset


class Hbm2(DramPreset, kind="hbm2"):
    """HBM2, 128-bit channels at 2 Gb/s a pin: DRAMsim3, HBM2_8Gb_x128.ini: tCK 1 ns, CL = tRCD =
    tRP = 14, BL4; 64 columns of 32 bytes are a page of 2 KiB. A stack has 8 channels."""

    example: ClassVar[str] = "kind: hbm2\nchannels: 8\n"

    technology: str = Field(default="hbm2", description="standard, as the energy table names it")
    bandwidth_gb_per_s: float = Field(
        default=32.0, gt=0, le=1e5, description="of one channel, sustained"
    )
    latency_ns: float = Field(default=14.0, ge=0, le=1e6, description="CL")
    row_miss_ns: float = Field(default=28.0, ge=0, le=1e6, description="tRP + tRCD")
    burst_bytes: int = Field(default=64, gt=0, le=65536, description="bytes of a burst")
    page_bytes: int = Field(default=2048, gt=0, le=1048576, description="bytes of an open page")
