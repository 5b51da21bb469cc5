"""What a user hands in as images, one image at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.data.images import PICTURES, Images
from models.errors import ModelError


class Sample(NamedTuple):
    """One image: the tensors of the network's inputs without a batch axis, label and name."""

    inputs: list[Tensor]
    label: int
    name: str


class DescribedInput(NamedTuple):
    """Where images come from, as a trace's manifest states it."""

    split: str
    source: str


def samples_of(images: Any, labels: Any = None) -> Iterator[Sample]:
    """Return the samples of a tensor or array (image, ...), a tuple of such (several inputs),
    a DataLoader or other iterable of batches, a folder of pictures, or `Images`.
    """
    if isinstance(images, Images):
        yield from _of_arrays([torch.from_numpy(images.pixels)], images.labels, images.ids)
    elif isinstance(images, str | Path):
        yield from _of_folder(Path(images))
    elif isinstance(images, Tensor | np.ndarray):
        yield from _of_arrays([_tensor(images)], labels, None)
    elif isinstance(images, tuple) and all(isinstance(e, Tensor | np.ndarray) for e in images):
        yield from _of_arrays([_tensor(each) for each in images], labels, None)
    elif isinstance(images, Iterable):
        yield from _of_batches(images)
    else:
        raise ModelError(
            f"images: {type(images).__name__}: must be a tensor, an array, a DataLoader or a folder"
        )


def described(images: Any) -> DescribedInput:
    """Return the split and source of a manifest."""
    if isinstance(images, Images):
        return DescribedInput(images.split, images.source)
    if isinstance(images, str | Path):
        return DescribedInput("", str(Path(images).name))
    return DescribedInput("", type(images).__name__)


def _of_arrays(inputs: list[Tensor], labels: Any, names: Any) -> Iterator[Sample]:
    counts = {len(each) for each in inputs}
    if len(counts) > 1:
        raise ModelError(f"images: several inputs with {sorted(counts)} images: must be as many")
    if labels is not None and len(labels) != len(inputs[0]):
        rule = f"must be one for each of {len(inputs[0])} images"
        raise ModelError(f"labels: {len(labels)}: {rule}")
    for index in range(len(inputs[0])):
        label = -1 if labels is None else int(labels[index])
        name = str(index) if names is None else str(names[index])
        yield Sample([each[index] for each in inputs], label, name)


def _of_batches(batches: Iterable[Any]) -> Iterator[Sample]:
    """Batches as DataLoaders give them: tensors, the last one the labels if it is whole numbers."""
    count = 0
    for batch in batches:
        parts = [_tensor(part) for part in (batch if isinstance(batch, list | tuple) else [batch])]
        labels = None
        last = parts[-1]
        if len(parts) > 1 and last.dim() == 1 and not last.dtype.is_floating_point:
            labels = parts.pop()
        for index in range(len(parts[0])):
            label = -1 if labels is None else int(labels[index])
            yield Sample([part[index] for part in parts], label, str(count))
            count += 1


def _of_folder(folder: Path) -> Iterator[Sample]:
    """All pictures of a folder, by name; sub-folders are classes, as torchvision has them."""
    from PIL import Image

    if not folder.is_dir():
        raise ModelError(f"images: {folder}: must be a folder of pictures")
    files = sorted(each for each in folder.rglob("*") if each.suffix.lower() in PICTURES)
    if not files:
        raise ModelError(f"images: {folder}: holds no picture ({', '.join(PICTURES)})")
    classes = sorted({each.parent for each in files} - {folder})
    for file in files:
        with Image.open(file) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        label = classes.index(file.parent) if file.parent in classes else -1
        tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1).contiguous()
        yield Sample([tensor], label, str(file.relative_to(folder)))


def _tensor(values: Any) -> Tensor:
    if not isinstance(values, Tensor | np.ndarray):
        raise ModelError(f"images: {type(values).__name__} in a batch: must be tensors")
    return torch.from_numpy(values) if isinstance(values, np.ndarray) else values.detach()


class Form(NamedTuple):
    """How samples enter a network: their time axis, the network's precision, and what 8-bit pixels
    are divided by.
    """

    time_axis: int | None
    dtype: torch.dtype
    divisor: float


def network_inputs(sample: Sample, form: Form) -> list[Tensor]:
    """Return the inputs of a batch of one, time first where there is time."""
    time_axis, dtype, divisor = form
    inputs = []
    for tensor in sample.inputs:
        own = tensor.to("cpu")
        own = own.to(dtype) / divisor if own.dtype == torch.uint8 else own
        own = own.to(dtype) if own.dtype.is_floating_point else own
        if time_axis is None:
            inputs.append(own.unsqueeze(0).clone())
        elif own.dim() <= time_axis:
            raise ModelError(
                f"images: {tuple(own.shape)}: time_axis={time_axis} must be one of its axes"
            )
        else:
            inputs.append(own.movedim(time_axis, 0).unsqueeze(1).contiguous().clone())
    return inputs
