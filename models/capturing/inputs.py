"""What a user hands in as images, one image at a time."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from models.data.images import PICTURES, Images
from models.errors import ModelError

LABELS = ("label", "labels", "target", "targets")
"""What a dict batch calls its labels; all else are inputs by name."""


class InputSample(NamedTuple):
    """Hold one image: the tensors of the network's inputs without a batch axis, label and name.

    `keywords`: of the inputs, where the network takes them by name.
    """

    inputs: list[Tensor]
    label: int
    name: str
    keywords: tuple[str, ...] = ()


def samples_of(images: Any, labels: Any = None) -> Iterator[InputSample]:
    """Return the samples of a tensor or array (image, ...), a tuple of such (several inputs),
    a Dataset, a DataLoader or other iterable of batches, a folder of pictures, an .npy or .npz of
    arrays, or `Images`.
    """
    if isinstance(images, Images):
        yield from _of_arrays([torch.from_numpy(images.pixels)], images.labels, images.ids)
    elif isinstance(images, str | Path):
        yield from _of_path(Path(images), labels)
    elif isinstance(images, Dataset):
        yield from _of_dataset(images)
    elif isinstance(images, Tensor | np.ndarray):
        yield from _of_arrays([_tensor(images)], labels, None)
    elif isinstance(images, tuple) and all(isinstance(e, Tensor | np.ndarray) for e in images):
        yield from _of_arrays([_tensor(each) for each in images], labels, None)
    elif isinstance(images, Iterable):
        yield from _of_batches(images)
    else:
        raise ModelError(
            "images", type(images).__name__, "must be a tensor, an array, a DataLoader or a folder"
        )


def described(images: Any) -> tuple[str, str]:
    """Return the split and source of images, as a trace's manifest states them."""
    if isinstance(images, Images):
        return images.split, images.source
    return "", Path(images).name if isinstance(images, str | Path) else type(images).__name__


def _of_arrays(inputs: list[Tensor], labels: Any, names: Any) -> Iterator[InputSample]:
    counts = sorted({len(each) for each in inputs})
    if len(counts) > 1:
        raise ModelError(f"images: several inputs with {counts} images: must be as many")
    if labels is not None and len(labels) != counts[0]:
        raise ModelError("labels", len(labels), f"must be one for each of {counts[0]} images")
    for index in range(counts[0]):
        label = -1 if labels is None else int(labels[index])
        name = str(index) if names is None else str(names[index])
        yield InputSample([each[index] for each in inputs], label, name)


def _of_batches(batches: Iterable[Any]) -> Iterator[InputSample]:
    """Batches as DataLoaders give them: tensors, the last one the labels if it is whole numbers, or
    a dict of tensors.
    """
    count = 0
    for batch in batches:
        keywords, parts, labels = _parts(batch)
        countable = parts[-1].dim() == 1 and not parts[-1].dtype.is_floating_point
        if labels is None and not keywords and len(parts) > 1 and countable:
            labels = parts.pop()
        for index in range(len(parts[0])):
            label = -1 if labels is None else int(labels[index])
            yield InputSample([part[index] for part in parts], label, str(count), keywords)
            count += 1


def _of_dataset(images: Any) -> Iterator[InputSample]:
    """The items of a Dataset, one by one: an image, a tuple of inputs with the label last, or a
    dict.
    """
    by_index = not isinstance(images, IterableDataset)
    items = map(images.__getitem__, range(len(images))) if by_index else images
    for index, item in enumerate(items):
        keywords, inputs, own = _parts(item)
        if own is None and not keywords and len(inputs) > 1 and inputs[-1].dim() == 0:
            own = inputs.pop()
        yield InputSample(inputs, -1 if own is None else int(own), str(index), keywords)


def _parts(batch: Any) -> tuple[tuple[str, ...], list[Tensor], Tensor | None]:
    """The inputs of a batch or an item, with their names, and the labels of one that has names."""
    if not isinstance(batch, Mapping):
        values = batch if isinstance(batch, list | tuple) else [batch]
        return (), [_tensor(each) for each in values], None
    named = {str(key): _tensor(each) for key, each in batch.items()}
    labels = next((named.pop(key) for key in LABELS if key in named), None)
    if not named:
        raise ModelError(f"images: a dict of {', '.join(batch) or 'nothing'}: holds no input")
    return tuple(named), list(named.values()), labels


def _of_path(path: Path, labels: Any) -> Iterator[InputSample]:
    """A folder of pictures, or a file of arrays: an .npz may hold `labels` beside its images."""
    if path.suffix not in (".npy", ".npz"):
        yield from _of_folder(path)
        return
    try:
        read = np.load(path, allow_pickle=False)
        arrays = {"images": read} if isinstance(read, np.ndarray) else dict(read)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(f"images: {path}: not a file of arrays without pickles: {error}") from None
    own = arrays.pop("labels", None)
    if len(arrays) != 1:
        found = ", ".join(sorted(arrays)) or "none"
        raise ModelError("images", path, f"must hold one array beside `labels`; it holds {found}")
    (pixels,) = arrays.values()
    if pixels.ndim < 2 or pixels.dtype.kind not in "buif":
        shape = f"{pixels.dtype} {pixels.shape}"
        raise ModelError("images", path, shape, "must be numbers (image, ...)")
    yield from _of_arrays([torch.from_numpy(pixels)], own if labels is None else labels, None)


def _of_folder(folder: Path) -> Iterator[InputSample]:
    """All pictures of a folder, by name; sub-folders are classes, as torchvision has them."""
    from PIL import Image

    if not folder.is_dir():
        raise ModelError("images", folder, "must be a folder of pictures, an .npy or an .npz")
    files = sorted(each for each in folder.rglob("*") if each.suffix.lower() in PICTURES)
    if not files:
        raise ModelError("images", folder, f"holds no picture ({', '.join(PICTURES)})")
    classes = sorted({each.parent for each in files} - {folder})
    for file in files:
        try:
            with Image.open(file) as picture:
                pixels = _pixels_of(picture)
        except (OSError, Image.DecompressionBombError) as error:
            raise ModelError(f"images: {file}: not a readable picture: {error}") from None
        label = classes.index(file.parent) if file.parent in classes else -1
        yield InputSample([pixels], label, str(file.relative_to(folder)))


def _pixels_of(picture: Any) -> Tensor:
    """A picture as uint8 (channel, h, w): one channel where it is grey, else three."""
    plain = picture if picture.mode == "L" else picture.convert("RGB")
    pixels = torch.from_numpy(np.array(plain, np.uint8))
    return pixels[None] if pixels.dim() == 2 else pixels.permute(2, 0, 1).contiguous()


def _tensor(values: Any) -> Tensor:
    if hasattr(values, "convert"):
        return _pixels_of(values)
    if isinstance(values, int):
        return torch.tensor(values)
    if not isinstance(values, Tensor | np.ndarray | np.generic):
        raise ModelError(f"images: {type(values).__name__} in a batch: must be tensors")
    return values.detach() if isinstance(values, Tensor) else torch.from_numpy(np.asarray(values))


class Form(NamedTuple):
    """Describe how samples enter a network: their time axis, the network's precision, and what
    8-bit pixels are divided by. `mean`, `std`: then subtracted and divided by, for all or for each
    channel, the third axis from the end.
    """

    time_axis: int | None
    dtype: torch.dtype
    divisor: float
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def normalised(self, values: Tensor) -> Tensor:
        """Return real values with mean and std taken out."""
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            channels = values.shape[-3] if values.dim() >= 3 else 1
            if len(numbers) > 1 and len(numbers) != channels:
                raise ModelError(
                    f"{name} has {len(numbers)} values, the images have {channels} channels: give "
                    f"one, or {channels}"
                )
        shape = (-1, 1, 1) if values.dim() >= 3 else (-1,)
        if self.mean:
            values = values - torch.tensor(self.mean, dtype=values.dtype).reshape(shape)
        if self.std:
            values = values / torch.tensor(self.std, dtype=values.dtype).reshape(shape)
        return values


def network_inputs(sample: InputSample, form: Form) -> list[Tensor]:
    """Return the inputs of a batch of one, time first where there is time."""
    time_axis, dtype, divisor = form.time_axis, form.dtype, form.divisor
    inputs = []
    for tensor in sample.inputs:
        own = tensor.to("cpu")
        own = own.to(dtype) / divisor if own.dtype == torch.uint8 else own
        own = own.to(dtype) if own.dtype.is_floating_point else own
        if form.mean or form.std:
            own = form.normalised(own.to(dtype))
        if time_axis is None:
            inputs.append(own.unsqueeze(0).clone())
        elif own.dim() <= time_axis:
            raise ModelError(
                "images", tuple(own.shape), f"time_axis={time_axis} must be one of its axes"
            )
        else:
            inputs.append(own.movedim(time_axis, 0).unsqueeze(1).contiguous().clone())
    return inputs
