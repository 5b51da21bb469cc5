"""Shrunk digits: means over areas, the same digits as MNIST's, a network that fits them."""

from __future__ import annotations

import numpy as np
import pytest

from models.config import named_config
from models.data import mnist_digits
from models.shrinking import area_means, shrunk_mnist_digits


def test_area_means_are_means_over_areas() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, 1, 28, 28)).astype(np.uint8)
    # Slow twin: 5 x 5 equal parts a pixel, then plain means of 7 x 7 of them.
    parts = pixels.repeat(5, 2).repeat(5, 3).reshape(2, 1, 20, 7, 20, 7).mean((3, 5))
    assert np.array_equal(area_means(pixels, 20), np.rint(parts).astype(np.uint8))
    assert np.array_equal(area_means(pixels, 28), pixels)


def test_they_are_the_same_digits() -> None:
    for ours, theirs in zip(shrunk_mnist_digits(), mnist_digits(), strict=True):
        assert ours.pixels.shape == (len(theirs.labels), 1, 20, 20)
        assert np.array_equal(ours.labels, theirs.labels)
        assert ours.ids == theirs.ids
        assert ours.pixels.mean() == pytest.approx(theirs.pixels[..., 2:-2, 2:-2].mean(), rel=0.01)
    assert named_config("spikformer_2_64", "mnist20").tokens == 25
