"""The task relay: its labels follow the mark, its bounds are those of its images."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable

import numpy as np
import pytest

from models.data import composites
from models.data.relay import CELL, CORNERS, FRAMES, MOST_LOOK_UPS, Permutation


def best_guesses() -> dict[str, float]:
    """The share of right answers of the best guess, by what is known; every case counted."""
    cases = list(
        itertools.product(
            itertools.permutations(range(CORNERS)), range(CORNERS), range(1, MOST_LOOK_UPS + 1)
        )
    )

    def best(known: Callable[[Permutation, int, int], Hashable]) -> float:
        answers: dict[Hashable, Counter[int]] = defaultdict(Counter)
        for named, start, look_ups in cases:
            first = named[start]
            answer = first if look_ups == 1 else named[first]
            answers[known(named, start, look_ups)][answer] += 1
        return sum(max(of.values()) for of in answers.values()) / len(cases)

    without = best(lambda named, start, look_ups: named)
    return {
        "all digits, no mark": without,
        "one frame": 1 / FRAMES + (1 - 1 / FRAMES) * without,
        "the mark and its digit": best(lambda named, start, ups: (start, named[start], ups)),
    }


HELD_OUT = composites.TASKS["relay"].digits()[1]
DRAWN = composites.drawn("relay", HELD_OUT, 400, (5, 0))
PIXELS = DRAWN.images.pixels[:, :, 0]
PICTURES = composites.TASKS["relay"].cut(HELD_OUT)


def corners(frame: np.ndarray) -> list[np.ndarray]:
    """The four cells of a frame (h, w)."""
    return [
        frame[rows, columns]
        for rows in (slice(0, CELL), slice(-CELL, None))
        for columns in (slice(0, CELL), slice(-CELL, None))
    ]


def digit_of(cell: np.ndarray) -> int:
    """The label of the held-out digit that a cell shows; bars may hide its sides."""
    same = (PICTURES[:, :, 1:-1] == cell[:, 1:-1]).all((1, 2))
    (label,) = set(HELD_OUT.labels[same].tolist())
    return int(label)


def bars(cell: np.ndarray) -> tuple[bool, bool]:
    """Whether there is a bar at the left, and at the right."""
    return bool((cell[:, 0] == 255).all()), bool((cell[:, -1] == 255).all())


def test_a_label_is_what_the_look_ups_find() -> None:
    for image in range(100):
        frames = [corners(frame) for frame in PIXELS[image]]
        marks = [
            (frame, corner, bars(cell)[1])
            for frame, cells in enumerate(frames)
            for corner, cell in enumerate(cells)
            if bars(cell)[0]
        ]
        ((frame, corner, twice),) = marks
        named = [digit_of(cell) for cell in frames[frame]]
        assert sorted(named) == [0, 1, 2, 3]
        found = named[named[corner]] if twice else named[corner]
        assert found == DRAWN.images.labels[image]
        assert DRAWN.cue[image] == 1 + twice


def test_frames_differ_by_the_mark_alone() -> None:
    changed = (PIXELS[:, 0] != PIXELS[:, 1]).any(1)
    sides = {0, CELL - 1, composites.CANVAS - CELL, composites.CANVAS - 1}
    assert set(np.flatnonzero(changed.any(0)).tolist()) <= sides
    assert changed.any(1).all()


def test_bounds_are_those_of_all_cases() -> None:
    """Without the mark a guess among four; of two look-ups after the first, half are known."""
    assert best_guesses() == pytest.approx(
        {"all digits, no mark": 1 / 4, "one frame": 5 / 8, "the mark and its digit": 3 / 4}
    )


def test_one_frame_is_marked_as_often_as_the_bound_says() -> None:
    many = composites.drawn("relay", HELD_OUT, 4000, (6, 0))
    left = many.images.pixels[:, 0, 0]
    marked = np.array([any(bars(cell)[0] for cell in corners(frame)) for frame in left])
    assert marked.mean() == pytest.approx(0.5, abs=0.03)
    assert np.bincount(many.images.labels, minlength=4) == pytest.approx(1000, abs=120)
