"""The definition of what a program means, in SimPy: every op is a process, every unit a queue.

SimPy handles the events of one cycle in order of (priority, order of scheduling). Everything that
ends an op is NORMAL, also where it is scheduled within the cycle (a join, a latency of 0), and a
unit serves at the later priority SERVE. So a unit sees all ends of a cycle before it chooses, and
what it chooses depends on its own order (yields, ready, image, op) alone. No op ends in the cycle
it starts in, as each is busy for at least one; hence a choice never comes too early for another
unit.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Generator, Sequence
from typing import Any, NamedTuple

import numpy as np
import simpy

from simulator.program import JOIN, Program, Timeline, validate

SERVE = simpy.events.NORMAL + 1
"""Priority within a cycle: after all that ends in it."""


class ServedUnit:
    """Serve the smallest (yields, ready, image, op) once a cycle's ends are known."""

    def __init__(self, environment: simpy.Environment, servers: int) -> None:
        self._environment = environment
        self._free_servers = servers
        self._waiting: list[tuple[bool, int, tuple[int, int], simpy.Event]] = []

    def request(self, yields: bool, ready: int, op: tuple[int, int]) -> simpy.Event:
        """Return an event that fires when a server takes the op (image, op)."""
        taken = self._environment.event()
        heapq.heappush(self._waiting, (yields, ready, op, taken))
        self._serve_later()
        return taken

    def release(self) -> None:
        """Give a server back."""
        self._free_servers += 1
        self._serve_later()

    def _serve_later(self) -> None:
        serve = simpy.Event(self._environment)
        serve.callbacks.append(self._serve)
        serve._ok, serve._value = True, None  # what Event.succeed does, at another priority
        self._environment.schedule(serve, priority=SERVE)

    def _serve(self, _: simpy.Event) -> None:
        while self._free_servers and self._waiting:
            self._free_servers -= 1
            heapq.heappop(self._waiting)[-1].succeed()


def simulate(program: Program) -> Timeline:
    """Return when each op runs, by SimPy; raises LoweringError if the program breaks a rule."""
    return simulate_stream([(program, 0)], places=1)[0].timeline


class Passage(NamedTuple):
    """Describe an image of a stream: its place, its first cycle, and when its ops ran."""

    place: int
    start_cycle: int
    timeline: Timeline


def simulate_stream(
    images: Sequence[tuple[Program, int | None]], places: int, alone: Collection[int] = ()
) -> list[Passage]:
    """Return when each op of each image runs; an image is its program and the cycle of its arrival.

    Images begin in order, each once it has arrived (None: at once) and fewer than `places` others
    are under way; none begins while one of `alone`, by position, is. Raises LoweringError if a
    program breaks a rule.
    """
    for program, _ in images:
        validate(program)
    environment = simpy.Environment()
    free_places = simpy.PriorityStore(environment, places)
    free_places.items = list(range(places))
    servers = images[0][0].unit_servers.tolist() if images else []
    units = [ServedUnit(environment, count) for count in servers]
    passages: list[Passage] = []
    ends: list[simpy.Event] = []

    def door() -> Generator[simpy.Event, Any, None]:
        for image, (program, arrival) in enumerate(images):
            if arrival is not None:
                yield environment.timeout(max(arrival - environment.now, 0))
            for position in [position for position in alone if position < image]:
                yield ends[position]
            place = yield free_places.get()
            run = _Run(environment, units, image, program)
            passages.append(Passage(place, int(environment.now), run.timeline))
            ends.append(environment.process(leaving(run, place)))

    def leaving(run: _Run, place: int) -> Generator[simpy.Event, Any, None]:
        yield environment.all_of(run.processes)
        yield free_places.put(place)

    environment.process(door())
    environment.run()
    return passages


class _Run:
    """An image under way: a process for each of its ops."""

    def __init__(
        self, environment: simpy.Environment, units: list[ServedUnit], image: int, program: Program
    ) -> None:
        self.environment, self.units, self.image, self.program = environment, units, image, program
        ops = len(program.unit)
        ready, start, finish = (np.zeros(ops, np.int64) for _ in range(3))
        self.timeline = Timeline(ready, start, finish, np.full(ops, -1, np.int32))
        self.processes: list[simpy.Process] = []
        for op in range(ops):
            self.processes.append(environment.process(self._op(op)))

    def _op(self, op: int) -> Generator[simpy.Event, Any, None]:
        environment, program = self.environment, self.program
        ready, start, finish, critical = self.timeline
        predecessors = program.pred[program.pred_ptr[op] : program.pred_ptr[op + 1]].tolist()
        yield environment.all_of([self.processes[predecessor] for predecessor in predecessors])
        ready[op] = environment.now
        if predecessors:
            critical[op] = min(predecessors, key=lambda other: (-finish[other], other))
        if program.unit[op] == JOIN:
            start[op] = environment.now
        else:
            unit = self.units[program.unit[op]]
            yields = bool(program.yields[op])
            yield unit.request(yields, environment.now, (self.image, op))
            start[op] = environment.now
            yield environment.timeout(int(program.busy_cycles[op]))
            unit.release()
            yield environment.timeout(int(program.latency_cycles[op]))
        finish[op] = environment.now
