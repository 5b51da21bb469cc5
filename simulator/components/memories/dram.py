"""DRAM: channels, bursts, pages, and a latency that overlaps with other requests."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from pydantic import Field

from simulator.components.memories.base import DramMemory, PowerDown, Transfer


class Dram(DramMemory, kind="dram"):
    """Channels over which every request is striped burst by burst.

    A request holds the channels for its bursts. It opens the pages it touches: the first page's
    `row_miss_ns` adds to its latency; a later page is opened while the one before is transferred
    and holds the channel only for what that does not cover. All other bursts hit the open page.
    A request finds its first page closed, since requests of several streams take turns: that is
    pessimistic for latency, and no bandwidth is lost by it. With `power_down_after_ns` it finds
    the channels powered down as well, and waits for `wake_ns`; what they draw follows their real
    idle times. Refresh and the turn from reading to writing are not modelled.
    """

    example: ClassVar[str] = (
        "kind: dram\ntechnology: ddr4\nchannels: 4\nbandwidth_gb_per_s: 16.0\n"
        "latency_ns: 45.0\nrow_miss_ns: 28.3\n"
    )

    technology: str = Field(description="standard, as the energy table names it: ddr4, hbm2, ...")
    channels: int = Field(gt=0, le=1024, description="channels")
    bandwidth_gb_per_s: float = Field(ge=1e-3, le=1e5, description="of one channel, sustained")
    latency_ns: float = Field(ge=0, le=1e6, description="from request to first data, page open")
    row_miss_ns: float = Field(ge=0, le=1e6, description="closing a page and opening another")
    burst_bytes: int = Field(default=64, gt=0, le=65536, description="bytes of a burst")
    page_bytes: int = Field(default=8192, gt=0, le=1048576, description="bytes of an open page")
    power_down_after_ns: float = Field(
        default=0.0, ge=0, le=1e9, description="idle time before power-down, 0: never"
    )
    wake_ns: float = Field(default=6.0, ge=0, le=1e6, description="leaving power-down (tXP)")

    def bits_per_cycle(self, clock_mhz: float) -> float:
        return self.channels * self.bandwidth_gb_per_s * 8e3 / clock_mhz

    def _transfer(self, bits: int, clock_mhz: float, action: str) -> Transfer:
        bursts = -(-bits // (8 * self.burst_bytes))
        per_channel = -(-bursts // self.channels)
        cycles_per_ns = clock_mhz / 1e3
        burst_ns = self.burst_bytes / self.bandwidth_gb_per_s
        pages = -(-per_channel * self.burst_bytes // self.page_bytes)
        page_ns = self.page_bytes / self.bandwidth_gb_per_s
        uncovered_ns = max(0.0, self.row_miss_ns - page_ns) * (pages - 1)
        busy_ns = per_channel * burst_ns + uncovered_ns
        misses = min(bursts, pages * self.channels)
        # Rounded to the nanosecond's millionth first, so that 2.0000000001 cycles are 2.
        busy = max(1, math.ceil(round(busy_ns * cycles_per_ns, 6)))
        found = Transfer(
            busy,
            math.ceil(round((self.latency_ns + self.row_miss_ns) * cycles_per_ns, 6)),
            {
                action: bursts * self.burst_bytes * 8,
                "row_miss": misses,
                "row_hit": bursts - misses,
                "active_cycle": busy,
            },
        )
        return self.woken(found, clock_mhz)

    def power_down(self, clock_mhz: float) -> PowerDown | None:
        if not self.power_down_after_ns:
            return None
        times = self.power_down_after_ns, self.wake_ns
        return PowerDown(*(math.ceil(round(each * clock_mhz / 1e3, 6)) for each in times))

    def simulated(self, clock_mhz: float) -> dict[str, Any]:
        # Cycles follow from times x clock, and stay the same to the last bit when all times are
        # divided and the clock is multiplied by a power of two. The standard decides prices only.
        mantissa, exponent = math.frexp(clock_mhz)
        fields = super().simulated(clock_mhz)
        del fields["technology"]
        if self.power_down(clock_mhz) is None:
            del fields["wake_ns"]
        times = ("latency_ns", "row_miss_ns", "power_down_after_ns", "wake_ns")
        for name in fields.keys() & times:
            fields[name] = math.ldexp(getattr(self, name), exponent)
        fields["bandwidth_gb_per_s"] = math.ldexp(self.bandwidth_gb_per_s, -exponent)
        return fields | {"clock_mhz": mantissa}
