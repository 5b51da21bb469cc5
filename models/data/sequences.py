"""Sequential tasks made from still images: what is shown changes from one timestep to the next.

Each returns images of (image, timestep, channel, h, w) for a data set marked `sequential`. In
`rows` and `patches` the parts of one image appear one after another, each in its place, so that
their sum over time is the image. In `first_of_two` the label is that of the picture shown first:
order alone tells it from the one shown second, so whatever sums over time must lose it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from models.data.images import Images
from models.errors import ModelError

Pixels = npt.NDArray[np.uint8]
SECOND_PICTURE_SEED = 0


def in_time(images: Images, task: str, timesteps: int) -> Images:
    """Return the sequential form `task` of still images; raises ModelError for an unknown one."""
    if task not in TASKS:
        raise ModelError(f"unknown sequential task {task!r}; known: {', '.join(TASKS)}")
    if images.pixels.ndim != 4:
        raise ModelError(f"task {task} needs still images, not {images.pixels.ndim - 1} axes each")
    if timesteps < 2:
        raise ModelError(f"task {task} needs at least 2 timesteps, not {timesteps}")
    return images._replace(
        pixels=TASKS[task](images, timesteps), source=f"{images.source}, in time: {task}"
    )


def _rows(images: Images, timesteps: int) -> Pixels:
    """Bands of rows from top to bottom."""
    height = images.pixels.shape[2]
    shown = np.zeros((timesteps, height), dtype=np.bool_)
    for timestep, band in enumerate(np.array_split(np.arange(height), timesteps)):
        shown[timestep, band] = True
    return images.pixels[:, None] * shown[None, :, None, :, None]


def _patches(images: Images, timesteps: int) -> Pixels:
    """Square patches, row by row; the timesteps must be a square number."""
    side = round(timesteps**0.5)
    if side * side != timesteps:
        raise ModelError(f"task patches needs a square number of timesteps, not {timesteps}")
    height, width = images.pixels.shape[2:]
    shown = np.zeros((timesteps, height, width), dtype=np.bool_)
    for row, ys in enumerate(np.array_split(np.arange(height), side)):
        for column, xs in enumerate(np.array_split(np.arange(width), side)):
            shown[row * side + column, ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1] = True
    return images.pixels[:, None] * shown[None, :, None]


def _first_of_two(images: Images, timesteps: int) -> Pixels:
    """The image for the first half of the timesteps, then another one of the same set."""
    count = len(images.labels)
    if count < 2:
        raise ModelError("task first_of_two needs at least 2 images")
    rng = np.random.default_rng(SECOND_PICTURE_SEED)
    other = (np.arange(count) + rng.integers(1, count, count)) % count  # never the image itself
    half = timesteps // 2
    first = np.repeat(images.pixels[:, None], half, 1)
    return np.concatenate([first, np.repeat(images.pixels[other, None], timesteps - half, 1)], 1)


TASKS: dict[str, Callable[[Images, int], Pixels]] = {
    "rows": _rows,
    "patches": _patches,
    "first_of_two": _first_of_two,
}
