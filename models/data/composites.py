"""Tasks composed from digits: what halting could gain on them is known by construction.

Digits are MNIST's own 20 x 20 box, averaged to 10 x 10, made a quarter brighter and pasted by
maximum on a canvas of 24 x 24. Every training epoch has composites of its own, drawn by the run's
seed; the held-out ones are fixed and use held-out digits.

- `stream`, in time: every frame shows another digit at another place; in exactly one frame a solid
  3 x 3 square lies outside the digit's box, and the label is the digit of that frame. Ahead of the
  square nothing decides, behind it nothing matters: one frame alone gives at most
  1/T + (1 - 1/T)/10, and leaving after the square is optimal in time.
- `clutter`, still: one digit among up to 8 fragments of others.
- `pointed`, still: a digit on the left and one on the right; the label is the left one where the
  mark is solid, the right one where it is a ring.
- `relay`, in time, of other digits: models/data/relay.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.data import relay
from models.data.images import MNIST_PADDING, Images, mnist_digits, small_digits

Pixels = npt.NDArray[np.uint8]
CANVAS, DIGIT, SQUARE, FRAGMENT, MOST_FRAGMENTS = 24, 10, 3, 5, 8
COUNT, HELD_OUT, FRAMES = 4000, 1000, 4
HELD_OUT_SEED = 777
BRIGHTER = 1.25


class Drawn(NamedTuple):
    """Hold composites with what decides them.

    `cue` (image,): the frame with the square, the look-ups of relay; 0 if still.
    """

    images: Images
    cue: npt.NDArray[np.int64]


def small(digits: Images) -> Pixels:
    """Return the digits as they are pasted: uint8 (image, 10, 10)."""
    edge = MNIST_PADDING + 4  # of the 28 x 28 picture around MNIST's box
    boxes = digits.pixels[:, 0, edge:-edge, edge:-edge].astype(np.float64)
    means = boxes.reshape(len(boxes), DIGIT, 2, DIGIT, 2).mean((2, 4))
    return np.minimum(means * BRIGHTER, 255.0).astype(np.uint8)


def drawn(task: str, digits: Images, count: int, seed: tuple[int, int]) -> Drawn:
    """Draw `count` composites of a task; `seed` says which, whatever was drawn before."""
    rng = np.random.default_rng(seed)
    of_task = TASKS[task]
    pixels, labels, cues = of_task.compose(of_task.cut(digits), digits.labels, count, rng)
    ids = tuple(
        f"{task} {seed[0]}.{seed[1]}:{place} cue {cue}" for place, cue in enumerate(cues.tolist())
    )
    source = f"{digits.source}, composed: {task}"
    return Drawn(Images(pixels, labels, ids, digits.split, source), cues)


def _paste(canvas: Pixels, picture: Pixels, top: int, left: int) -> None:
    """Put a picture on a canvas (h, w) by maximum."""
    part = canvas[top : top + picture.shape[0], left : left + picture.shape[1]]
    np.maximum(part, picture, out=part)


Composed = tuple[Pixels, npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Pixels, labels, cues."""


def _stream(
    pictures: Pixels, labels: npt.NDArray[np.int64], count: int, rng: np.random.Generator
) -> Composed:
    pixels = np.zeros((count, FRAMES, 1, CANVAS, CANVAS), np.uint8)
    chosen = rng.integers(0, len(pictures), (count, FRAMES))
    corners = rng.integers(0, CANVAS - DIGIT + 1, (count, FRAMES, 2))
    cues = rng.integers(0, FRAMES, count)
    for image in range(count):
        for frame in range(FRAMES):
            top, left = corners[image, frame]
            _paste(pixels[image, frame, 0], pictures[chosen[image, frame]], top, left)
        top, left = _outside(corners[image, cues[image]], rng)
        pixels[image, cues[image], 0, top : top + SQUARE, left : left + SQUARE] = 255
    return pixels, labels[chosen[np.arange(count), cues]], cues


def _outside(corner: npt.NDArray[np.int64], rng: np.random.Generator) -> tuple[int, int]:
    """A place for the square beyond the box of the digit at `corner`."""
    while True:
        top, left = rng.integers(0, CANVAS - SQUARE + 1, 2).tolist()
        beside = [
            at + SQUARE <= start or at >= start + DIGIT
            for at, start in zip((top, left), corner.tolist(), strict=True)
        ]
        if any(beside):
            return top, left


def _clutter(
    pictures: Pixels, labels: npt.NDArray[np.int64], count: int, rng: np.random.Generator
) -> Composed:
    pixels = np.zeros((count, 1, CANVAS, CANVAS), np.uint8)
    chosen = rng.integers(0, len(pictures), count)
    for image in range(count):
        canvas = pixels[image, 0]
        for _ in range(rng.integers(0, MOST_FRAGMENTS + 1)):
            other = pictures[rng.integers(0, len(pictures))]
            y, x = rng.integers(1, DIGIT - FRAGMENT, 2)
            top, left = rng.integers(0, CANVAS - FRAGMENT + 1, 2).tolist()
            _paste(canvas, other[y : y + FRAGMENT, x : x + FRAGMENT], top, left)
        top, left = rng.integers(0, CANVAS - DIGIT + 1, 2).tolist()
        _paste(canvas, pictures[chosen[image]], top, left)
    return pixels, labels[chosen], np.zeros(count, np.int64)


def _pointed(
    pictures: Pixels, labels: npt.NDArray[np.int64], count: int, rng: np.random.Generator
) -> Composed:
    pixels = np.zeros((count, 1, CANVAS, CANVAS), np.uint8)
    chosen = rng.integers(0, len(pictures), (count, 2))
    right = rng.integers(0, 2, count)
    half = CANVAS // 2
    for image in range(count):
        for side in range(2):
            # Digits lie under the first rows, which the mark has to itself.
            top = int(rng.integers(SQUARE + 1, CANVAS - DIGIT + 1))
            left = side * half + int(rng.integers(0, half - DIGIT + 1))
            _paste(pixels[image, 0], pictures[chosen[image, side]], top, left)
        at = rng.integers(0, CANVAS - SQUARE + 1)
        pixels[image, 0, :SQUARE, at : at + SQUARE] = 255
        if right[image]:
            pixels[image, 0, 1, at + 1] = 0
    return pixels, labels[chosen[np.arange(count), right]], np.zeros(count, np.int64)


class Composite(NamedTuple):
    """Describe how a task is composed, of which digits (to train on, held out), and how these are
    cut.
    """

    compose: Callable[[Pixels, npt.NDArray[np.int64], int, np.random.Generator], Composed]
    digits: Callable[[], tuple[Images, Images]] = mnist_digits
    cut: Callable[[Images], Pixels] = small


TASKS = {
    "stream": Composite(_stream),
    "clutter": Composite(_clutter),
    "pointed": Composite(_pointed),
    "relay": Composite(partial(relay.compose, canvas=CANVAS), small_digits, relay.cut),
}


def ink_beside(pixels: Pixels, tokens: int, reach: int = 1) -> npt.NDArray[np.int64]:
    """Return how many pixels with ink lie in each token and, within `reach` tokens, beside it.

    `pixels` (..., 1, h, w), `tokens` a side; int64 (..., token).
    """
    patch = pixels.shape[-1] // tokens
    shape = (*pixels.shape[:-3], tokens, patch, tokens, patch)
    own = (pixels[..., 0, :, :].reshape(shape) > 0).sum((-3, -1))
    padded = np.pad(own, (*[(0, 0)] * (own.ndim - 2), (reach, reach), (reach, reach)))
    beside = np.zeros_like(own)
    for down in range(2 * reach + 1):
        for right in range(2 * reach + 1):
            beside += padded[..., down : down + tokens, right : right + tokens]
    return beside.reshape(*own.shape[:-2], -1)
