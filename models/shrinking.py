"""MNIST's digits shrunk, for small machines."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.data import Images, mnist_digits

MNIST_MARGIN = 2
SHRUNK_SIDE = 20


def shrunk_mnist_digits() -> tuple[Images, Images]:
    """The digits of `mnist_digits` without their padding, shrunk from 28x28 to 20x20.

    Four fifths to train on, one held out, as there.
    """
    inner = slice(MNIST_MARGIN, -MNIST_MARGIN)
    train, test = (
        part._replace(
            pixels=area_means(part.pixels[:, :, inner, inner], SHRUNK_SIDE),
            source=f"{part.source}, area means of {SHRUNK_SIDE}x{SHRUNK_SIDE}",
        )
        for part in mnist_digits()
    )
    return train, test


def area_means(pixels: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """Square images (image, channel, h, h) shrunk to `side`, each pixel the mean of its area."""
    before = pixels.shape[-1]
    edges = np.arange(before + 1)
    cuts = np.linspace(0.0, before, side + 1)
    overlap = np.minimum(edges[1:], cuts[1:, None]) - np.maximum(edges[:-1], cuts[:-1, None])
    weights = overlap.clip(min=0.0) * side / before
    return np.rint(weights @ pixels @ weights.T).astype(np.uint8)
