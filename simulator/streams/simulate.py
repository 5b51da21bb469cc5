"""A stream of a trace's images on a machine: lowered one by one, replayed in one event simulation.

The images come in the order given and begin again after the last, until the stream is as long as
its arrivals say. Each image in flight has buffers of the described size of its own, and shares all
units with the others. Weights that stay on chip are loaded once: by the first image, which no other
accompanies. Others are fetched by each image.
"""

from __future__ import annotations

import itertools
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from simulator.config.arrays import Ints
from simulator.engine.reference import simulate_stream
from simulator.engine.stream import StreamImage, StreamPassage, replay_stream
from simulator.errors import StreamError
from simulator.lowering import LoweredBatch
from simulator.program import Structure
from simulator.results.columns import Table
from simulator.results.priced import savings_table
from simulator.results.stream import stream_tables
from simulator.simulate import Simulation
from simulator.streams.arrivals import Arrivals

Action = tuple[str, str]

KEPT_BYTES = 64 << 20
"""Programs of images that come again; beyond it they are lowered again."""


class Streamed(NamedTuple):
    """Hold the tables of a stream, and what its result's provenance says of it."""

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
    tables = stream_tables(passages, names, servers, programs.busy_cycles)
    tables["stream_savings"] = savings_table(programs.saved, simulation.prices)
    return Streamed(tables, provenance)


def _replayed(
    engine: str,
    programs: _Programs,
    arriving: Iterator[tuple[int, int | None]],
    places: int,
) -> Iterator[StreamPassage]:
    """The images as they finish, by either engine; SimPy's holds the whole stream in memory."""
    images = (programs.next(image, cycle) for image, cycle in arriving)
    if engine == "numba":
        yield from replay_stream(images, places)
        return
    every = list(images)
    listed = [(image.structure.program(image.busy_cycles), image.arrival_cycle) for image in every]
    alone = {position for position, image in enumerate(every) if image.alone}
    for position, (run, (_, cycle)) in enumerate(
        zip(simulate_stream(listed, places, alone), listed, strict=True)
    ):
        start, finish = run.start_cycle, run.timeline.makespan_cycles
        arrival = start if cycle is None else cycle
        yield StreamPassage(position, run.place, arrival, start, max(finish, start))


class _Lowered(NamedTuple):
    """A program, its busy cycles by unit, and what it does less often than the image alone."""

    structure: Structure
    busy: Ints
    by_unit: Ints
    saved: dict[Action, int]


class _Programs:
    """Programs of a trace's images: lowered when they come, and kept while there is room."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.unit_names: tuple[str, ...] = simulation.plan.unit_names
        self.servers: Ints = np.ones(len(self.unit_names), np.int64)
        self.busy_cycles: Ints = np.zeros(len(self.unit_names), np.int64)
        self.saved: Counter[Action] = Counter()
        self.staying = [n for n, each in enumerate(simulation.plan.layers) if each.stays]
        self.loads = bool(self.staying)
        self._kept: OrderedDict[int, _Lowered] = OrderedDict()
        self._bytes = 0

    def next(self, image: int, arrival_cycle: int | None) -> StreamImage:
        """Return the next image of the stream; its work is added to `busy_cycles`.

        The first loads the weights that stay. If all of its tokens halt before some of their
        layers, the images after it load them all again, until one has run every layer.
        """
        if self.loads:
            found, complete = self._loading(image)
            self.loads = not complete
            self.busy_cycles += found.by_unit
            return StreamImage(found.structure, found.busy, arrival_cycle, alone=True)
        if image not in self._kept:
            self._kept[image] = self._lowered(image)
            self._bytes += self._kept[image].busy.nbytes
            while self._bytes > KEPT_BYTES and len(self._kept) > 1:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= oldest.busy.nbytes
        found = self._kept[image]
        self.busy_cycles += found.by_unit
        self.saved.update(found.saved)
        return StreamImage(found.structure, found.busy, arrival_cycle)

    def _loading(self, image: int) -> tuple[_Lowered, bool]:
        """An image that loads what stays, and whether it runs every layer of it."""
        batch = self.simulation.lowering.lower([self.simulation.trace.read(image)])
        return self._program(batch, {}), bool((batch.live_rows[0, self.staying] > 0).all())

    def _lowered(self, image: int) -> _Lowered:
        """An image that finds what stays; `saved`: what it does less often than alone."""
        lowering = self.simulation.lowering
        batch = lowering.batch_of([self.simulation.trace.read(image)])
        if not self.staying:
            return self._program(lowering.lower_batch(batch), {})
        alone, found = lowering.lower_batch(batch), lowering.lower_batch(batch, pinned_present=True)
        saved = Counter(_totals(alone))
        saved.subtract(_totals(found))
        return self._program(found, {action: count for action, count in saved.items() if count})

    def _program(self, batch: LoweredBatch, saved: dict[Action, int]) -> _Lowered:
        structure, busy = batch.emitted[0].structure, batch.program(0).busy_cycles
        structure.check_busy(busy)
        # Joins, unit -1, are counted first and left out.
        by_unit = np.zeros(len(self.unit_names) + 1, np.int64)
        np.add.at(by_unit, structure.unit + 1, busy)
        self.servers = structure.unit_servers.astype(np.int64)
        return _Lowered(structure, busy, by_unit[1:], saved)


def _totals(batch: LoweredBatch) -> dict[Action, int]:
    """How often the first image of a batch does each action."""
    return dict(zip(batch.actions, batch.counts[0].sum(axis=0).tolist(), strict=True))
