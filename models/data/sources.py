"""Where the images of a recipe come from, by the name of its data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from models.data import composites
from models.data.events import unread_frames
from models.data.images import Images, full_images, imagenet_folder, mnist_digits, small_digits
from models.data.sequences import in_time
from models.errors import ModelError
from simulator.config.wording import shown, suggestion


class Source(NamedTuple):
    """Hold training and held-out pictures, and how they are shown.

    `dataset`: the name whose networks fit; `task`: None where a picture is shown whole at every
    timestep, else one of models.data.sequences.TASKS. `draw`: where every epoch has images of its
    own, what draws them by the run's seed and the epoch; `training` are those of seed 0, epoch 0.
    """

    dataset: str
    training: Images
    held_out: Images
    task: str | None = None
    draw: Callable[[int, int], Images] | None = None

    def at(self, seed: int, epoch: int) -> Images:
        """Return the training images of an epoch."""
        return self.training if self.draw is None else self.draw(seed, epoch)

    def shown(self, images: Images, timesteps: int) -> Images:
        """Return the images as a network takes them; of a stream, its first frames."""
        if images.pixels.ndim == 5 and images.pixels.shape[1] > timesteps:
            return images._replace(pixels=images.pixels[:, :timesteps])
        return images if self.task is None else in_time(images, self.task, timesteps)


Reader = Callable[[Path | None, int], Source]
"""From a data folder, where one is needed, and the timesteps T to a data set."""


def _bundled(
    dataset: str, read: Callable[[], tuple[Images, Images]], task: str | None = None
) -> Reader:
    """Images that an installed package brings; they need no folder."""
    return lambda folder, timesteps: Source(dataset, *read(), task)


def _composed(task: str) -> Reader:
    """A task composed from digits: training images by seed and epoch, held-out ones fixed."""

    def read(folder: Path | None, timesteps: int) -> Source:
        training, held_out = composites.TASKS[task].digits()

        def draw(seed: int, epoch: int) -> Images:
            return composites.drawn(task, training, composites.COUNT, (seed, epoch)).images

        fixed = composites.drawn(task, held_out, composites.HELD_OUT, (composites.HELD_OUT_SEED, 0))
        return Source(task, draw(0, 0), fixed.images, None, draw)

    return read


def _full(dataset: str) -> Reader:
    """All images of a data set from a folder, in torchvision's layout or that of events."""

    def read(folder: Path | None, timesteps: int) -> Source:
        if folder is None:
            raise ModelError(f"{dataset} is not bundled by any package: give its folder by --data")
        if dataset == "cifar10dvs":
            training, held_out = (
                unread_frames(folder, timesteps, None, train) for train in (True, False)
            )
            return Source(dataset, training, held_out)
        if dataset == "imagenet":
            return Source(dataset, imagenet_folder(folder, "train"), imagenet_folder(folder, "val"))
        training, held_out = (full_images(dataset, folder, None, train=t) for t in (True, False))
        return Source(dataset, training, held_out)

    return read


SOURCES: dict[str, Reader] = {
    "digits": _bundled("digits", small_digits),
    "digits_rows": _bundled("digits_sequential", small_digits, "rows"),
    "digits_patches": _bundled("digits_sequential", small_digits, "patches"),
    "digits_first_of_two": _bundled("digits_sequential", small_digits, "first_of_two"),
    "mnist5k": _bundled("mnist", mnist_digits),
    **{task: _composed(task) for task in composites.TASKS},
    "cifar10": _full("cifar10"),
    "cifar100": _full("cifar100"),
    "imagenet": _full("imagenet"),
    "cifar10dvs": _full("cifar10dvs"),
}


def read_source(name: str, folder: Path | None, timesteps: int = 4) -> Source:
    """Return the images of a data set; raises ModelError for one that is unknown or not at hand.

    timesteps: the parts that recordings of events are cut into; images know no time.
    """
    if name not in SOURCES:
        raise ModelError("dataset", shown(name), f"unknown data set {suggestion(name, SOURCES)}")
    return SOURCES[name](folder, timesteps)
