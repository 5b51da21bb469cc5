"""Names of arrays by the type of their elements."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]

DENSE = 8
"""Integers are counted, not sorted, up to this times the number of rows."""


def grouped(keys: Ints) -> tuple[Ints, Ints]:
    """Return the first row of each different key, by ascending key, and each row's place there.

    Nothing is sorted where keys are of 0 or more, and not much larger than the rows are many.
    """
    most = int(keys.max(initial=-1)) + 1
    if most > DENSE * len(keys) or keys.min(initial=0) < 0:
        _, first, places = np.unique(keys, return_index=True, return_inverse=True)
        return first, places
    row = np.full(most, -1)
    row[keys[::-1]] = np.arange(len(keys) - 1, -1, -1)
    known = row >= 0
    return row[known], (np.cumsum(known) - 1)[keys]
