"""A stream of a trace's images on a machine: lowered one by one, replayed in one event simulation.

The images come in the order given and begin again after the last, until the stream is as long as
its arrivals say. Each image in flight has buffers of the described size of its own, fetches its own
weights, and shares all units with the others.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from simulator.engine.reference import simulate_stream
from simulator.engine.stream import Passage, StreamImage, replay_stream
from simulator.errors import StreamError
from simulator.program import Structure
from simulator.results.columns import Ints, Table
from simulator.results.stream import stream_tables
from simulator.simulate import Simulation
from simulator.streams.arrivals import Arrivals

KEPT_BYTES = 64 << 20
"""Programs of images that come again; beyond it they are lowered again."""


class Streamed(NamedTuple):
    """The tables of a stream, and what its result's provenance says of it."""

    tables: dict[str, Table]
    provenance: dict[str, Any]


def simulate_arrivals(
    simulation: Simulation, images: Sequence[int], arrivals: Arrivals
) -> Streamed:
    """Simulate images of the trace, by index, as a stream on the simulation's machine.

    Raises StreamError for an arrival too late to be counted, and for a machine whose images run
    together: a group would have to wait for its last arrival.
    """
    together = simulation.plan.architecture.dataflow.images_together
    if together > 1:
        raise StreamError(
            f"{simulation.architecture.name}: dataflow.images_together: {together}: must be 1 in a "
            "stream of arrivals"
        )
    places = simulation.architecture.dataflow.images_in_flight
    count = arrivals.images or len(images)
    order = list(itertools.islice(itertools.cycle(images), count))
    programs = _Programs(simulation)
    cycles = arrivals.cycles(simulation.architecture.clock_mhz)
    columns = ("position", "place", "arrival_cycle", "start_cycle", "finish_cycle")
    found = {name: np.zeros(count, np.int64) for name in columns}
    for passage in _replayed(simulation.engine, programs, zip(order, cycles, strict=False), places):
        for name in columns:
            found[name][passage.position] = getattr(passage, name)
    names, servers = programs.unit_names, programs.servers
    passages = {"position": found.pop("position"), "image": np.array(order, np.int64), **found}
    provenance = {
        "arrivals": arrivals.text,
        "open": arrivals.kind != "closed",
        "images": count,
        "in_flight": places,
    }
    return Streamed(stream_tables(passages, names, servers, programs.busy_cycles), provenance)


def _replayed(
    engine: str,
    programs: _Programs,
    arriving: Iterator[tuple[int, int | None]],
    places: int,
) -> Iterator[Passage]:
    """The images as they finish, by either engine; SimPy's holds the whole stream in memory."""
    images = (StreamImage(*programs.of(image), cycle) for image, cycle in arriving)
    if engine == "numba":
        yield from replay_stream(images, places)
        return
    listed = [(image.structure.program(image.busy_cycles), image.arrival_cycle) for image in images]
    for position, (run, (_, cycle)) in enumerate(
        zip(simulate_stream(listed, places), listed, strict=True)
    ):
        start, finish = run.start_cycle, run.timeline.makespan_cycles
        arrival = start if cycle is None else cycle
        yield Passage(position, run.place, arrival, start, max(finish, start))


class _Programs:
    """Programs of a trace's images: lowered when they come, and kept while there is room."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.unit_names: tuple[str, ...] = simulation.plan.unit_names
        self.servers: Ints = np.ones(len(self.unit_names), np.int64)
        self.busy_cycles: Ints = np.zeros(len(self.unit_names), np.int64)
        self._kept: OrderedDict[int, tuple[Structure, Ints, Ints]] = OrderedDict()
        self._bytes = 0

    def of(self, image: int) -> tuple[Structure, Ints]:
        """The structure and the busy cycles of an image; its work is added to `busy_cycles`."""
        if image not in self._kept:
            self._kept[image] = self._lowered(image)
            self._bytes += self._kept[image][1].nbytes
            while self._bytes > KEPT_BYTES and len(self._kept) > 1:
                _, (_, busy, _) = self._kept.popitem(last=False)
                self._bytes -= busy.nbytes
        structure, busy, by_unit = self._kept[image]
        self.busy_cycles += by_unit
        return structure, busy

    def _lowered(self, image: int) -> tuple[Structure, Ints, Ints]:
        batch = self.simulation.lowering.lower([self.simulation.trace.read(image)])
        structure, busy = batch.emitted[0].structure, batch.program(0).busy_cycles
        structure.check_busy(busy)
        # Joins, unit -1, are counted first and left out.
        by_unit = np.zeros(len(self.unit_names) + 1, np.int64)
        np.add.at(by_unit, structure.unit + 1, busy)
        self.servers = structure.unit_servers.astype(np.int64)
        return structure, busy, by_unit[1:]
