"""ImageNet's pictures, read from their files when a batch asks for them: all would fill 190 GB."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.data.images import Images, fitted_picture, picture_files
from models.errors import ModelError
from models.networks.config import DATASETS

READERS = 8


class Pictures:
    """Stands in for the pixels (image, channel, h, w) of Images; `astype` reads the files.

    Cutting and choosing with [...] reads nothing. Each picture is fitted as in `data.py`: short
    side to 256, centre crop of 224.
    """

    def __init__(self, paths: Sequence[Path], dataset: str) -> None:
        self.paths = paths
        self.dataset = dataset

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Images, channels, height, width."""
        known = DATASETS[self.dataset]
        return len(self.paths), known.image_channels, known.image_size, known.image_size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, chosen: slice | npt.NDArray[np.int64]) -> Pictures:
        """Some of the pictures, still unread."""
        if isinstance(chosen, slice):
            return Pictures(self.paths[chosen], self.dataset)
        return Pictures([self.paths[int(index)] for index in chosen], self.dataset)

    def astype(self, kind: npt.DTypeLike) -> npt.NDArray[Any]:
        """Read the files, several at a time (Pillow decodes without the interpreter's lock)."""
        with ThreadPoolExecutor(READERS) as pool:
            read = list(pool.map(lambda path: fitted_picture(path, self.dataset), self.paths))
        return np.stack(read).astype(kind)


def imagenet_folder(folder: Path, split: str) -> Images:
    """The pictures of `folder`/`split`, a folder per class; raises ModelError without 1000."""
    files, classes = picture_files(folder / split)
    if classes != DATASETS["imagenet"].classes:
        raise ModelError(
            f"data folder {folder / split} holds {classes} folders of classes; training needs "
            f"{DATASETS['imagenet'].classes}"
        )
    paths = [path for path, _ in files]
    return Images(
        Pictures(paths, "imagenet"),  # type: ignore[arg-type]
        np.array([label for _, label in files], dtype=np.int64),
        tuple(f"{path.parent.name}/{path.name}" for path in paths),
        split,
        "full data set",
    )
