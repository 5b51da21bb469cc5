"""The floor and the ceiling that every latency must keep, and the roof over every layer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.errors import ResultError

Ints = npt.NDArray[np.integer]


class Bounds(NamedTuple):
    """No schedule is shorter than `floor_cycles`; a sensible one is never over `ceiling_cycles`."""

    floor_cycles: int
    ceiling_cycles: int


def latency_bounds(unit_busy_cycles: Ints, servers: Ints, latency_cycles: int) -> Bounds:
    """Return the work of the busiest unit, and all operations one after another.

    `unit_busy_cycles`, `servers`: by unit; `latency_cycles`: of all operations, summed.
    """
    floor = int((-(-unit_busy_cycles // servers)).max(initial=0))
    return Bounds(floor, int(unit_busy_cycles.sum()) + latency_cycles)


def check_latency(latency_cycles: int, bounds: Bounds, place: str) -> None:
    """Raise ResultError if a latency breaks its bounds: then the program or the engine is wrong."""
    if not bounds.floor_cycles <= latency_cycles <= bounds.ceiling_cycles:
        raise ResultError(
            f"{place}: latency {latency_cycles} cycles: must lie between the floor "
            f"{bounds.floor_cycles} and the ceiling {bounds.ceiling_cycles}"
        )
