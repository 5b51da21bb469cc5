"""The definition of what a program means, in SimPy: every op is a process, every unit a queue.

SimPy handles the events of one cycle in order of (priority, order of scheduling). Everything that
ends an op is NORMAL, also where it is scheduled within the cycle (a join, a latency of 0), and a
unit serves at the later priority SERVE. So a unit sees all ends of a cycle before it chooses, and
what it chooses depends on its own order (ready, op) alone. No op ends in the cycle it starts in,
as each is busy for at least one; hence a choice never comes too early for another unit.
"""

from __future__ import annotations

import heapq
from collections.abc import Generator
from typing import Any

import numpy as np
import simpy

from simulator.program import JOIN, Program, Timeline, validate

SERVE = simpy.events.NORMAL + 1
"""Priority within a cycle: after all that ends in it."""


class Unit:
    """Servers that take, once all ends of a cycle are known, the smallest waiting (ready, op)."""

    def __init__(self, environment: simpy.Environment, servers: int) -> None:
        self._environment = environment
        self._free_servers = servers
        self._waiting: list[tuple[int, int, simpy.Event]] = []

    def request(self, ready: int, op: int) -> simpy.Event:
        """An event that fires when a server takes the op."""
        taken = self._environment.event()
        heapq.heappush(self._waiting, (ready, op, taken))
        self._serve_later()
        return taken

    def release(self) -> None:
        """Gives a server back."""
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
            heapq.heappop(self._waiting)[2].succeed()


def simulate(program: Program) -> Timeline:
    """When each op runs, by SimPy; raises LoweringError if the program breaks a rule."""
    validate(program)
    ops = len(program.unit)
    ready, start, finish = (np.zeros(ops, np.int64) for _ in range(3))
    critical = np.full(ops, -1, np.int32)
    environment = simpy.Environment()
    units = [Unit(environment, servers) for servers in program.unit_servers.tolist()]
    processes: list[simpy.Process] = []

    def run(op: int) -> Generator[simpy.Event, Any, None]:
        predecessors = program.pred[program.pred_ptr[op] : program.pred_ptr[op + 1]].tolist()
        yield environment.all_of([processes[predecessor] for predecessor in predecessors])
        ready[op] = environment.now
        if predecessors:
            critical[op] = min(predecessors, key=lambda other: (-finish[other], other))
        if program.unit[op] == JOIN:
            start[op] = environment.now
        else:
            unit = units[program.unit[op]]
            yield unit.request(environment.now, op)
            start[op] = environment.now
            yield environment.timeout(int(program.busy_cycles[op]))
            unit.release()
            yield environment.timeout(int(program.latency_cycles[op]))
        finish[op] = environment.now

    for op in range(ops):
        processes.append(environment.process(run(op)))
    environment.run()
    return Timeline(ready, start, finish, critical)
