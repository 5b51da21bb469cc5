"""A stream of images replayed in one event simulation; memory is bounded by the images in flight.

The machine has places, each with buffers of its own, and all places share the units. Images begin
in order of arrival, each in the cycle in which it has arrived, a place is free, and no image that
wants to be the last to begin is under way. A unit serves
the waiting op with the smallest (yields, ready cycle, image, op).

That is the timeline of one long program: the ops of the images one after another, where the ops
that begin an image wait for an op that ends at its arrival and for the image whose place it takes.
`reference.simulate_stream` defines the same in SimPy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Int32s, Ints
from simulator.engine.replay import (
    DONE,
    ENDINGS,
    NEVER,
    NOW,
    Ops,
    advance,
    new_state,
)
from simulator.errors import LoweringError
from simulator.program import END, TOTAL_LIMIT_CYCLES, Structure

_MOVED = ("unit", "busy", "latency", "yields", "missing", "ready", "start", "finish", "critical")
"""Columns that hold neither ops nor edges: they move as they are."""

_HEADROOM = 1.25
"""Room for larger images than the largest so far, so that places grow a few times only."""


class StreamImage(NamedTuple):
    """Describe an image of a stream: its program, and the cycle in which it arrives.

    `arrival_cycle`: never smaller than that of the image before; None for an image that arrives
    when a place is free for it. `alone`: none begins while it is under way.
    """

    structure: Structure
    busy_cycles: Ints
    arrival_cycle: int | None = None
    alone: bool = False


class StreamPassage(NamedTuple):
    """Say when an image of a stream arrived, began and finished.

    `ready`, `start`, `finish`: int64 (ops,), the same of each op, where they were asked for.
    """

    position: int
    place: int
    arrival_cycle: int
    start_cycle: int
    finish_cycle: int
    ready: Ints | None = None
    start: Ints | None = None
    finish: Ints | None = None


def replay_stream(
    images: Iterable[StreamImage], places: int, *, with_ops: bool = False
) -> Iterator[StreamPassage]:
    """Yield the images as they finish; they are taken from `images` one ahead of the machine.

    Raises LoweringError for busy cycles that break a rule of a program, for an image of another
    machine, for an arrival before the last one, and for cycles beyond 2^62.
    """
    source = enumerate(images)
    following = next(source, None)
    if following is None:
        return
    machine = _Machine(following[1].structure.unit_servers, places)
    running: dict[int, StreamPassage] = {}
    alone: set[int] = set()
    while running or following is not None:
        now = machine.now
        while following is not None and len(running) < places and not alone:
            position, image = following
            arrival = now if image.arrival_cycle is None else image.arrival_cycle
            if arrival > now:
                break
            place = min(set(range(places)) - running.keys())
            machine.enter(place, position, image)
            running[place] = StreamPassage(position, place, arrival, now, now)
            alone |= {place} if image.alone else set()
            following = next(source, None)
        room = following is not None and len(running) < places and not alone
        until = following[1].arrival_cycle if room and following else None
        for place in machine.run(NEVER if until is None else until):
            passage = running.pop(place)._replace(finish_cycle=machine.now)
            alone.discard(place)
            if with_ops:
                ready, start, finish = machine.times(place)
                passage = passage._replace(ready=ready, start=start, finish=finish)
            yield passage


class _Machine:
    """Units and places; a place keeps the structure of its last image, which the next may share."""

    def __init__(self, unit_servers: Int32s, places: int) -> None:
        self.unit_servers, self.places = unit_servers, places
        self.structures: list[Structure | None] = [None] * places
        self.latest_arrival = self.total_cycles = 0
        self._make_room(0, 0)

    @property
    def now(self) -> int:
        """The current cycle."""
        return int(self.state.scalars[NOW])

    def enter(self, place: int, position: int, image: StreamImage) -> None:
        """Let an image begin now, in a free place."""
        structure = image.structure
        self._check(position, image)
        if structure.ops + 2 > self.stride or len(structure.successor) > self.edges:
            self._grow(structure)
        first = place * self.stride
        span = slice(first, first + structure.ops)
        if self.structures[place] is not structure:
            at, successor = place * self.edges, structure.successor
            self.ops.unit[span] = structure.unit
            self.ops.latency[span] = structure.latency_cycles
            self.ops.yields[span] = structure.yields
            self.ops.first[first : first + structure.ops + 2] = structure.first + np.int32(at)
            self.ops.successor[at : at + len(successor)] = np.where(
                successor == END, np.int32(END), successor + np.int32(first)
            )
            self.structures[place] = structure
        self.ops.busy[span] = image.busy_cycles
        self.ops.missing[span] = structure.missing
        self.ops.ready[span] = -1
        self.ops.finish[first + structure.ops] = self.now
        self.state.image[place] = position
        self.state.ends[place], self.state.end[place] = structure.ends, self.now
        self.state.ended[self.state.scalars[ENDINGS]] = first + structure.ops
        self.state.scalars[ENDINGS] += 1

    def run(self, until: int) -> list[int]:
        """Replay up to a cycle or to the end of an image; return the places of those that ended."""
        advance(self.ops, self.state, until, self.stride)
        ended = self.state.done[: self.state.scalars[DONE]].tolist()
        self.state.scalars[DONE] = 0
        return sorted(ended, key=lambda place: int(self.state.image[place]))

    def times(self, place: int) -> list[Ints]:
        """Ready, start and finish of the ops of the image that was in a place."""
        structure = self.structures[place]
        assert structure is not None
        span = slice(place * self.stride, place * self.stride + structure.ops)
        return [times[span].copy() for times in (self.ops.ready, self.ops.start, self.ops.finish)]

    def _check(self, position: int, image: StreamImage) -> None:
        image.structure.check_busy(image.busy_cycles)
        if not np.array_equal(image.structure.unit_servers, self.unit_servers):
            raise LoweringError(f"image {position}", "unit_servers", "must be those of image 0")
        arrival = self.latest_arrival if image.arrival_cycle is None else image.arrival_cycle
        if arrival < self.latest_arrival:
            raise LoweringError(
                f"image {position}: arrival_cycle is {arrival}; "
                f"rule: at least that of the image before, {self.latest_arrival}"
            )
        self.latest_arrival = arrival
        own = int(image.busy_cycles.sum()) + int(image.structure.latency_cycles.sum())
        self.total_cycles += own
        if arrival + self.total_cycles >= TOTAL_LIMIT_CYCLES:
            raise LoweringError(
                f"image {position}: its arrival and all cycles up to it sum to "
                f"{arrival + self.total_cycles}; rule: less than 2^62"
            )

    def _make_room(self, stride: int, edges: int) -> None:
        """Make empty columns for images of so many entries and edges."""
        self.stride, self.edges = stride, edges
        entries = self.places * stride
        if max(entries, self.places * edges) > np.iinfo(np.int32).max:
            raise LoweringError(
                f"{self.places} images in flight with {stride} ops and {edges} edges each; "
                "rule: below 2^31 of each together"
            )
        self.ops = Ops(
            unit=np.zeros(entries, np.int32),
            busy=np.zeros(entries, np.int64),
            latency=np.zeros(entries, np.int64),
            yields=np.zeros(entries, np.bool_),
            first=np.zeros(entries, np.int32),
            successor=np.zeros(self.places * edges, np.int32),
            missing=np.zeros(entries, np.int32),
            ready=np.zeros(entries, np.int64),
            start=np.zeros(entries, np.int64),
            finish=np.zeros(entries, np.int64),
            critical=np.zeros(entries, np.int32),
        )
        self.state = new_state(self.unit_servers, self.places, entries)

    def _grow(self, structure: Structure) -> None:
        """Move all places into larger columns; every op that is written down moves along."""
        ops, state, stride, edges = self.ops, self.state, self.stride, self.edges
        self._make_room(
            max(int((structure.ops + 2) * _HEADROOM), stride),
            max(int(len(structure.successor) * _HEADROOM), edges),
        )

        def moved(entries: Int32s) -> Int32s:
            there = entries >= 0
            places, inside = np.divmod(entries[there], stride)
            entries[there] = places * self.stride + inside
            return entries

        for place in range(self.places if stride else 0):
            old = slice(place * stride, (place + 1) * stride)
            new = slice(place * self.stride, place * self.stride + stride)
            for name in _MOVED:
                getattr(self.ops, name)[new] = getattr(ops, name)[old]
            by = np.int32(place * (self.edges - edges))
            self.ops.first[new] = ops.first[old] + by
            targets = ops.successor[place * edges : (place + 1) * edges]
            at = place * self.edges
            self.ops.successor[at : at + edges] = moved(targets.copy())
            self.state.release[new] = state.release[old]
            for name in ("following", "preceding"):
                links = getattr(state.lists, name)[old].copy()
                getattr(self.state.lists, name)[new] = moved(links)
        self.state.scalars[:] = state.scalars
        for name in ("image", "ends", "end", "unused_servers", "free_at"):
            getattr(self.state, name)[:] = getattr(state, name)
        for name in ("unit", "place", "next_start"):
            getattr(self.state.turns, name)[:] = getattr(state.turns, name)
        for name in ("head", "tail"):
            getattr(self.state.lists, name)[:] = moved(getattr(state.lists, name))
        ending = int(state.scalars[ENDINGS])
        self.state.ended[:ending] = moved(state.ended[:ending])
