"""The product's engine: the timeline of a program, compiled by Numba.

Two ways lead to the same timeline. Where every unit serves its ops in program order, one pass over
the program suffices (`_in_program_order`); it stops at the first op that overtakes another. Else
the events are replayed in time (`_in_time_order`), which takes about four times as long.

Ops become ready in time order, so the ops waiting for a unit need no heap of their own: they form a
queue in order of (ready cycle, op) as long as those that became ready in the same cycle are sorted
by op before the unit serves. The one heap holds what is in flight, at most one event an op.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from simulator.program import Program, Timeline, validate

_MANY_SERVERS = 32
"""From here on, searching the servers of a unit may take longer than replaying the events."""


class _Flight(NamedTuple):
    """Binary heap of events: in `cycle` an op finishes or, written ~op, only frees its server."""

    cycle: npt.NDArray[np.int64]
    event: npt.NDArray[np.int32]


def replay(program: Program) -> Timeline:
    """When each op runs: op for op what `reference.simulate` says, a thousand times faster.

    Raises LoweringError if the program breaks a rule.
    """
    validate(program)
    ops = len(program.unit)
    timeline = Timeline(
        ready=np.empty(ops, np.int64),
        start=np.empty(ops, np.int64),
        finish=np.empty(ops, np.int64),
        critical=np.empty(ops, np.int32),
    )
    if not _in_program_order(program, timeline):
        _in_time_order(program, timeline)
    return timeline


@njit(cache=True, nogil=True)
def _in_program_order(program: Program, timeline: Timeline) -> bool:
    """Fills the timeline if no op of a unit becomes ready before an earlier one; else False.

    Then (ready, op) and op order the ops of a unit alike, so each op takes, in program order, the
    server that is free first.
    """
    pred_ptr, pred, finish = program.pred_ptr, program.pred, timeline.finish
    servers = np.minimum(program.unit_servers, _MANY_SERVERS)
    if np.any(servers == _MANY_SERVERS):
        return False
    newest_ready = np.zeros(len(servers), np.int64)
    free_at = np.zeros((len(servers), _MANY_SERVERS), np.int64)
    for op in range(len(program.unit)):
        critical, ready = _last_predecessor(op, pred_ptr, pred, finish)
        start = ready
        unit = program.unit[op]
        if unit >= 0:
            if ready < newest_ready[unit]:
                return False
            newest_ready[unit] = ready
            server = 0
            for other in range(1, servers[unit]):
                if free_at[unit, other] < free_at[unit, server]:
                    server = other
            start = max(ready, free_at[unit, server])
            free_at[unit, server] = start + program.busy_cycles[op]
        timeline.ready[op] = ready
        timeline.start[op] = start
        timeline.finish[op] = start + program.busy_cycles[op] + program.latency_cycles[op]
        timeline.critical[op] = critical
    return True


@njit(cache=True, nogil=True)
def _last_predecessor(
    op: int,
    pred_ptr: npt.NDArray[np.int64],
    pred: npt.NDArray[np.int32],
    finish: npt.NDArray[np.int64],
) -> tuple[int, np.int64]:
    """The predecessor that finishes last, the smallest among equals, and when; or -1 and 0."""
    last, cycle = -1, np.int64(0)
    for edge in range(pred_ptr[op], pred_ptr[op + 1]):
        other = pred[edge]
        if finish[other] > cycle or last < 0 or (finish[other] == cycle and other < last):
            last, cycle = other, finish[other]
    return last, cycle


@njit(cache=True, nogil=True)
def _in_time_order(program: Program, timeline: Timeline) -> None:
    """Fills the timeline, from one cycle in which something ends to the next.

    Unit u serves waiting[head[u]:tail[u]] in this order; from batch[u] on lie the ops that became
    ready in this cycle, yet to be sorted. `ended` and `called` are stacks: ops that finish in this
    cycle and whose successors do not know yet; units that may have something to serve. A unit is
    called for its first new op and for a server it gets back while older ops wait.
    (One long loop, and columns bound to names before it: Numba counts the references of arrays that
    a call takes, which would cost more than the work itself.)
    """
    unit, busy, latency = program.unit, program.busy_cycles, program.latency_cycles
    ready, start, finish = timeline.ready, timeline.start, timeline.finish
    first, successor, missing = _successors(program)
    head, waiting, ended = _queues(program)
    batch, tail, free_servers = head.copy(), head.copy(), program.unit_servers.copy()
    called = np.empty(len(head) + len(unit), np.int32)
    flight = _Flight(np.empty(len(unit), np.int64), np.empty(len(unit), np.int32))
    ended[0] = len(unit)  # the virtual op before all others
    now, endings, calls, flying = np.int64(0), 1, 0, 0
    while True:
        while endings > 0:
            endings -= 1
            for edge in range(first[ended[endings]], first[ended[endings] + 1]):
                op = successor[edge]
                missing[op] -= 1
                if missing[op] > 0:
                    continue
                ready[op] = now
                u = unit[op]
                if u < 0:
                    start[op] = finish[op] = now
                    ended[endings] = op
                    endings += 1
                else:
                    if tail[u] == batch[u]:
                        called[calls] = u
                        calls += 1
                    waiting[tail[u]] = op
                    tail[u] += 1
        if flying > 0 and flight.cycle[0] == now:
            event = flight.event[0]
            op = event if event >= 0 else ~event
            if event < 0:
                _replace_next(flight, flying, finish[op], op)
            else:
                flying -= 1
                _replace_next(flight, flying, flight.cycle[flying], flight.event[flying])
                ended[0] = op
                endings = 1
            if event < 0 or latency[op] == 0:
                u = unit[op]
                free_servers[u] += 1
                if head[u] < batch[u] and batch[u] == tail[u]:
                    called[calls] = u
                    calls += 1
            continue
        while calls > 0:
            calls -= 1
            u = called[calls]
            if tail[u] - batch[u] > 1:
                _sort(waiting, batch[u], tail[u])
            batch[u] = tail[u]
            while free_servers[u] > 0 and head[u] < tail[u]:
                op = waiting[head[u]]
                head[u] += 1
                free_servers[u] -= 1
                start[op] = now
                finish[op] = now + busy[op] + latency[op]
                _push(flight, flying, now + busy[op], op if latency[op] == 0 else ~op)
                flying += 1
        if flying == 0:
            break
        now = flight.cycle[0]
    pred_ptr, pred = program.pred_ptr, program.pred
    for op in range(len(unit)):
        timeline.critical[op], _ = _last_predecessor(op, pred_ptr, pred, finish)


@njit(cache=True, nogil=True)
def _successors(
    program: Program,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """The edges turned round by counting sort; ops without predecessors follow a virtual op n.

    Returns first, successor and missing: the successors of an op, ascending, are
    successor[first[op]:first[op + 1]], and missing[op] is the number of its predecessors.
    """
    ops, pred_ptr = len(program.unit), program.pred_ptr
    missing = np.empty(ops, np.int32)
    first = np.zeros(ops + 3, np.int32)
    for op in range(ops):
        missing[op] = max(pred_ptr[op + 1] - pred_ptr[op], 1)
        if pred_ptr[op] == pred_ptr[op + 1]:
            first[ops + 2] += 1
        for edge in range(pred_ptr[op], pred_ptr[op + 1]):
            first[program.pred[edge] + 2] += 1
    for op in range(ops + 1):
        first[op + 2] += first[op + 1]
    successor = np.empty(first[ops + 2], np.int32)
    for op in range(ops):
        if pred_ptr[op] == pred_ptr[op + 1]:
            successor[first[ops + 1]] = op
            first[ops + 1] += 1
        for edge in range(pred_ptr[op], pred_ptr[op + 1]):
            place = program.pred[edge] + 1
            successor[first[place]] = op
            first[place] += 1
    return first, successor, missing


@njit(cache=True, nogil=True)
def _queues(
    program: Program,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Empty queues: where each unit's begins, room for all ops on units, room for all joins."""
    ops_on = np.zeros(len(program.unit_servers) + 1, np.int32)  # the first entry counts joins
    for unit in program.unit:
        ops_on[unit + 1] += 1
    head = np.empty(len(program.unit_servers), np.int32)
    total = 0
    for unit in range(len(head)):
        head[unit] = total
        total += ops_on[unit + 1]
    return head, np.empty(total, np.int32), np.empty(ops_on[0] + 1, np.int32)


@njit(cache=True, nogil=True)
def _push(flight: _Flight, size: int, cycle: int, event: int) -> None:
    """Adds an event to a heap of `size` events."""
    place = size
    while place > 0:
        above = (place - 1) >> 1
        if flight.cycle[above] <= cycle:
            break
        flight.cycle[place], flight.event[place] = flight.cycle[above], flight.event[above]
        place = above
    flight.cycle[place], flight.event[place] = cycle, event


@njit(cache=True, nogil=True)
def _replace_next(flight: _Flight, size: int, cycle: int, event: int) -> None:
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


@njit(cache=True, nogil=True)
def _sort(items: npt.NDArray[np.int32], low: int, high: int) -> None:
    """Shell sort of items[low:high]: in place, and quick where little is out of order."""
    gap = 1
    while 3 * gap < high - low:
        gap = 3 * gap + 1
    while gap > 0:
        for right in range(low + gap, high):
            item, place = items[right], right
            while place - gap >= low and items[place - gap] > item:
                items[place] = items[place - gap]
                place -= gap
            items[place] = item
        gap //= 3
