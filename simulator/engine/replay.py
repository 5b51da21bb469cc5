"""The product's engine: when each op runs, compiled by Numba.

Ops are started in the order of their start cycles. An op that starts has its finish, and an op
whose predecessors all have started has its ready cycle, often before that cycle has come: so
nothing has to happen when an op ends. Each unit has a next start, the first cycle in which a server
is free and an op is ready; the unit with the smallest is served, an op at a time. As each op is
busy for a cycle at least, nothing that starts in a cycle makes another op ready in that cycle.

The machine has places, each for one image at a time, and its units serve the ops of all places. A
program alone is one image in one place (`replay`); `stream.py` puts the next image into a place
that becomes free.

A unit's ops wait in two lists in order of (ready cycle, image, op): ops that yield are in the
second, which it serves when nothing in the first is ready.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Bools, Int32s, Ints
from simulator.config.kernels import kernel, kernel_part
from simulator.engine.follow import follow, is_plain
from simulator.engine.queues import (
    NONE,
    Lists,
    Turns,
    bring_forward,
    insert_op,
    put_back,
    take_first,
)
from simulator.program import END, Program, Structure, Timeline

NEVER = np.iinfo(np.int64).max
"""A cycle that does not come."""

NOW, ENDINGS, DONE = range(3)
"""Entries of `State.scalars`."""


class Ops(NamedTuple):
    """Hold the ops of all places: place p has entries p * stride up to (p + 1) * stride.

    The columns are those of a structure, with `first` and `successor` as positions in these
    columns, and the busy cycles; `missing` counts down. The rest is written: `ready` begins at -1,
    and the entry behind an image's ops is its beginning, which is its `finish`.
    """

    unit: Int32s
    busy: Ints
    latency: Ints
    yields: Bools
    first: Int32s
    successor: Int32s
    missing: Int32s
    ready: Ints
    start: Ints
    finish: Ints
    critical: Int32s


class State(NamedTuple):
    """Hold the state of the replay between two calls of `advance`.

    Attributes:
        scalars: int64, current cycle and the sizes of `ended` and `done`.
        image: int64 (places,), number of the image in each place.
        ends: int32 (places,), ops of that image that nothing follows and that have not started;
            -1 in an empty place.
        end: int64 (places,), the latest finish of those that have.
        ended: stack of ops whose finish is known and whose successors do not know yet.
        done: places whose image ended in this cycle.
        unused_servers: by unit, servers without an op in a list; -1 where there is one alone.
        free_at: int64, by unit, first cycle in which a server is free.
        release: int64, by op, when it frees its server, in a unit with several.
        order: ops in the order in which they begin, as many as there is room for.
        lists: ops that wait, and those that the servers of such a unit took last.
        turns: units by their next start.
    """

    scalars: Ints
    image: Ints
    ends: Int32s
    end: Ints
    ended: Int32s
    done: Int32s
    unused_servers: Int32s
    free_at: Ints
    release: Ints
    order: Int32s
    lists: Lists
    turns: Turns


def replay(program: Program) -> Timeline:
    """Return when each op runs: op for op what `reference.simulate` says, a thousand times faster.

    Raises LoweringError if the program breaks a rule.
    """
    return _replay(Structure.of(program), program.busy_cycles)


def replay_images(structure: Structure, busy_cycles: Iterable[Ints]) -> Iterator[Timeline]:
    """Yield the timelines of images of one structure, each alone on an idle machine.

    `busy_cycles`: int64 (ops,) of each image. Raises LoweringError if they break a rule.
    """
    for busy in busy_cycles:
        structure.check_busy(busy)
        yield _replay(structure, busy)


def _replay(structure: Structure, busy_cycles: Ints) -> Timeline:
    """The timeline of a checked structure with checked busy cycles.

    Ops often begin in the order of the image before, and then that is the quick way to their times.
    """
    ops, before = structure.ops, structure.order.ops
    if before is not None:
        followed = follow(structure, busy_cycles, before)
        if followed is not None:
            return followed
    ready, start, finish = np.full(ops, NONE), np.empty(ops, np.int64), np.zeros(ops + 1, np.int64)
    critical, order = np.empty(ops, np.int32), np.empty(ops, np.int32)
    columns = Ops(
        structure.unit,
        busy_cycles,
        structure.latency_cycles,
        structure.yields,
        structure.first,
        structure.successor,
        structure.missing.copy(),
        ready,
        start,
        finish,
        critical,
    )
    state = new_state(structure.unit_servers, 1, ops + 1)._replace(order=order)
    state.ends[0] = structure.ends
    state.ended[0] = ops
    state.scalars[ENDINGS] = 1
    advance(columns, state, NEVER, ops + 1)
    begun = structure.successor[structure.first[ops] : structure.first[ops + 1]]
    critical[begun[begun != END]] = NONE
    if is_plain(structure):
        structure.order.ops = order
    return Timeline(ready, start, finish[:ops], critical)


def new_state(unit_servers: Int32s, places: int, entries: int) -> State:
    """Return an idle machine at cycle 0, with room for so many entries of ops."""
    units = len(unit_servers)
    lists = (np.full(size, NONE, np.int32) for size in (3 * units, 3 * units, entries, entries))
    unit = np.arange(units, dtype=np.int32)
    return State(
        scalars=np.zeros(3, np.int64),
        image=np.zeros(places, np.int64),
        ends=np.full(places, NONE, np.int32),
        end=np.zeros(places, np.int64),
        ended=np.empty(entries, np.int32),
        done=np.empty(places, np.int32),
        unused_servers=np.where(unit_servers == 1, np.int32(NONE), unit_servers),
        free_at=np.zeros(units, np.int64),
        release=np.empty(entries, np.int64),
        order=np.empty(0, np.int32),
        lists=Lists(*lists),
        turns=Turns(unit, unit.copy(), np.full(units, NEVER)),
    )


@kernel
def advance(ops: Ops, state: State, until: int, stride: int) -> None:
    """Replay up to the cycle `until`, or to the first one in which an image ends.

    Nothing is started in that cycle: an image that begins now competes now. Without anything left
    to do it stops too.
    """
    unit, yields, first, successor = ops.unit, ops.yields, ops.first, ops.successor
    missing, ready, finish, critical = ops.missing, ops.ready, ops.finish, ops.critical
    ends, end, ended, turns = state.ends, state.end, state.ended, state.turns
    now, endings, stop = state.scalars[NOW], state.scalars[ENDINGS], until
    order, begun = state.order, 0
    for place in range(len(ends)):
        if ends[place] == 0:
            stop = min(stop, end[place])
    while True:
        while endings > 0:
            endings -= 1
            ending = ended[endings]
            cycle = finish[ending]
            for edge in range(first[ending], first[ending + 1]):
                op = successor[edge]
                if op == END:
                    place = ending // stride
                    ends[place] -= 1
                    end[place] = max(end[place], cycle)
                    if ends[place] == 0:
                        stop = min(stop, end[place])
                    continue
                if cycle > ready[op] or (cycle == ready[op] and ending < critical[op]):
                    ready[op] = cycle
                    critical[op] = ending
                missing[op] -= 1
                if missing[op] > 0:
                    continue
                u = unit[op]
                if u < 0:
                    ops.start[op] = finish[op] = ready[op]
                    if begun < len(order):
                        order[begun] = op
                        begun += 1
                    ended[endings] = op
                    endings += 1
                    continue
                insert_op(state.lists, 3 * u + yields[op], op, ready, state.image, stride)
                at = max(state.free_at[u], ready[op])
                if at < turns.next_start[u]:
                    turns.next_start[u] = at
                    bring_forward(turns, u)
        if len(turns.unit) == 0 or turns.next_start[turns.unit[0]] >= stop:
            break
        u = turns.unit[0]
        now = turns.next_start[u]
        ended[0] = _start(ops, state, u, now, stride)
        if begun < len(order):
            order[begun] = ended[0]
            begun += 1
        endings = 1
        put_back(turns, u)
    state.scalars[NOW] = now if stop == NEVER else stop
    state.scalars[ENDINGS] = endings
    for place in range(len(ends)):
        if ends[place] == 0 and end[place] == stop:
            ends[place] = NONE
            state.done[state.scalars[DONE]] = place
            state.scalars[DONE] += 1
            _release_all(state, stop)


@kernel_part
def _start(ops: Ops, state: State, u: int, now: int, stride: int) -> int:
    """Start and return the op whose turn it is on a unit; finds when the next one starts."""
    lists, ready, free_at = state.lists, ops.ready, state.free_at
    waiting = 3 * u
    if lists.head[waiting] < 0 or ready[lists.head[waiting]] > now:
        waiting += 1
    op = take_first(lists, waiting)
    release = now + ops.busy[op]
    ops.start[op] = now
    ops.finish[op] = release + ops.latency[op]
    if state.unused_servers[u] < 0:
        free_at[u] = release
    else:
        state.release[op] = release
        if state.unused_servers[u] > 0:
            state.unused_servers[u] -= 1
        else:
            take_first(lists, 3 * u + 2)
        insert_op(lists, 3 * u + 2, op, state.release, state.image, stride)
        if state.unused_servers[u] == 0:
            free_at[u] = state.release[lists.head[3 * u + 2]]
    own, shy = lists.head[3 * u], lists.head[3 * u + 1]
    earliest = NEVER if own < 0 else ready[own]
    if shy >= 0:
        earliest = min(earliest, ready[shy])
    state.turns.next_start[u] = max(earliest, free_at[u])
    return op


@kernel_part
def _release_all(state: State, now: int) -> None:
    """Take out of the lists by release what was released: another image may have its entries."""
    for u in range(len(state.free_at)):
        first = state.lists.head[3 * u + 2]
        while first >= 0 and state.release[first] <= now:
            take_first(state.lists, 3 * u + 2)
            state.unused_servers[u] += 1
            state.free_at[u] = now
            first = state.lists.head[3 * u + 2]
