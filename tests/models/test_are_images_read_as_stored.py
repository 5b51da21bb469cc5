"""Loaders: bundled samples, padded digits, and full data sets in torchvision's layouts."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets

from models.data.images import full_images, mnist_digits, sample_images
from models.errors import ModelError
from tests.messages import said


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_samples_are_the_bundled_pictures(dataset: str) -> None:
    images = sample_images(dataset, 20)
    assert images.pixels.shape == (20, 3, 32, 32)
    assert images.pixels.dtype == np.uint8
    for name, label in zip(images.ids, images.labels, strict=True):
        assert name.startswith(dataset)
        assert int(name.split("_")[2].split(".")[0]) == label


def test_imagenet_samples_are_cut_to_224() -> None:
    images = sample_images("imagenet", 2)
    assert images.pixels.shape == (2, 3, 224, 224)
    assert images.labels.tolist() == [243, 559]
    assert images.pixels.std() > 20


def test_digits_are_split_evenly_padded_and_kept_apart() -> None:
    train, test = mnist_digits()
    assert train.pixels.shape == (4000, 1, 32, 32)
    assert test.pixels.shape == (1000, 1, 32, 32)
    assert np.bincount(test.labels).tolist() == [100] * 10
    assert not set(train.ids) & set(test.ids)
    assert not train.pixels[:, :, :2].any()
    assert not train.pixels[:, :, :, -2:].any()
    assert len(set(test.labels[:30].tolist())) > 5  # no longer sorted by digit
    again = mnist_digits()[1]
    assert again.ids == test.ids


def cifar_folder(root: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> np.ndarray:
    """A tiny data set in the real layout; torchvision is told its MD5."""
    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]
    folder = root / kind.base_folder
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3072), dtype=np.uint8)
    key = "labels" if name == "cifar10" else "fine_labels"
    batch, meta = kind.test_list[0][0], kind.meta

    def dump(file: str, content: dict[str, object]) -> str:
        (folder / file).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / file).read_bytes()).hexdigest()

    digest = dump(batch, {"data": pixels, key: [3, 1, 4, 1]})
    names = dump(meta["filename"], {meta["key"]: ["a"] * 10})
    monkeypatch.setattr(kind, "train_list", [[batch, digest]])
    monkeypatch.setattr(kind, "test_list", [[batch, digest]])
    monkeypatch.setattr(kind, "meta", {**meta, "md5": names})
    return pixels.reshape(4, 3, 32, 32)


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_cifar_folders(dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = cifar_folder(tmp_path, monkeypatch, dataset)
    images = full_images(dataset, tmp_path, 4)
    assert np.array_equal(images.pixels, pixels)
    assert images.labels.tolist() == [3, 1, 4, 1]
    assert full_images(dataset, tmp_path, 2).ids == ("test:0", "test:2")
    with pytest.raises(ModelError, match=said("more images than a folder holds")):
        full_images(dataset, tmp_path, 5)
    broken = next(tmp_path.rglob("test*"))
    broken.write_bytes(broken.read_bytes() + b"x")
    with pytest.raises(ModelError, match=said("a damaged data set")):
        full_images(dataset, tmp_path, 1)


def test_mnist_folder(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    for split in ("train", "t10k"):
        header = struct.pack(">IIII", 2051, 3, 28, 28)
        (raw / f"{split}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        labels = struct.pack(">II", 2049, 3) + bytes([7, 2, 1])
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(labels)
        for kind in ("images-idx3", "labels-idx1"):
            plain = raw / f"{split}-{kind}-ubyte"
            plain.with_name(plain.name + ".gz").write_bytes(gzip.compress(plain.read_bytes()))
    images = full_images("mnist", tmp_path, 3)
    assert np.array_equal(images.pixels[:, 0, 2:-2, 2:-2], pixels)
    assert images.labels.tolist() == [7, 2, 1]


@pytest.mark.parametrize("classes", [2, 1000])
def test_imagenet_folders(classes: int, tmp_path: Path) -> None:
    for number in range(classes):
        folder = tmp_path / "val" / f"n{number:08d}"
        folder.mkdir(parents=True)
        if number % (classes // 2) == 0:
            picture = Image.new("RGB", (300, 260), (number % 256, 20, 30))
            picture.save(folder / "one.JPEG")
    images = full_images("imagenet", tmp_path, 2)
    assert images.pixels.shape == (2, 3, 224, 224)
    assert images.ids[0] == "n00000000/one.JPEG"
    assert images.labels.tolist() == ([0, 500] if classes == 1000 else [-1, -1])
    with pytest.raises(ModelError, match=said("a folder without classes")):
        full_images("imagenet", tmp_path, 2, train=True)


def test_an_unreadable_picture_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "val" / "n0"
    folder.mkdir(parents=True)
    (folder / "bad.png").write_bytes(b"nothing")
    with pytest.raises(ModelError, match=said("an unreadable picture")):
        full_images("imagenet", tmp_path, 1)
