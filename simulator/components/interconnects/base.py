"""What every part of the slot interconnects offers: links, and the way from one end to another."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from simulator.components.base import Action, Component, Primitive
from simulator.config.arrays import Ints

End = int | Literal["dram", "global_buffer"]
"""Where a transfer begins or ends: a core by its number, DRAM, or the global buffer."""


class Interconnect(Component, slot="interconnects"):
    """Join cores, the global buffer and DRAM by links.

    A transfer is cut into flits and holds each link of its route for a cycle a flit, all links at
    the same time, as a worm does; its head takes `hop_cycles` a hop. It has ended when the memory
    and all links have. Each transfer has one source and one target: nothing is multicast.
    """

    width_bits: int = Field(
        gt=0, le=65536, description="bits of a flit, which a link moves a cycle"
    )
    hop_cycles: int = Field(ge=0, le=1024, description="latency of a hop: router and wire")
    link_um: int = Field(gt=0, le=100_000, description="length of a link's wires, for their energy")

    @abstractmethod
    def links(self, cores: int) -> tuple[str, ...]:
        """Return the names of all links, each once."""

    @abstractmethod
    def route(self, source: End, target: End) -> tuple[str, ...]:
        """Return the links that a transfer holds, in order; none if both ends are in one place."""

    def refusal(self, cores: int, has_global_buffer: bool) -> str:
        """Return why these cores and memories cannot be joined; empty if they can."""
        return ""

    def crowding(self, cores: int, places: Sequence[object], routers: int, shape: str) -> str:
        """Return why the cores do not go to the routers of their `places`; empty if they do."""
        if not places and cores > routers:
            return f"a {shape} routers has no place for {cores} cores"
        if places and len(places) != cores:
            return f"cores: has {len(places)} places: must have one for each of {cores} cores"
        return "" if len(set(places)) == len(places) else "cores: must be at different routers"

    def flits(self, bits: Ints) -> Ints:
        """Return the flits that transfers of these bits are cut into."""
        return -(-bits // self.width_bits)

    def actions(self) -> dict[str, Action]:
        """Count flits by hops: wires are priced; no source states a router, so it is left out."""
        wire = Primitive("wire", bits=1, times=self.width_bits * self.link_um)
        return {"flit_hop": Action("moves a flit over a link, random data on its wires", (wire,))}

    def simulated(self, clock_mhz: float) -> dict[str, Any]:
        fields = super().simulated(clock_mhz)
        del fields["link_um"]  # decides prices only
        return fields
