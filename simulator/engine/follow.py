"""Replays an image in the order in which one of the same structure began its ops.

Images of a structure differ in cycles alone, and often no unit takes two ops the other way round.
One pass in a given order, ops behind their predecessors, finds all times. They are those of the
definition if each unit took its ops in order of (ready cycle, op): with one server and without ops
that yield this order decides which is served.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Bools, Int32s, Ints
from simulator.config.kernels import kernel
from simulator.program import Structure, Timeline


class _Units(NamedTuple):
    """By unit, int64: when it is free; ready cycle and number of the op that it took last."""

    free_at: Ints
    ready: Ints
    op: Ints


def is_plain(structure: Structure) -> bool:
    """Return whether the order of a unit's ops is that of (ready cycle, op)."""
    return bool((structure.unit_servers == 1).all()) and not structure.yields.any()


def follow(structure: Structure, busy_cycles: Ints, order: Int32s) -> Timeline | None:
    """Return the timeline of a plain structure; None if its ops begin in another order."""
    ops, units = structure.ops, len(structure.unit_servers)
    ready, start, finish = (np.empty(ops, np.int64) for _ in range(3))
    found = Timeline(ready, start, finish, np.empty(ops, np.int32))
    last = _Units(np.zeros(units, np.int64), np.zeros(units, np.int64), np.full(units, -1))
    return found if _follow(structure[:5], busy_cycles, order, last, found) else None


@kernel
def _follow(
    columns: tuple[Int32s, Ints, Bools, Ints, Int32s],
    busy: Ints,
    order: Int32s,
    last: _Units,
    found: Timeline,
) -> bool:
    """Find the times of all ops; false as soon as a unit would take an op before the last one."""
    unit, latency, _, pred_ptr, pred = columns
    ready, start, finish, critical = found
    for op in order:
        cycle, latest = np.int64(0), np.int32(-1)
        for edge in range(pred_ptr[op], pred_ptr[op + 1]):
            other = pred[edge]
            if latest < 0 or finish[other] > cycle or (finish[other] == cycle and other < latest):
                cycle, latest = finish[other], other
        ready[op], critical[op] = cycle, latest
        u = unit[op]
        if u < 0:
            start[op] = finish[op] = cycle
            continue
        if cycle < last.ready[u] or (cycle == last.ready[u] and op < last.op[u]):
            return False
        start[op] = max(cycle, last.free_at[u])
        last.ready[u], last.op[u], last.free_at[u] = cycle, op, start[op] + busy[op]
        finish[op] = last.free_at[u] + latency[op]
    return True
