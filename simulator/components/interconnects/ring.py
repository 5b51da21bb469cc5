"""A ring: routers in a circle, with a link to each neighbour and one back."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from simulator.components.interconnects.base import End, Interconnect


class Ring(Interconnect, kind="ring"):
    """A bidirectional ring on which a transfer takes the shorter way, of equal ones the clockwise.

    Routers are numbered clockwise. A core, the global buffer or DRAM at the router of another needs
    no link to reach it. Links are one way each, and routers have as many buffers as a transfer
    needs, so that it holds its links for its flits alone. Cores and memory of RaPiD (IBM, four
    cores, ISCA'21) are on such a ring; its multicast is left out, as in all of this slot.
    """

    example: ClassVar[str] = (
        "kind: ring\nrouters: 6\nwidth_bits: 128\nhop_cycles: 2\nlink_um: 1000\n"
        "cores: [0, 2, 3, 5]\nglobal_buffer: 1\ndram: 4\n"
    )

    routers: int = Field(gt=1, le=4096, description="routers of the ring")
    dram: int = Field(ge=0, description="router of the memory controller")
    global_buffer: int = Field(default=0, ge=0, description="router of the global buffer")
    cores: tuple[int, ...] = Field(
        default=(), strict=False, description="routers of the cores; none: in order, from 0"
    )

    def links(self, cores: int) -> tuple[str, ...]:
        return tuple(
            f"{router}.{way}" for router in range(self.routers) for way in ("clockwise", "back")
        )

    def route(self, source: End, target: End) -> tuple[str, ...]:
        first = self._place(source)
        ahead = (self._place(target) - first) % self.routers
        if 2 * ahead <= self.routers:
            return tuple(f"{(first + hop) % self.routers}.clockwise" for hop in range(ahead))
        return tuple(f"{(first - hop) % self.routers}.back" for hop in range(self.routers - ahead))

    def refusal(self, cores: int, has_global_buffer: bool) -> str:
        crowded = self.crowding(cores, self.cores, self.routers, f"ring of {self.routers}")
        if crowded:
            return crowded
        own = [("dram", self.dram), ("global_buffer", self.global_buffer)]
        for name, place in [*own, *(("cores", place) for place in self.cores)]:
            if not 0 <= place < self.routers:
                return f"{name}: {place}: must be one of {self.routers} routers, from 0"
        return ""

    def _place(self, end: End) -> int:
        if end == "dram":
            return self.dram
        if end == "global_buffer":
            return self.global_buffer
        return self.cores[end] if self.cores else end
