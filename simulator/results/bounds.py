"""The floor and the ceiling that every latency must keep, and the roof over every layer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.errors import ResultError
from simulator.program import Program


class Bounds(NamedTuple):
    """No schedule is shorter than `floor_cycles`; a sensible one is never over `ceiling_cycles`."""

    floor_cycles: int
    ceiling_cycles: int


def latency_bounds(program: Program) -> Bounds:
    """Floor: the work of the busiest unit; ceiling: one op after another."""
    units = program.unit >= 0
    busy = np.bincount(
        program.unit[units], program.busy_cycles[units], minlength=len(program.unit_servers)
    ).astype(np.int64)
    floor = int((-(-busy // program.unit_servers)).max(initial=0))
    ceiling = int(program.busy_cycles.sum() + program.latency_cycles.sum())
    return Bounds(floor, ceiling)


def check_latency(latency_cycles: int, bounds: Bounds, place: str) -> None:
    """Raise ResultError if a latency breaks its bounds: then the program or the engine is wrong."""
    if not bounds.floor_cycles <= latency_cycles <= bounds.ceiling_cycles:
        raise ResultError(
            f"{place}: latency {latency_cycles} cycles: must lie between the floor "
            f"{bounds.floor_cycles} and the ceiling {bounds.ceiling_cycles}"
        )
