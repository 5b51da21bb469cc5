"""The product's engine: the timeline of a program, compiled by Numba.

Two ways lead to the same timeline. Where every unit serves its ops in program order, one pass over
the program suffices (`_in_program_order`): it supposes so, and stops at the first op that overtakes
another. Else the events are replayed in time (`_in_time_order`), some six times slower.

Ops become ready in time order, so the ops waiting for a unit need no heap of their own: they form a
queue in order of (ready cycle, op) as long as those that became ready in the same cycle are sorted
by op before the unit serves. The one heap holds what is in flight, at most one event an op.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from simulator.engine.program import Program, Timeline, validate

_MANY_SERVERS = 64
"""From here on, searching all servers of a unit costs more than replaying the events."""


def replay(program: Program) -> Timeline:
    """When each op runs: op for op what `reference.simulate` says, some hundred times faster.

    Raises LoweringError if the program breaks a rule.
    """
    validate(program)
    ops = len(program.unit)
    timeline = Timeline(
        ready=np.zeros(ops, np.int64),
        start=np.empty(ops, np.int64),
        finish=np.empty(ops, np.int64),
        critical=np.empty(ops, np.int32),
    )
    if not _in_program_order(program, timeline):
        timeline.ready[:] = 0
        _in_time_order(program, timeline)
    return timeline


@njit(cache=True, nogil=True)
def _latest(op: int, program: Program, finish: npt.NDArray[np.int64]) -> tuple[int, int]:
    """The predecessor that finishes last, the smallest among equals, and its finish; or -1, 0."""
    critical, ready = -1, np.int64(0)
    for edge in range(program.pred_ptr[op], program.pred_ptr[op + 1]):
        other = program.pred[edge]
        if finish[other] > ready or critical < 0 or (finish[other] == ready and other < critical):
            critical, ready = other, finish[other]
    return critical, ready


# --------------------------------------------------------------------------- in program order


@njit(cache=True, nogil=True)
def _in_program_order(program: Program, timeline: Timeline) -> bool:
    """Fills the timeline if no op of a unit becomes ready before an earlier one; else False.

    Then (ready, op) and op order the ops of a unit alike, so each takes, in program order, the
    server that is free first.
    """
    servers = np.minimum(program.unit_servers, _MANY_SERVERS)
    if np.any(servers == _MANY_SERVERS):
        return False
    newest_ready = np.zeros(len(servers), np.int64)
    free_at = np.zeros((len(servers), _MANY_SERVERS), np.int64)
    for op in range(len(program.unit)):
        critical, ready = _latest(op, program, timeline.finish)
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


# --------------------------------------------------------------------------- in time order


class _Flight(NamedTuple):
    """Binary heap of events: in `cycle` an op finishes, or, written ~op, only frees its server."""

    cycle: npt.NDArray[np.int64]
    event: npt.NDArray[np.int32]


@njit(cache=True, nogil=True)
def _in_time_order(program: Program, timeline: Timeline) -> None:
    """Fills the timeline from one cycle in which something ends to the next.

    Unit u serves waiting[head[u]:tail[u]] in this order; from batch[u] on lie the ops that became
    ready in this cycle, yet to be sorted. `ended` and `called` are stacks: ops that finish in this
    cycle and whose successors do not know yet; units that got an op or a server in this cycle.
    One long loop, because Numba counts references of every array a call takes.
    """
    unit, busy, latency = program.unit, program.busy_cycles, program.latency_cycles
    ready, start, finish = timeline.ready, timeline.start, timeline.finish
    first, successor, missing = _successors(program)
    head, waiting, ended = _places(program)
    batch, tail, free_servers = head.copy(), head.copy(), program.unit_servers.copy()
    called = np.empty(len(head) + len(unit), np.int32)
    flight = _Flight(np.empty(len(unit) + 1, np.int64), np.empty(len(unit) + 1, np.int32))
    ended[0] = len(unit)
    now, flying, endings, calls = np.int64(0), 0, 1, 0
    while True:
        while endings > 0:
            endings -= 1
            for edge in range(first[ended[endings]], first[ended[endings] + 1]):
                op = successor[edge]
                missing[op] -= 1
                if missing[op] > 0:
                    continue
                ready[op] = now
                if unit[op] < 0:
                    start[op] = finish[op] = now
                    ended[endings] = op
                    endings += 1
                else:
                    u = unit[op]
                    if tail[u] == batch[u]:
                        called[calls] = u
                        calls += 1
                    waiting[tail[u]] = op
                    tail[u] += 1
        if flying > 0 and flight.cycle[0] == now:
            event = flight.event[0]
            op = event if event >= 0 else ~event
            if event >= 0:
                flying -= 1
                _replace_next(flight, flying, flight.cycle[flying], flight.event[flying])
                ended[0] = op
                endings = 1
            else:
                _replace_next(flight, flying, finish[op], op)
            if event < 0 or latency[op] == 0:
                u = unit[op]
                free_servers[u] += 1
                if head[u] < tail[u] and tail[u] == batch[u]:
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
            return
        now = flight.cycle[0]


@njit(cache=True, nogil=True)
def _successors(program: Program):
    """The edges turned round by counting sort; ops without predecessors follow a last, virtual op.

    Returns first, successor, missing: the successors of op, ascending, are
    successor[first[op]:first[op + 1]], and op waits for missing[op] of its predecessors.
    """
    ops, pred_ptr = len(program.unit), program.pred_ptr
    missing = np.empty(ops, np.int32)
    first = np.zeros(ops + 3, np.int32)
    for op in range(ops):
        missing[op] = pred_ptr[op + 1] - pred_ptr[op]
        for edge in range(pred_ptr[op], pred_ptr[op + 1]):
            first[program.pred[edge] + 2] += 1
        if missing[op] == 0:
            missing[op] = 1
            first[ops + 2] += 1
    for op in range(ops + 1):
        first[op + 2] += first[op + 1]
    successor = np.empty(first[ops + 2], np.int32)
    for op in range(ops):
        for edge in range(pred_ptr[op], pred_ptr[op + 1]):
            place = program.pred[edge] + 1
            successor[first[place]] = op
            first[place] += 1
        if pred_ptr[op] == pred_ptr[op + 1]:
            successor[first[ops + 1]] = op
            first[ops + 1] += 1
    return first, successor, missing


@njit(cache=True, nogil=True)
def _places(program: Program):
    """Places for all ops of a unit, so that its queue only moves on, and for all joins."""
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
    """Puts an event in the place of the next one."""
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
