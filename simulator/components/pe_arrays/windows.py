"""Windows of timesteps: the rows of one token that an array takes together."""

from __future__ import annotations

import numpy as np
from numba import njit

from simulator.components.pe_arrays.base import Ints, Words, Work


def windows(work: Work, timesteps: int) -> tuple[Ints, Ints]:
    """int64 (window,): the first row of each window and its number of rows.

    A window is the rows of one token or pixel whose timesteps fall into the same `timesteps`; it
    ends where a block ends. Rows of one timestep only make windows of one row.
    """
    count = len(work.row)
    starts = np.ones(count, np.bool_)
    if count:
        step = work.timestep // timesteps
        starts[1:] = (np.diff(work.row) != 0) | (np.diff(step) != 0)
        starts[work.block_ptr[:-1]] = True
    first = np.flatnonzero(starts).astype(np.int64)
    return first, np.diff(np.append(first, count))


def window_ptr(work: Work, first: Ints) -> Ints:
    """int64 (blocks + 1,): the windows of each block."""
    return np.searchsorted(first, work.block_ptr).astype(np.int64)


@njit(cache=True, nogil=True)
def join_windows(words: Words, first: Ints, length: Ints) -> Words:
    """uint64 (window, word): the inputs that spike at any row of a window, from (row, word)."""
    joined = np.zeros((len(first), words.shape[1]), np.uint64)
    for window in range(len(first)):
        for row in range(first[window], first[window] + length[window]):
            for word in range(words.shape[1]):
                joined[window, word] |= words[row, word]
    return joined
