"""Requests to memories by columns of bits: cycles and counts, each distinct size asked for once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.components.memories.base import Memory
from simulator.lowering.plan import request

Ints = npt.NDArray[np.int64]


class Requests(NamedTuple):
    """Requests of so many bits each.

    busy: int64 (requests,), 0 for no bits. counts: int64 (requests,) by action.
    """

    busy: Ints
    counts: dict[str, Ints]


def requests(memory: Memory, bits: Ints, clock_mhz: float, *, write: bool) -> Requests:
    """Return what requests of so many bits take; those of 0 bits take nothing."""
    sizes, place = np.unique(bits, return_inverse=True)
    busy = np.zeros(len(sizes), np.int64)
    counts: dict[str, Ints] = {}
    for number, size in enumerate(sizes.tolist()):
        if size <= 0:
            continue
        transfer = request(memory, size, clock_mhz, write=write)
        busy[number] = transfer.busy_cycles
        for action, count in transfer.counts.items():
            if action not in counts:
                counts[action] = np.zeros(len(sizes), np.int64)
            counts[action][number] = count
    return Requests(busy[place], {action: values[place] for action, values in counts.items()})
