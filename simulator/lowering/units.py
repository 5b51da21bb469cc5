"""A machine as a graph: its units, by name and role, and the links between the places of data.

    graph = make_graph(architecture)
    graph.arrays(1)                         # numbers of the units that core 1's products occupy
    graph.with_role("vector_unit")          # the vector unit of each core
    graph.route(1, "dram").links            # links that a transfer from core 1 to DRAM occupies

A unit's number is its place among the units; programs and results know units by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple

import numpy as np

from simulator.architecture import Architecture
from simulator.components.interconnects.base import End, Interconnect
from simulator.components.memories.base import Memory
from simulator.components.pe_arrays.base import PEArray
from simulator.config.arrays import Int32s, Ints

CORE_ROLES = ("weight_port", "vector_unit")
"""Units that each core has once, besides its arrays, in the order of `core_units`."""
SHARED = -1
"""The core of a unit that all cores share."""


class Unit(NamedTuple):
    """Describe something that an operation occupies: `servers` operations at once.

    latency_cycles: how much longer the successors of an operation on it wait; of a link, of all
    operations that pass one.
    """

    name: str
    role: str
    core: int
    latency_cycles: int
    servers: int = 1


class Route(NamedTuple):
    """Say what a transfer occupies besides its memory: its links, and the latency of its head."""

    links: tuple[int, ...]
    latency_cycles: int


class RouteTable(NamedTuple):
    """Hold routes as integers, for compiled code: those of each core, then DRAM to global buffer.

    ptr: int64 (routes + 1,). links: int64, units. latency: int64 (routes,). longest: links of one.
    """

    ptr: Ints
    links: Ints
    latency: Ints
    longest: int


ROUTES_A_CORE = 4
FROM_DRAM, FROM_GLOBAL, TO_DRAM, TO_GLOBAL = range(ROUTES_A_CORE)
"""A core's transfers: ROUTES_A_CORE x core + one of these is the number of their route."""


class Graph:
    """Hold the units of a machine and the routes between them."""

    def __init__(
        self, units: tuple[Unit, ...], cores: int, interconnect: Interconnect | None
    ) -> None:
        self.units = units
        self.cores = cores
        self.interconnect = interconnect
        self.number = {unit.name: number for number, unit in enumerate(units)}

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the units, in order of their number."""
        return tuple(unit.name for unit in self.units)

    @cached_property
    def servers(self) -> Int32s:
        """Return int32 (units,), operations that each holds at once."""
        return np.array([unit.servers for unit in self.units], np.int32)

    def with_role(self, role: str) -> tuple[int, ...]:
        """Return the units with a role, in order of the cores."""
        return self._by_role.get(role, ())

    @cached_property
    def _by_role(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, list[int]] = {}
        order = sorted(range(len(self.units)), key=lambda number: (self.units[number].core, number))
        for number in order:
            found.setdefault(self.units[number].role, []).append(number)
        return {role: tuple(numbers) for role, numbers in found.items()}

    def one(self, role: str) -> int:
        """Return the only unit with a role, or the first core's; -1 if the machine has none."""
        return next(iter(self.with_role(role)), -1)

    def core_units(self, core: int) -> Mapping[str, int]:
        """Return the units of a core by role, its arrays apart."""
        return {role: self.with_role(role)[core] for role in CORE_ROLES}

    def arrays(self, core: int) -> tuple[int, ...]:
        """Return the arrays of a core, in the order of Core.arrays."""
        return tuple(n for n in self.with_role("pe_array") if self.units[n].core == core)

    def latency(self, role: str) -> int:
        """Return the latency of the units with a role; 0 if the machine has none."""
        number = self.one(role)
        return self.units[number].latency_cycles if number >= 0 else 0

    def route(self, source: End, target: End) -> Route:
        """Return the links from one place to another; none where nothing lies between."""
        if self.interconnect is None:
            return Route((), 0)
        links = tuple(
            self.number[_link_name(name)] for name in self.interconnect.route(source, target)
        )
        return Route(links, len(links) * self.interconnect.hop_cycles)

    def route_table(self) -> RouteTable:
        """Return the routes of all transfers: those of each core, then DRAM to global buffer."""
        routes = []
        for core in range(self.cores):
            routes += [
                self.route("dram", core),
                self.route("global_buffer", core),
                self.route(core, "dram"),
                self.route(core, "global_buffer"),
            ]
        routes.append(self.route("dram", "global_buffer"))
        lengths = [len(route.links) for route in routes]
        return RouteTable(
            ptr=np.cumsum([0, *lengths], dtype=np.int64),
            links=np.array([link for route in routes for link in route.links], np.int64),
            latency=np.array([route.latency_cycles for route in routes], np.int64),
            longest=max(lengths),
        )


def beyond_one_cycle(memory: Memory, clock_mhz: float) -> int:
    """Return the cycles that a local buffer adds to the pipeline of the unit that reads it.

    Pipelines of arrays, vector units and token skips are stated for buffers that take one cycle.
    """
    return max(memory.read(1, clock_mhz).latency_cycles - 1, 0)


def _array_latency(array: PEArray, architecture: Architecture) -> int:
    """Return the cycles from a tile's end to its results; preloaded weights come ahead of it."""
    buffers, clock = architecture.core.buffers, architecture.clock_mhz
    read = [buffers.spikes, buffers.partial_sums]
    if not array.preloads_weights:
        read.append(buffers.weights)
    return array.pipeline_latency_cycles + sum(beyond_one_cycle(each, clock) for each in read)


def make_graph(architecture: Architecture) -> Graph:
    """Return the graph of a machine; with several cores each unit of a core names its core."""
    core, clock = architecture.core, architecture.clock_mhz
    memories, cores = architecture.memories, len(architecture.cores)
    weights, shared = core.buffers.weights, memories.global_buffer
    first, *engines = core.arrays
    latency = {
        **{path: _array_latency(array, architecture) for path, array in core.arrays.items()},
        "weight_port": weights.read(weights.capacity_bits, clock).latency_cycles,
        "vector_unit": core.vector_unit.pipeline_latency_cycles
        + beyond_one_cycle(core.buffers.membranes, clock),
    }

    def own(number: int, role: str) -> Unit:
        name = role if cores == 1 else f"cores.{number}.{role}"
        kind = "pe_array" if role in core.arrays else role
        return Unit(name, kind, number, latency[role])

    units = [
        own(0, first),
        own(0, "weight_port"),
        Unit("dram", "dram", SHARED, memories.dram.read(1, clock).latency_cycles),
        own(0, "vector_unit"),
        Unit("token_skip", "token_skip", SHARED, 0),
    ]
    if shared is not None:
        latency_cycles = shared.read(1, clock).latency_cycles
        units.append(Unit("global_buffer", "global_buffer", SHARED, latency_cycles))
    own_roles = (first, *CORE_ROLES)
    units += [own(number, role) for number in range(1, cores) for role in own_roles]
    units += [own(number, path) for number in range(cores) for path in engines]
    between = architecture.interconnect
    if between is not None:
        units += [
            Unit(_link_name(name), "link", SHARED, between.hop_cycles)
            for name in between.links(cores)
        ]
    return Graph(tuple(units), cores, between)


def _link_name(name: str) -> str:
    return f"interconnect.{name}"
