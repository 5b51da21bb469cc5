"""The data of a trace of version 1: an array for each tensor, mask and class, image by image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from simulator.errors import TraceError
from simulator.trace_format.archive import ITEM_BYTES, Archive, one_error
from simulator.trace_format.layout import Layout, Packed

_SKIP_BYTES = 1 << 16


class ReadableArray(Protocol):
    """Read an array whose leading axis is the image."""

    def read(self, image: int) -> bytes:
        """Return the bytes of one image."""


class Members:
    """Hold the arrays that the manifest of version 1 implies, by name."""

    def __init__(self, arrays: Mapping[str, ReadableArray], layout: Layout) -> None:
        starts = {f"spikes/{name}": offset for name, offset in layout.offsets.items()}
        mask_bytes = math.prod(layout.mask_shape[1:])
        for block in range(layout.blocks):
            starts[f"active/{block}"] = layout.masks_offset + block * mask_bytes
        starts |= {"labels": layout.label_offset, "predictions": layout.label_offset + 8}
        self._parts = [(arrays[name], start) for name, start in starts.items()]
        self._padding = layout.padding

    def read_into(self, image: int, row: Packed) -> None:
        """Fill the arena row of one image."""
        row[self._padding] = 0
        for array, start in self._parts:
            data = np.frombuffer(array.read(image), np.uint8)
            row[start : start + len(data)] = data


def archived_members(archive: Archive, layout: Layout) -> Members:
    """Open the arrays of an archive, which has no others."""
    wanted = layout.members()
    archive.check_members(wanted)
    arrays = {name: Member(archive, name, dtype, shape) for name, (dtype, shape) in wanted.items()}
    return Members(arrays, layout)


class Member:
    """Read an array member, whose leading axis is the image, in order.

    One stream goes forward; an earlier image than the last one read restarts it, so the cost of
    reading image i alone is that of inflating all images up to i. Holds at most one image's bytes.
    """

    def __init__(self, archive: Archive, name: str, dtype: str, shape: tuple[int, ...]) -> None:
        self.archive, self.name, self.images = archive, name, shape[0]
        self.image_bytes = ITEM_BYTES[dtype] * math.prod(shape[1:])
        self._stream, _, self._header_bytes = archive.open_array(name, dtype, shape)
        self._next = 0

    def read(self, image: int) -> bytes:
        """Return the bytes of one image; raises TraceError where the file has no more."""
        with one_error(self.archive.path, f"{self.name}.npy", "must be an intact member"):
            if image < self._next:
                self._stream.close()
                self._stream = self.archive.open_member(self.name)
                self._stream.read(self._header_bytes)
                self._next = 0
            self._skip((image - self._next) * self.image_bytes)
            data = self._stream.read(self.image_bytes)
        self._next = image + 1
        if len(data) != self.image_bytes:
            raise TraceError(
                f"{self.archive.path}: {self.name}.npy: ends within image {image}: must hold "
                f"{self.image_bytes} bytes for each of {self.images} images"
            )
        return data

    def _skip(self, size: int) -> None:
        # In small steps: the stream keeps as many compressed bytes as are asked of it.
        step = max(self.image_bytes, _SKIP_BYTES)
        while size > 0:
            skipped = len(self._stream.read(min(size, step)))
            if not skipped:
                raise EOFError("ends too early")
            size -= skipped
