"""Requests to memories by columns of bits: cycles and counts, each distinct size asked for once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.components.memories.base import Memory, Transfer
from simulator.config.arrays import Ints

_requests: dict[tuple[int, int, float, bool], tuple[Memory, Transfer]] = {}
_MOST_REQUESTS = 1 << 16


def request(memory: Memory, bits: int, clock_mhz: float, *, write: bool = False) -> Transfer:
    """A transfer, remembered: the same few sizes are asked for again and again.

    By the memory's identity, since hashing all of its fields takes longer than the rest; it is kept
    with what is remembered, so that its identity stays its own.
    """
    key = (id(memory), bits, clock_mhz, write)
    known = _requests.get(key)
    if known is None:
        if len(_requests) >= _MOST_REQUESTS:
            _requests.clear()
        made = memory.write(bits, clock_mhz) if write else memory.read(bits, clock_mhz)
        known = _requests[key] = memory, made
    return known[1]


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
