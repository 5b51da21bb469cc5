"""Images of a trace: one, or a batch side by side, as views of arena rows; hashes and counts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.config.arrays import Ints
from simulator.trace_format.layout import Layout, Packed

Bits = npt.NDArray[np.bool_]


class Image(NamedTuple):
    """Hold one image's part of a trace; read from a file, its arrays are read-only.

    `tensors`: uint8 (timestep, plane, row, byte) by name, spikes with one plane. `active`: bool
    (timestep, token) by block. `label`, `prediction`: a class, -1 = none.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    tensors: dict[str, Packed]
    active: dict[str, Bits]
    label: int
    prediction: int


class ImageBatch(NamedTuple):
    """Hold images side by side: what `Trace.read_batch` returns.

    `index`: int64 (image,), the numbers of the images in the trace. `arena`: uint8 (image, byte),
    C-contiguous; `Layout.offsets` says where each tensor begins in a row, and `Layout.tensor` is a
    view of one. `active`: bool (image, block, timestep, token). `label`, `prediction`: int64
    (image,), -1 = none.
    """

    index: Ints  # type: ignore[assignment]
    arena: Packed
    active: Bits
    label: Ints
    prediction: Ints


def pack_bits(bits: npt.ArrayLike) -> Packed:
    """Pack bool (..., channels) little-endian into uint8 (..., ceil(channels / 8))."""
    packed = np.packbits(np.asarray(bits, dtype=np.bool_), axis=-1, bitorder="little")
    return np.ascontiguousarray(packed)  # whatever the layout of the bits


def unpack_bits(packed: Packed, channels: int) -> Bits:
    """Unpack uint8 (..., ceil(channels / 8)) into bool (..., channels)."""
    bits = np.unpackbits(packed, axis=-1, count=channels, bitorder="little")
    return bits.view(np.bool_)


def batch_of(layout: Layout, index: Ints, arena: Packed) -> ImageBatch:
    """Return the batch whose rows are in `arena`."""
    classes = layout.classes_of(arena)
    return ImageBatch(
        index,
        arena,
        unpack_bits(layout.masks(arena), layout.tokens),
        classes[:, 0].astype(np.int64),
        classes[:, 1].astype(np.int64),
    )


def image_of(layout: Layout, batch: ImageBatch, place: int) -> Image:
    """Return one image of a batch; its arrays are read-only views of the batch's."""
    row, active = batch.arena[place], batch.active[place]
    row.flags.writeable = active.flags.writeable = False
    return Image(
        int(batch.index[place]),
        {name: layout.tensor(row, name) for name in layout.tensors},
        {str(block): active[block] for block in range(layout.blocks)},
        int(batch.label[place]),
        int(batch.prediction[place]),
    )


def fill_row(layout: Layout, image: Image, row: Packed) -> None:
    """Write an image, whose arrays have the sizes of the layout, into an arena row."""
    row[layout.padding] = 0
    for name, tensor in image.tensors.items():
        layout.tensor(row, name)[...] = tensor
    for block, mask in image.active.items():
        layout.masks(row)[int(block)] = pack_bits(mask)
    layout.classes_of(row)[:] = image.label, image.prediction


def row_digest(layout: Layout, row: Packed) -> str:
    """Return the sha256 of tensors and packed masks in order, label and prediction as int64."""
    digest = hashlib.sha256()
    for part in layout.contents:
        digest.update(row[part].data)
    return digest.hexdigest()


def count_bits(tensor: Packed) -> tuple[int, int]:
    """Set bits, and values that are not zero, of a (timestep, plane, row, byte) array."""
    ones = int(np.bitwise_count(tensor).sum(dtype=np.int64))
    if tensor.shape[1] == 1:
        return ones, ones
    values = np.bitwise_or.reduce(tensor, axis=1)
    return ones, int(np.bitwise_count(values).sum(dtype=np.int64))


def add_counts(totals: dict[str, tuple[int, int]], tensors: Mapping[str, Packed]) -> None:
    """Add an image's set bits and non-zero values to the totals by tensor."""
    for name, (ones, nonzero) in totals.items():
        more = count_bits(tensors[name])
        totals[name] = (ones + more[0], nonzero + more[1])
