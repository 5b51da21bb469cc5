"""DRAM as it can be bought: standards with their timing, each a `dram` whose values are given.

Timing is that of the configuration files of DRAMsim3 (Li et al., IEEE CAL 2020; github.com/
umd-memsys/DRAMsim3) or of the standard, as each class says. `latency_ns` is CL; a controller adds
`controller_ns`. The energy of a bit is the table's for the standard (`technology`).
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from simulator.components.memories.base import Transfer
from simulator.components.memories.dram import Dram


class _Preset(Dram, base=True):
    """A DRAM standard: channels are free, the rest has the standard's values."""

    controller_ns: float = Field(
        default=30.0, ge=0, le=1e6, description="queue and controller, each way of a request"
    )

    def _transfer(self, bits: int, clock_mhz: float, action: str) -> Transfer:
        plain = super()._transfer(bits, clock_mhz, action)
        added = round(self.controller_ns * clock_mhz / 1e3)
        return plain._replace(latency_cycles=plain.latency_cycles + added)


class Ddr4x2400(_Preset, kind="ddr4_2400"):
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


class Lpddr4x3200(_Preset, kind="lpddr4_3200"):
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


class Hbm2(_Preset, kind="hbm2"):
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
