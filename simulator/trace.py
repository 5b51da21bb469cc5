"""The contract between models and simulator: a trace of spikes and masks, and its two forms.

A trace (`stasim-trace/1`) is a zip of .npy members, stored or deflated, without pickles:

- `manifest`: uint8, UTF-8 JSON: where the trace comes from, its tensors, its operations in order;
- `spikes/<tensor>`: uint8, bits packed little-endian along channels, axes (image, timestep, row,
  byte); integer tensors have a plane axis before the row, least significant plane first;
- `active/<block>`: uint8 (image, timestep, byte), a bit per token, 1 = computed in that block;
- `labels`, `predictions`: int64 (image,), -1 = none.

Above some 10^4 images the same arrays, by the same names, lie in a folder: a sharded zarr v3 store
(`trace_format/store.py`). `Trace.open` takes either and checks them alike; the same content has the
same content hash in both. A store is written by `StoreWriter`, which needs the package zarr.

Needs numpy and the standard library only. Everything wrong with a file is one `TraceError`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from simulator.errors import TraceError
from simulator.trace_format.archive import Archive
from simulator.trace_format.image import (
    Image,
    Packed,
    add_counts,
    check_image,
    image_digest,
    pack_bits,
    unpack_bits,
    unpack_mask,
)
from simulator.trace_format.manifest import check_manifest
from simulator.trace_format.specs import SCHEMA, OperationSpec, TensorSpec, parse_manifest
from simulator.trace_format.store import Store
from simulator.trace_format.store_writer import STORE_SUFFIX, StoreWriter
from simulator.trace_format.writer import TraceWriter, read_announcement

__all__ = [
    "SCHEMA",
    "STORE_SUFFIX",
    "Image",
    "OperationSpec",
    "Outline",
    "StoreWriter",
    "TensorSpec",
    "Trace",
    "TraceWriter",
    "image_range",
    "open_writer",
    "pack_bits",
    "unpack_bits",
]


class Outline:
    """A trace whose images are still to come: its network, before anything has run.

    `path` names it in messages; `manifest`, `tensors` and `operations` are those of a Trace, with
    counts of 0.
    """

    def __init__(self, manifest: Mapping[str, Any], source: str) -> None:
        """Check the manifest, as TraceWriter takes it; raises TraceError."""
        self.path = Path(source)
        self.manifest, layout = read_announcement(manifest, f"{source}: manifest")
        self.tensors: dict[str, TensorSpec] = layout.tensors
        self.operations: tuple[OperationSpec, ...] = layout.operations


class Trace:
    """An open trace; holds the manifest and a few images' bytes at most, however long the file is.

    Images are read in order at the cost of one image each. In an archive, reading an earlier image
    than the last one starts the file anew and inflates everything before it, as does a first read
    far inside; in a store, a read anywhere costs one chunk of images. So a worker should take
    neighbouring images. An open trace belongs to one thread of one process.

    `manifest`: the parsed JSON, not to be changed. `tensors`, `operations`: its entries as specs.
    `images`: their number. `content_hash`: of the manifest, and through it of the data.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open and check structure, manifest and sizes; `Trace.open` is the same by name."""
        self.path = Path(path)
        self._container = Store(self.path) if self.path.is_dir() else Archive(self.path)
        try:
            source = f"{self.path}: manifest"
            self.manifest = parse_manifest(self._container.read_manifest(), source)
            self._layout = check_manifest(self.manifest, source)
            self._members = self._container.open_members(self._layout.members())
        except BaseException:
            self._container.close()
            raise

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open a trace and check its structure, manifest and sizes, but not yet its data.

        Raises TraceError, whatever is wrong with the file.
        """
        return cls(path)

    def read(self, index: int) -> Image:
        """Read image `index` from 0 and check its data: hash, unused bits, halted rows, masks.

        Raises TraceError if they break a rule, or if there is no such image.
        """
        layout, place = self._layout, f"{self.path}: image {index}"
        if not 0 <= index < layout.images:
            raise TraceError(f"{place}: must be from 0 to {layout.images - 1}, the trace's images")
        tensors = {
            name: self._array(f"spikes/{name}", index).reshape(tensor.shape)
            for name, tensor in layout.tensors.items()
        }
        active = {}
        for block in map(str, range(layout.blocks)):
            packed = self._array(f"active/{block}", index).reshape(layout.timesteps, -1)
            active[block] = unpack_mask(layout, packed, f"{place}: active/{block}")
            active[block].flags.writeable = False
        label, prediction = (
            int.from_bytes(self._members[name].read(index), "little", signed=True)
            for name in ("labels", "predictions")
        )
        image = Image(index, tensors, active, label, prediction)
        found, told = image_digest(layout, image), layout.image_sha256[index]
        if found != told:
            rule = f"must be {told}, image_sha256[{index}] of the manifest: the data are not intact"
            raise TraceError(f"{place}: sha256 {found}: {rule}")
        check_image(layout, image, place)
        return image

    def verify(self) -> None:
        """Read and check every image, and the manifest's counts of ones and non-zero values.

        Raises TraceError. Opening has checked the content hash already.
        """
        totals = dict.fromkeys(self.tensors, (0, 0))
        for image in self:
            add_counts(totals, image.tensors)
        for name, tensor in self.tensors.items():
            if totals[name] != (tensor.ones, tensor.nonzero):
                raise TraceError(
                    f"{self.path}: spikes/{name}: ones and nonzero are {totals[name]}: must be "
                    f"{(tensor.ones, tensor.nonzero)}, by the manifest"
                )

    @property
    def tensors(self) -> dict[str, TensorSpec]:
        """The stored tensors by name, in the manifest's order."""
        return self._layout.tensors

    @property
    def operations(self) -> tuple[OperationSpec, ...]:
        """The operations in order of execution."""
        return self._layout.operations

    @property
    def images(self) -> int:
        """Number of images."""
        return self._layout.images

    @property
    def content_hash(self) -> str:
        """`sha256:` and the hash that stands for the whole content."""
        return str(self.manifest["content_hash"])

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        self._container.close()

    def __len__(self) -> int:
        return self.images

    def __iter__(self) -> Iterator[Image]:
        return (self.read(index) for index in range(self.images))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _array(self, member: str, index: int) -> Packed:
        return np.frombuffer(self._members[member].read(index), np.uint8)


def open_writer(path: str | os.PathLike[str], manifest: Mapping[str, Any]) -> TraceWriter:
    """A writer of the form that the path's name asks for: a store for .zarr, else an archive."""
    kind = StoreWriter if Path(path).suffix == STORE_SUFFIX else TraceWriter
    return kind(path, manifest)


def image_range(text: str | None, count: int, place: str = "--images") -> range:
    """The images that `--images A:B` or `--images A` names of a trace of `count`; None: all.

    Raises TraceError for what is not there; `place`: where the text was given.
    """
    if text is None:
        return range(count)
    first, colon, last = text.partition(":")
    if not all(part == "" or part.isdigit() for part in (first, last)) or text in ("", ":"):
        raise TraceError(f"{place} {text}: must be A:B or A, with numbers from 0")
    start = int(first or 0)
    stop = int(last or count) if colon else start + 1
    if not 0 <= start < stop <= count:
        raise TraceError(f"{place} {text}: must lie within the trace's images, 0:{count}")
    return range(start, stop)
