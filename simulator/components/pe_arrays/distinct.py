"""A small table of distinct words, by open addressing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simulator.config.arrays import Words
from simulator.config.kernels import allocating_part, kernel_part

Slots = npt.NDArray[np.int32]


@allocating_part
def empty_slots(values: int) -> Slots:
    """Return the slots of a table that holds `values` distinct words at most."""
    size = 2
    while size < 2 * values:
        size *= 2
    return np.full(size, -1, np.int32)


@kernel_part
def slot_of(value: np.uint64, slots: Slots, words: Words) -> int:
    """Return the slot that has the place of `value` in `words`, or the free one (-1) for it."""
    mixed = value ^ (value >> np.uint64(32))
    mixed ^= mixed >> np.uint64(16)
    mixed ^= mixed >> np.uint64(7)
    slot = int(np.int64(mixed & np.uint64(len(slots) - 1)))
    while slots[slot] >= 0 and words[slots[slot]] != value:
        slot = slot + 1 if slot + 1 < len(slots) else 0
    return slot
