"""What an idle unit waited for: its idle cycles, divided by cause.

A gap in a unit's work ends with an op that had to wait for its last predecessor (`critical`), which
had to wait for its own, and so on. Walking this chain back from the end of the gap, the cycles from
each op's ready to its finish, queueing, execution and latency alike, belong to that op's category.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.config.arrays import Int32s, Ints
from simulator.config.kernels import kernel, kernel_part
from simulator.errors import LoweringError
from simulator.program import JOIN, Program, Timeline


def stalls(
    program: Program, timeline: Timeline, category: Int32s, unit: int, categories: int
) -> Ints:
    """Return the idle cycles of a unit with one server, from cycle 0 to the makespan, by category.

    Args:
        program, timeline: a program and what an engine made of it.
        category: int32 (n,), category of each op, 0 to categories - 1; that of a join is not read.
        unit: index of the unit.
        categories: how many there are.

    Returns int64 (categories + 1,), idle cycles; the last entry holds what no chain explains, which
    is 0 for the timeline of an engine. The sum is the makespan less the unit's busy cycles.
    The cycles after the unit's last op belong to the chain of the op that finishes last, the
    smallest among equals. Raises LoweringError for a unit or a category that is not there.
    """
    _check(program, timeline, category, unit, categories)
    served = np.flatnonzero(program.unit == unit)
    served = served[np.argsort(timeline.start[served], kind="stable")]
    idle: Ints = np.zeros(categories + 1, np.int64)
    last = np.int64(timeline.finish.argmax() if len(timeline.finish) else JOIN)
    _add_idle(program, timeline, category, served, last, idle)
    return idle


def gaps(
    program: Program, timeline: Timeline, category: Int32s, unit: int
) -> Iterator[tuple[int, int, int]]:
    """Yield the idle spans (begin, end, category) of a unit with one server, latest first in a gap.

    What `stalls` sums: the same arguments, the same walk, for a few images only.
    """
    served = np.flatnonzero(program.unit == unit)
    served = served[np.argsort(timeline.start[served], kind="stable")]
    ends = [(int(timeline.start[op]), int(timeline.critical[op])) for op in served]
    free = [0, *(timeline.start[served] + program.busy_cycles[served]).tolist()]
    if len(timeline.finish):
        last = int(timeline.finish.argmax())
        ends.append((int(timeline.finish[last]), last))
    for begin, (end, op) in zip(free, ends, strict=False):
        while end > begin and op >= 0:
            ready = max(begin, int(timeline.ready[op]))
            if ready < end:  # a join takes no time
                yield ready, end, int(category[op])
            end, op = ready, int(timeline.critical[op])


def _check(
    program: Program, timeline: Timeline, category: Int32s, unit: int, categories: int
) -> None:
    if not 0 <= unit < len(program.unit_servers):
        raise LoweringError(f"unit is {unit}; rule: one of {len(program.unit_servers)} units")
    if program.unit_servers[unit] != 1:
        raise LoweringError(
            f"unit {unit}: unit_servers is {program.unit_servers[unit]}; "
            "rule: 1, as the idle cycles of several servers have no one cause"
        )
    if timeline.finish.shape != program.unit.shape:
        raise LoweringError(
            f"the timeline has {len(timeline.finish)} ops; rule: the program's {len(program.unit)}"
        )
    if category.shape != program.unit.shape or category.dtype != np.int32:
        raise LoweringError(
            f"category is {category.dtype} {category.shape}; rule: int32 {program.unit.shape}"
        )
    unknown = (program.unit != JOIN) & ((category < 0) | (category >= categories))
    if unknown.any():
        op = int(unknown.argmax())
        raise LoweringError(f"op {op}", f"category is {category[op]}; rule: 0 to {categories - 1}")


@kernel
def _add_idle(
    program: Program, timeline: Timeline, category: Int32s, served: Ints, last: np.int64, idle: Ints
) -> None:
    """Walks back over every gap between the ops that the unit `served`, in order of their start.

    `last` is found outside: Numba's argmax would bring SciPy's linear algebra into every run.
    """
    released = np.int64(0)
    for op in served:
        start = timeline.start[op]
        if start > released:
            _charge(idle, released, start, np.int64(timeline.critical[op]), timeline, category)
        released = start + program.busy_cycles[op]
    if last >= 0:
        _charge(idle, released, timeline.finish[last], last, timeline, category)


@kernel_part
def _charge(
    idle: Ints,
    begin: np.int64,
    end: np.int64,
    op: np.int64,
    timeline: Timeline,
    category: Int32s,
) -> None:
    """Charges the cycles from begin to end to the chain that ends with `op` at `end`."""
    while end > begin and op >= 0:
        ready = max(begin, timeline.ready[op])
        if ready < end:  # a join takes no time
            idle[category[op]] += end - ready
        end = ready
        op = np.int64(timeline.critical[op])
    idle[-1] += end - begin
