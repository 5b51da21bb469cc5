"""The contract between models and simulator: a trace of spikes and masks, and its two versions.

A trace (`stasim-trace/2`) is a zip of .npy members without pickles, of any size:

- `manifest`: uint8, UTF-8 JSON: where the trace comes from, its tensors, its operations in order,
  the role of each stage of them;
- `records`: uint8 (bytes,), stored: a zstd frame for each image, one after another;
- `record_ptr`: int64 (image + 1,), where in `records` each frame begins and the last one ends.

A frame decodes to the image's arena row: the tensors in the manifest's order, bits packed
little-endian along channels, axes (timestep, plane, row, byte), least significant plane first; then
the masks, a bit per token, 1 = computed, axes (block, timestep, byte); then label and prediction as
int64, -1 = none. Each array begins at a multiple of 8 bytes, the row ends at a multiple of 64.

Version 1 (`stasim-trace/1`) is read as well: a member for each of these arrays, deflated, with the
image as leading axis. The same content has the same content hash in every form.
`python -m simulator.trace convert OLD NEW` writes version 2.

Needs numpy, pydantic, zstandard and the standard library only. Everything wrong with a file is one
`TraceError`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from simulator.command import check_target, command
from simulator.config.shipped import TRACES, file_of
from simulator.errors import TraceError
from simulator.trace_format.archive import Archive
from simulator.trace_format.checks import check_batch
from simulator.trace_format.image import (
    Image,
    ImageBatch,
    add_counts,
    batch_of,
    fill_row,
    image_of,
    pack_bits,
    row_digest,
    unpack_bits,
)
from simulator.trace_format.layout import Layout, Packed
from simulator.trace_format.manifest import check_manifest
from simulator.trace_format.members import Members, archived_members
from simulator.trace_format.records import Records
from simulator.trace_format.schema import OperationSpec, TensorSpec
from simulator.trace_format.specs import FIRST_SCHEMA, SCHEMA, parse_manifest
from simulator.trace_format.writer import TraceWriter, read_announcement

__all__ = [
    "SCHEMA",
    "Image",
    "ImageBatch",
    "Layout",
    "OperationSpec",
    "Outline",
    "TensorSpec",
    "Trace",
    "TraceWriter",
    "batch_of",
    "convert",
    "fill_row",
    "image_of",
    "image_range",
    "open_writer",
    "pack_bits",
    "unpack_bits",
    "write_again",
]


T = TypeVar("T")


class Outline:
    """Describe a trace whose images are still to come: its network, before anything has run.

    `path` names it in messages; `manifest`, `layout`, `tensors` and `operations` are those of a
    Trace, with counts of 0.
    """

    def __init__(self, manifest: Mapping[str, Any], source: str) -> None:
        """Check the manifest, as TraceWriter takes it; raises TraceError."""
        self.path = Path(source)
        self.manifest, self.layout = read_announcement(manifest, f"{source}: manifest")
        self.tensors: dict[str, TensorSpec] = self.layout.tensors
        self.operations: tuple[OperationSpec, ...] = self.layout.operations


class Container(Protocol):
    """Hold a trace's members."""

    def read_manifest(self) -> bytes:
        """Return the bytes of the manifest."""

    def close(self) -> None:
        """Close it; closing twice is fine."""


class Trace:
    """Read an open trace; hold the manifest and no more images than are asked of it.

    Any image of version 2 is one read away. In an archive of version 1, an earlier image than the
    last one restarts the file and inflates everything before it, as does a first read far inside;
    so a worker should take neighbouring images. An open trace belongs to one thread of one
    process.

    `manifest`: the parsed JSON, not to be changed. `layout`: its tensors, operations and stages,
    and where each array lies in an arena row. `images`: their number. `content_hash`: of the
    manifest, and through it of the data.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open and check structure, manifest and sizes; `Trace.open` is the same by name."""
        self.path = file_of(path, TRACES, "trace", TraceError)
        self._container = self._opened()
        try:
            source = f"{self.path}: manifest"
            self.manifest = parse_manifest(self._container.read_manifest(), source)
            self.layout = check_manifest(self.manifest, source)
            self._data = self._open_data()
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
        """Read image `index` from 0 and check its data, as `read_batch` does."""
        return image_of(self.layout, self.read_batch([index]), 0)

    def read_batch(self, indices: Sequence[int] | range, out: Packed | None = None) -> ImageBatch:
        """Read images side by side and check their data: hash, unused bits, halted rows, masks.

        A batch takes `layout.image_bytes` for each image. `out`: uint8 (image, byte), from
        `layout.new_arena`, to decode into its first rows; so one arena can serve many batches.
        Raises TraceError if data break a rule, or if there is no such image.
        """
        layout = self.layout
        index = np.array(indices, np.int64)
        for image in index[(index < 0) | (index >= layout.images)][:1]:
            rule = f"must be from 0 to {layout.images - 1}, the trace's images"
            raise TraceError(self.path, f"image {image}", rule)
        arena = layout.new_arena(len(index)) if out is None else layout.rows_of(out, len(index))
        for image, row in zip(index.tolist(), arena, strict=True):
            self._data.read_into(image, row)
            found, wanted = row_digest(layout, row), layout.image_sha256[image]
            if found != wanted:
                rule = f"must be {wanted}, image_sha256[{image}] of the manifest"
                place = f"{self.path}: image {image}"
                raise TraceError(place, f"sha256 {found}", rule, "the data are not intact")
        batch = batch_of(layout, index, arena)
        check_batch(layout, batch, str(self.path))
        return batch

    def once(self, name: Hashable, make: Callable[[], T]) -> T:
        """Return what `make` makes of the trace and no machine changes; a held trace keeps it."""
        return make()

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
        """Return the stored tensors by name, in the manifest's order."""
        return self.layout.tensors

    @property
    def operations(self) -> tuple[OperationSpec, ...]:
        """Return the operations in order of execution."""
        return self.layout.operations

    @property
    def images(self) -> int:
        """Count the images."""
        return self.layout.images

    @property
    def content_hash(self) -> str:
        """Return `sha256:` and the hash of the content."""
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

    def _opened(self) -> Container:
        """What the trace lies in; a form that is no longer written has a reader of its own."""
        if (self.path / "zarr.json").exists():
            rule = "must be a .npz: python -m experiments.old_stores, in the repository, makes one"
            raise TraceError(self.path, "file", "is a zarr store of version 1", rule)
        return Archive(self.path)

    def _open_data(self) -> Members | Records:
        """The data in the form that the manifest's version asks for."""
        assert isinstance(self._container, Archive)
        if self.manifest["schema"] == FIRST_SCHEMA:
            return archived_members(self._container, self.layout)
        return Records(self._container, self.layout)


def open_writer(path: str | os.PathLike[str], manifest: Mapping[str, Any]) -> TraceWriter:
    """Return a writer of the form that the path's name asks for; TraceError for a store."""
    if Path(path).suffix == ".zarr":
        rule = "must be a .npz, which may be of any size"
        raise TraceError(path, rule)
    return TraceWriter(path, manifest)


def image_range(text: str | None, count: int, place: str = "--images") -> range:
    """Return the images that `--images A:B` or `--images A` names of a trace of `count`; None: all.

    Raises TraceError for what is not there; `place`: where the text was given.
    """
    if text is None:
        return range(count)
    first, colon, last = text.partition(":")
    if not all(
        part == "" or (part.isascii() and part.isdigit() and len(part) < 20)
        for part in (first, last)
    ) or text in ("", ":"):
        raise TraceError(f"{place} {text}", "must be A:B or A, with numbers from 0")
    start = int(first or 0)
    stop = int(last or count) if colon else start + 1
    if not 0 <= start < stop <= count:
        raise TraceError(f"{place} {text}", f"must lie within the trace's images, 0:{count}")
    return range(start, stop)


def convert(old: str | os.PathLike[str], new: str | os.PathLike[str]) -> None:
    """Write a trace of any version as one of the newest, with the same content hash.

    Memory stays bounded by one image. Raises TraceError; nothing is half-written.
    """
    with Trace.open(old) as trace:
        write_again(trace, new)


def write_again(trace: Trace, new: str | os.PathLike[str]) -> None:
    """Write an open trace as one of the newest version. Raises TraceError."""
    trace.verify()
    with open_writer(new, trace.manifest) as writer:
        for image in trace:
            writer.add(image.tensors, image.active, image.label, image.prediction)


@command()
def main(words: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m simulator.trace",
        description="Work on trace files.",
        epilog="example: python -m simulator.trace convert old.npz new.npz",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    text = "write a trace of any version as the newest, with the same content hash"
    add = commands.add_parser("convert", help=text, description=text).add_argument
    add("old", metavar="OLD", help="a .npz of any version")
    add("new", metavar="NEW", help="the .npz to write; may be OLD itself")
    options = parser.parse_args(words)
    check_target(Path(options.new), "NEW", TraceError)
    convert(options.old, options.new)


if __name__ == "__main__":
    sys.exit(main())
