"""Images that stay in their files until a batch asks for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

READERS = 8

Read = Callable[[Path], npt.NDArray[np.uint8]]


class Unread:
    """Take the place of the pixels of Images; `astype` reads the files.

    All pixels of ImageNet fill 190 GB, those of CIFAR10-DVS at T = 16 5 GB. Cutting and choosing
    with [...] reads nothing.
    paths: a file each.
    of_one: the shape of an image, uint8.
    read: from a file to its image.
    """

    def __init__(self, paths: Sequence[Path], of_one: tuple[int, ...], read: Read) -> None:
        self.paths, self.of_one, self.read = paths, of_one, read

    @property
    def shape(self) -> tuple[int, ...]:
        """Return how many images, then the shape of one."""
        return len(self.paths), *self.of_one

    @property
    def ndim(self) -> int:
        """Return the number of dimensions, that of images included."""
        return len(self.shape)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, chosen: slice | npt.NDArray[np.int64]) -> Unread:
        """Choose images, still unread."""
        indices = np.arange(len(self.paths))[chosen]
        return Unread([self.paths[index] for index in indices], self.of_one, self.read)

    def astype(self, kind: npt.DTypeLike) -> npt.NDArray[Any]:
        """Read the files, several at a time (decoders work without the interpreter's lock)."""
        with ThreadPoolExecutor(READERS) as pool:
            return np.stack(list(pool.map(self.read, self.paths))).astype(kind)
