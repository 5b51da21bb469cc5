"""The product's engine: when each op runs, compiled by Numba.

The events of a machine are replayed in time, from one cycle in which something ends to the next.
The machine has places, each for one image at a time, and its units serve the ops of all places. A
program alone is one image in one place (`replay`); `stream.py` puts the next image into a place
that becomes free.

Ops become ready in time order, so the ops waiting for a unit need no heap of their own: they form a
linked list in order of (ready cycle, image, op) as long as those that became ready in the same
cycle are sorted before the unit serves. A unit has two lists: ops that yield wait in the second,
which it serves when the first is empty. The one heap holds what is in flight: one event an op.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Bools, Int32s, Ints
from simulator.config.kernels import kernel, kernel_part
from simulator.program import END, Program, Structure, Timeline

NEVER = np.iinfo(np.int64).max
"""A cycle that does not come."""

_NONE = -1

NOW, FLYING, ENDINGS, CALLS, DONE = range(5)
"""Entries of `State.scalars`."""


class Ops(NamedTuple):
    """The ops of all places: place p has entries p * stride up to (p + 1) * stride.

    The columns are those of a structure, with `first` and `successor` as positions in these
    columns, and the busy cycles; `missing` counts down. `ready`, `start` and `finish` are written.
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


class Flight(NamedTuple):
    """Binary heap of events: in `cycle` an op finishes or, written ~op, only frees its server."""

    cycle: Ints
    event: Int32s


class State(NamedTuple):
    """Where the replay stands between two calls of `advance`.

    Attributes:
        scalars: int64, current cycle and the sizes of what follows.
        image: int64 (places,), number of the image in each place.
        ends: int32 (places,), ops of that image that nothing follows and that have not finished.
        ended: stack of ops that finish in this cycle and whose successors do not know yet.
        done: places whose image ended in this cycle.
        called: units that may have something to serve; `is_called` says so by unit.
        free_servers: by unit.
        head, tail: by list, two a unit; its waiting ops run from head to tail.
        sorted_tail, fresh: by list; the last op already in order, and how many came after it.
        following: by op, the next one in its list.
        batch: room for sorting.
        flight: events to come.
    """

    scalars: Ints
    image: Ints
    ends: Int32s
    ended: Int32s
    done: Int32s
    called: Int32s
    is_called: Bools
    free_servers: Int32s
    head: Int32s
    tail: Int32s
    sorted_tail: Int32s
    fresh: Int32s
    following: Int32s
    batch: Int32s
    flight: Flight


def replay(program: Program) -> Timeline:
    """When each op runs: op for op what `reference.simulate` says, a thousand times faster.

    Raises LoweringError if the program breaks a rule.
    """
    return _replay(Structure.of(program), program.busy_cycles)


def replay_images(structure: Structure, busy_cycles: Iterable[Ints]) -> Iterator[Timeline]:
    """The timelines of images of one structure, each alone on an idle machine.

    `busy_cycles`: int64 (ops,) of each image. Raises LoweringError if they break a rule.
    """
    for busy in busy_cycles:
        structure.check_busy(busy)
        yield _replay(structure, busy)


def _replay(structure: Structure, busy_cycles: Ints) -> Timeline:
    """The timeline of a checked structure with checked busy cycles."""
    ops = structure.ops
    ready, start, finish = (np.empty(ops, np.int64) for _ in range(3))
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
    )
    state = new_state(structure.unit_servers, 1, ops + 1)
    state.ends[0] = structure.ends
    state.ended[0] = ops
    state.scalars[ENDINGS] = 1
    advance(columns, state, NEVER, ops + 1)
    critical = np.empty(len(finish), np.int32)
    _find_critical(structure.pred_ptr, structure.pred, finish, critical)
    return Timeline(ready, start, finish, critical)


def new_state(unit_servers: Int32s, places: int, entries: int) -> State:
    """An idle machine at cycle 0, with room for so many entries of ops."""
    units = len(unit_servers)
    return State(
        scalars=np.zeros(5, np.int64),
        image=np.zeros(places, np.int64),
        ends=np.zeros(places, np.int32),
        ended=np.empty(entries, np.int32),
        done=np.empty(places, np.int32),
        called=np.empty(units, np.int32),
        is_called=np.zeros(units, np.bool_),
        free_servers=unit_servers.copy(),
        head=np.full(2 * units, _NONE, np.int32),
        tail=np.full(2 * units, _NONE, np.int32),
        sorted_tail=np.full(2 * units, _NONE, np.int32),
        fresh=np.zeros(2 * units, np.int32),
        following=np.zeros(entries, np.int32),
        batch=np.empty(entries, np.int32),
        flight=Flight(np.empty(entries, np.int64), np.empty(entries, np.int32)),
    )


@kernel
def _find_critical(pred_ptr: Ints, pred: Int32s, finish: Ints, critical: Int32s) -> None:
    """Finds the predecessor of each op that finishes last, the smallest among equals; or -1."""
    for op in range(len(finish)):
        last, cycle = -1, np.int64(0)
        for edge in range(pred_ptr[op], pred_ptr[op + 1]):
            other = pred[edge]
            if finish[other] > cycle or last < 0 or (finish[other] == cycle and other < last):
                last, cycle = other, finish[other]
        critical[op] = last


@kernel
def advance(ops: Ops, state: State, until: int, stride: int) -> None:
    """Replays up to the cycle `until`, or to the first one in which an image ends.

    Stops when all that ends in this cycle is applied, but nothing is served: an image that begins
    now competes now. Without anything left to do it stops too.
    (One long loop, and columns bound to names before it: Numba counts the references of arrays that
    a call takes, which would cost more than the work itself.)
    """
    unit, busy, latency, yields = ops.unit, ops.busy, ops.latency, ops.yields
    first, successor = ops.first, ops.successor
    missing, ready, start, finish = ops.missing, ops.ready, ops.start, ops.finish
    ends, ended, done = state.ends, state.ended, state.done
    called, is_called = state.called, state.is_called
    free_servers, head, tail = state.free_servers, state.head, state.tail
    sorted_tail, fresh, following = state.sorted_tail, state.fresh, state.following
    flight = state.flight
    now, flying, endings, calls, dones = state.scalars
    while True:
        while endings > 0:
            endings -= 1
            ending = ended[endings]
            for edge in range(first[ending], first[ending + 1]):
                op = successor[edge]
                if op == END:
                    place = ending // stride
                    ends[place] -= 1
                    if ends[place] == 0:
                        done[dones] = place
                        dones += 1
                    continue
                missing[op] -= 1
                if missing[op] > 0:
                    continue
                ready[op] = now
                u = unit[op]
                if u < 0:
                    start[op] = finish[op] = now
                    ended[endings] = op
                    endings += 1
                    continue
                waiting = 2 * u + yields[op]
                if tail[waiting] < 0:
                    head[waiting] = op
                else:
                    following[tail[waiting]] = op
                tail[waiting] = op
                fresh[waiting] += 1
                if not is_called[u]:
                    is_called[u] = True
                    called[calls] = u
                    calls += 1
        if flying > 0 and flight.cycle[0] == now:
            event = flight.event[0]
            op = event if event >= 0 else ~event
            if event < 0:
                _replace_next(flight, flying, finish[op], np.int32(op))
            else:
                flying -= 1
                _replace_next(flight, flying, flight.cycle[flying], flight.event[flying])
                ended[0] = op
                endings = 1
            if event < 0 or latency[op] == 0:
                u = unit[op]
                free_servers[u] += 1
                if not is_called[u] and max(tail[2 * u], tail[2 * u + 1]) >= 0:
                    is_called[u] = True
                    called[calls] = u
                    calls += 1
            continue
        if dones > 0 or now == until:
            break
        while calls > 0:
            calls -= 1
            u = called[calls]
            is_called[u] = False
            for waiting in range(2 * u, 2 * u + 2):
                if fresh[waiting] > 1:
                    _sort_fresh(state, waiting, stride)
                fresh[waiting] = 0
                sorted_tail[waiting] = tail[waiting]
            while free_servers[u] > 0 and max(tail[2 * u], tail[2 * u + 1]) >= 0:
                waiting = 2 * u if tail[2 * u] >= 0 else 2 * u + 1
                op = head[waiting]
                if op == tail[waiting]:
                    tail[waiting] = sorted_tail[waiting] = -1
                else:
                    head[waiting] = following[op]
                free_servers[u] -= 1
                start[op] = now
                finish[op] = now + busy[op] + latency[op]
                _push(flight, flying, now + busy[op], op if latency[op] == 0 else ~op)
                flying += 1
        if flying == 0 and until == NEVER:
            break
        now = until if flying == 0 else min(flight.cycle[0], until)
    scalars = state.scalars  # one by one: for slices Numba would bring its strings into every run
    scalars[0], scalars[1], scalars[2] = now, flying, endings
    scalars[3], scalars[4] = calls, dones


@kernel_part
def _sort_fresh(state: State, waiting: int, stride: int) -> None:
    """Puts the ops of a list that became ready in this cycle in order of (image, op)."""
    batch, following, image = state.batch, state.following, state.image
    before, count = state.sorted_tail[waiting], state.fresh[waiting]
    op = state.head[waiting] if before < 0 else following[before]
    for place in range(count):
        batch[place] = op
        op = following[op]
    _sort(batch, count, image, stride)
    if before < 0:
        state.head[waiting] = batch[0]
    else:
        following[before] = batch[0]
    for place in range(1, count):
        following[batch[place - 1]] = batch[place]
    state.tail[waiting] = batch[count - 1]


@kernel_part
def _sort(items: Int32s, high: int, image: Ints, stride: int) -> None:
    """Shell sort of the first items by (image, op): in place, quick where little is out of order.

    The image of an op is that of its place; within a place the op decides.
    """
    gap = 1
    while 3 * gap < high:
        gap = 3 * gap + 1
    while gap > 0:
        for right in range(gap, high):
            item, place = items[right], right
            while place >= gap:
                other = items[place - gap]
                if image[other // stride] == image[item // stride]:
                    if other <= item:
                        break
                elif image[other // stride] < image[item // stride]:
                    break
                items[place] = other
                place -= gap
            items[place] = item
        gap //= 3


@kernel_part
def _push(flight: Flight, size: int, cycle: int, event: int) -> None:
    """Adds an event to a heap of `size` events."""
    place = size
    while place > 0:
        above = (place - 1) >> 1
        if flight.cycle[above] <= cycle:
            break
        flight.cycle[place], flight.event[place] = flight.cycle[above], flight.event[above]
        place = above
    flight.cycle[place], flight.event[place] = cycle, event


@kernel_part
def _replace_next(flight: Flight, size: int, cycle: int, event: np.int32) -> None:
    """Puts an event in the place of the next one, in a heap of `size` events."""
    place = 0
    while 2 * place + 1 < size:
        below = 2 * place + 1
        if below + 1 < size and flight.cycle[below + 1] < flight.cycle[below]:
            below += 1
        if flight.cycle[below] >= cycle:
            break
        flight.cycle[place], flight.event[place] = flight.cycle[below], flight.event[below]
        place = below
    flight.cycle[place], flight.event[place] = cycle, event
