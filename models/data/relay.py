"""`relay`: four digits point to one another, and a mark says where to begin and how far to go.

In each corner of a canvas of 24 x 24 lies one of scikit-learn's digits 0..3 at 8 x 8. It names a
corner (0 and 1 above, 2 and 3 below, from left to right); the four are a permutation, drawn for
each image. In exactly one of two frames a corner is marked: a bar at its left means one look-up,
and the label is the digit there; bars at both sides mean two, and the label is the digit in the
corner that this digit names.

Every digit occurs once, so that counting them says nothing. Without the mark an answer is a guess
among four; so one frame alone gives at most 1/2 + 1/2 x 1/4
(tests/models/test_is_relay_two_look_ups.py counts what is known at most).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.data.images import Images

CORNERS, CELL, FRAMES, MOST_LOOK_UPS = 4, 8, 2, 2
BAR = 255
Permutation = tuple[int, ...]


def cut(digits: Images) -> npt.NDArray[np.uint8]:
    """Return the digits as they are pasted: uint8 (image, 8, 8), as scikit-learn stores them."""
    return np.ascontiguousarray(digits.pixels[:, 0, ::2, ::2])


def compose(
    pictures: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    count: int,
    rng: np.random.Generator,
    canvas: int,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return pixels (image, frame, 1, h, w), labels, and how many look-ups each takes."""
    every = np.arange(count)
    named = rng.permuted(np.tile(np.arange(CORNERS), (count, 1)), axis=1)
    start = rng.integers(0, CORNERS, count)
    look_ups = rng.integers(1, MOST_LOOK_UPS + 1, count)
    marked = rng.integers(0, FRAMES, count)
    pixels = np.zeros((count, FRAMES, 1, canvas, canvas), np.uint8)
    for corner in range(CORNERS):
        top, left = (place * (canvas - CELL) for place in divmod(corner, 2))
        cell = pixels[:, :, 0, top : top + CELL, left : left + CELL]
        for digit in range(CORNERS):
            where = np.flatnonzero(named[:, corner] == digit)
            own = np.flatnonzero(labels == digit)
            cell[where] = pictures[rng.choice(own, len(where))][:, None]
        begun = np.flatnonzero(start == corner)
        cell[begun, marked[begun], :, 0] = BAR
        twice = begun[look_ups[begun] == MOST_LOOK_UPS]
        cell[twice, marked[twice], :, -1] = BAR
    first = named[every, start]
    return pixels, np.where(look_ups == 1, first, named[every, first]), look_ups
