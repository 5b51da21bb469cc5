"""Sequential tasks and small digits: what is shown when, and that nothing is lost or added."""

from __future__ import annotations

import numpy as np
import pytest

from models.data.images import small_digits
from models.data.sequences import TASKS, in_time
from models.errors import ModelError
from tests.messages import cases, said


def test_small_digits_are_enlarged_and_kept_apart() -> None:
    train, test = small_digits()
    assert train.pixels.shape == (1442, 1, 16, 16)
    assert test.pixels.shape == (355, 1, 16, 16)
    assert int(train.pixels.max()) == 255
    assert not set(train.ids) & set(test.ids)
    assert np.array_equal(train.pixels[:, :, ::2, ::2], train.pixels[:, :, 1::2, 1::2])
    assert min(np.bincount(test.labels)) >= 34


@pytest.mark.parametrize("task", ["rows", "patches"])
def test_parts_add_up_to_the_image_and_never_overlap(task: str) -> None:
    images = small_digits()[1].first(6)
    shown = in_time(images, task, 4)
    assert shown.pixels.shape == (6, 4, 1, 16, 16)
    assert shown.pixels.dtype == np.uint8
    assert np.array_equal(shown.pixels.sum(1), images.pixels)
    assert int((shown.pixels > 0).sum(1).max()) == 1
    assert task in shown.source
    assert np.array_equal(shown.labels, images.labels)


def test_rows_come_from_top_to_bottom() -> None:
    shown = in_time(small_digits()[1].first(3), "rows", 4).pixels
    for timestep in range(4):
        outside = np.delete(shown[:, timestep], np.s_[4 * timestep : 4 * timestep + 4], axis=2)
        assert not outside.any()


def test_the_first_of_two_gives_the_label() -> None:
    images = small_digits()[1].first(50)
    shown = in_time(images, "first_of_two", 4).pixels
    assert np.array_equal(shown[:, 0], images.pixels)
    assert np.array_equal(shown[:, 1], images.pixels)
    assert np.array_equal(shown[:, 2], shown[:, 3])
    assert not np.array_equal(shown[:, 2], images.pixels)
    second = [next(i for i in range(50) if np.array_equal(images.pixels[i], s[2])) for s in shown]
    assert all(other != own for own, other in enumerate(second))
    # The label cannot be told from the sum: the same pair occurs in either order elsewhere.
    assert np.mean(images.labels[second] != images.labels) > 0.7


@cases("what_cannot_be_shown_is_said")
def test_what_cannot_be_shown_is_said(task: str, timesteps: int, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        in_time(small_digits()[1].first(2), task, timesteps)


def test_a_sequence_is_no_still_image() -> None:
    shown = in_time(small_digits()[1].first(2), "rows", 4)
    for task in TASKS:
        with pytest.raises(ModelError, match=said("a sequence of a sequence")):
            in_time(shown, task, 4)
