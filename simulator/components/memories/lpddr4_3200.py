"""LPDDR4-3200. Timing with its source; the price of a bit is the energy table's."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from simulator.components.memories.dram_preset import DramPreset


class Lpddr4x3200(DramPreset, kind="lpddr4_3200"):
    """LPDDR4-3200, 16-bit channels: JEDEC JESD209-4: RL 28 at tCK 0.625 ns, tRCD = tRPpb = 18 ns,
    BL16; a page is 2 KiB."""

    example: ClassVar[str] = "kind: lpddr4_3200\nchannels: 4\n"

    technology: str = Field(default="lpddr4", description="standard, as the energy table names it")
    bandwidth_gb_per_s: float = Field(
        default=6.4, gt=0, le=1e5, description="of one channel, sustained"
    )
    latency_ns: float = Field(default=17.5, ge=0, le=1e6, description="RL")
    row_miss_ns: float = Field(default=36.0, ge=0, le=1e6, description="tRPpb + tRCD")
    burst_bytes: int = Field(default=32, gt=0, le=65536, description="bytes of a burst")
    page_bytes: int = Field(default=2048, gt=0, le=1048576, description="bytes of an open page")
