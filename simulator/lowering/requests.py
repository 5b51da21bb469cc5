"""Requests to memories by columns of bits: cycles and counts, each distinct size asked for once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.components.memories.base import Memory, Transfer
from simulator.config.arrays import Ints, grouped

_Known = dict[tuple[int, float, bool], Transfer]
_known: dict[int, tuple[Memory, _Known]] = {}
"""By the memory's identity, as comparing all of its fields takes longer than a look-up; it is kept
with what is known, so that its identity stays its own."""
_of_equals: dict[str, _Known] = {}
"""Machines of a search have equal memories, which share what is known."""
_MOST_MEMORIES, _MOST_REQUESTS = 256, 1 << 14


def _known_of(memory: Memory) -> _Known:
    found = _known.get(id(memory))
    if found is None:
        if len(_known) >= _MOST_MEMORIES:
            _known.clear()
            _of_equals.clear()
        kind = type(memory)
        name = f"{kind.__module__}.{kind.__qualname__} {memory!r} {memory.precision!r}"
        found = _known[id(memory)] = memory, _of_equals.setdefault(name, {})
    return found[1]


def request(memory: Memory, bits: int, clock_mhz: float, *, write: bool = False) -> Transfer:
    """Return a transfer, remembered: the same few sizes are asked for again and again."""
    known, key = _known_of(memory), (bits, clock_mhz, write)
    made = known.get(key)
    if made is None:
        if len(known) >= _MOST_REQUESTS:
            known.clear()
        made = memory.write(bits, clock_mhz) if write else memory.read(bits, clock_mhz)
        known[key] = made
    return made


class Requests(NamedTuple):
    """Describe requests of some bits each.

    busy: int64 (requests,), 0 for no bits. counts: int64 (requests,) by action.
    """

    busy: Ints
    counts: dict[str, Ints]


def requests(memory: Memory, bits: Ints, clock_mhz: float, *, write: bool) -> Requests:
    """Return what requests of so many bits take; those of 0 bits take nothing."""
    first, place = grouped(bits)
    sizes = bits[first]
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
