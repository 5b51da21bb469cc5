"""Composed tasks: who decides, what one frame can know, the same again, digits kept apart."""

from __future__ import annotations

import numpy as np
import pytest

from models.data import composites
from models.data.composites import CANVAS, drawn, ink_beside, small
from models.data.images import mnist_digits
from models.data.sources import read_source
from models.networks.config import named_config
from models.training.loop import config_of
from models.training.recipe import FOLDER, load_recipe

DIGITS = mnist_digits()[1]
TASKS = {"stream": 36, "clutter": 36, "pointed": 36, "relay": 9}
"""Tokens by task."""


def test_every_task_is_tested() -> None:
    assert set(TASKS) == set(composites.TASKS)


@pytest.mark.parametrize("task", TASKS)
def test_a_seed_gives_the_same_composites_and_another_others(task: str) -> None:
    digits = composites.TASKS[task].digits()[1]
    first, again, other = (drawn(task, digits, 20, (seed, 3)) for seed in (1, 1, 2))
    assert np.array_equal(first.images.pixels, again.images.pixels)
    assert not np.array_equal(first.images.pixels, other.images.pixels)
    assert first.images.ids == again.images.ids


@pytest.mark.parametrize("task", TASKS)
def test_a_source_draws_each_epoch_of_each_seed_of_its_own(task: str) -> None:
    source = read_source(task, None)
    assert len(source.held_out.labels) == 1000
    assert "held out" in source.held_out.split
    assert np.array_equal(source.training.pixels, source.at(0, 0).pixels)
    assert not np.array_equal(source.at(0, 1).pixels, source.at(1, 1).pixels)
    recipe = load_recipe(FOLDER / f"{task}.yaml")
    assert config_of(recipe, source.dataset).tokens == TASKS[task]


def squares(frames: np.ndarray) -> np.ndarray:
    """How many solid 3 x 3 squares of 255 each frame has."""
    windows = np.lib.stride_tricks.sliding_window_view(frames, (3, 3), (-2, -1))
    return (windows.min((-2, -1)) == 255).sum((-2, -1))


def test_one_frame_of_the_stream_has_the_square_and_its_digit_counts() -> None:
    found = drawn("stream", DIGITS, 300, (5, 0))
    marked = squares(found.images.pixels[:, :, 0]).astype(bool)
    # A digit, too, may hold nine white pixels: the square is where the cue says at least.
    assert marked[np.arange(300), found.cue].all()
    assert np.bincount(found.cue, minlength=4).min() > 50
    digits = small(DIGITS)
    for image in range(20):
        frame = found.images.pixels[image, found.cue[image], 0]
        of_label = digits[DIGITS.labels == found.images.labels[image]]
        windows = np.lib.stride_tricks.sliding_window_view(frame, (10, 10)).reshape(-1, 10, 10)
        assert any((windows == digit).all((1, 2)).any() for digit in of_label)


def test_the_mark_of_pointed_tells_the_side() -> None:
    found = drawn("pointed", DIGITS, 200, (5, 0)).images
    digits = small(DIGITS)
    solid = squares(found.pixels[:, 0, :3]).astype(bool)
    assert 60 < solid.sum() < 140
    half = CANVAS // 2
    for image in range(20):
        side = (
            found.pixels[image, 0, :, :half] if solid[image] else found.pixels[image, 0, :, half:]
        )
        windows = np.lib.stride_tricks.sliding_window_view(side, (10, 10)).reshape(-1, 10, 10)
        of_label = digits[DIGITS.labels == found.labels[image]]
        assert any((windows == digit).all((1, 2)).any() for digit in of_label)


def test_tokens_with_ink_or_beside_it_are_the_known_shares() -> None:
    """57 % and 21 % of the tokens of the stream's held-out frames."""
    pixels = read_source("stream", None).held_out.pixels
    assert (ink_beside(pixels, 6, 1) > 0).mean() == pytest.approx(0.57, abs=0.01)
    assert (ink_beside(pixels, 6, 0) > 0).mean() == pytest.approx(0.21, abs=0.01)
    one = np.zeros((1, 24, 24), np.uint8)
    one[0, 5, 9] = 1  # row 1, column 2 of 6
    assert np.flatnonzero(ink_beside(one, 6, 0)).tolist() == [8]
    assert np.flatnonzero(ink_beside(one, 6, 1)).tolist() == [1, 2, 3, 7, 8, 9, 13, 14, 15]


def test_the_best_halting_in_time_runs_five_eighths() -> None:
    cues = composites.drawn("stream", DIGITS, 4000, (9, 9)).cue
    assert (cues + 1).mean() / 4 == pytest.approx(0.625, abs=0.015)


def test_the_sizes_for_composed_tasks_are_known() -> None:
    assert named_config("spikformer_3_48", "stream").size.blocks == 3
