"""python -m experiments.old_stores: a trace of version 1 in a zarr v3 store as one file.

Names, types and axes are those of the .npz of version 1. An array's shard is one file of
`shard_images` images; within it every `chunk_images` images are a gzip stream of their own, found
through an index at the shard's end.

The store's own attributes and the manifest say all that is needed: streams are inflated up to the
size that they imply and not further, and the manifest's hash of each image binds all its bytes. The
arrays' own metadata and the index's checksum are not looked at.
Format: zarr v3 core specification and its sharding_indexed codec, version 1.0.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import stat
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from simulator.command import check_target, command
from simulator.config.wording import shown
from simulator.errors import TraceError
from simulator.trace import Trace, write_again
from simulator.trace_format.archive import ITEM_BYTES, one_error
from simulator.trace_format.layout import Layout
from simulator.trace_format.members import Members
from simulator.trace_format.specs import FIRST_SCHEMA, MANIFEST_LIMIT_BYTES

_METADATA_LIMIT_BYTES = 1 << 16
_SHARD_LIMIT_IMAGES = 1 << 16
# Of all arrays together; one image may be larger.
CHUNK_LIMIT_BYTES = 32 << 20
# gzip never makes more than this of incompressible bytes (RFC 1951 stored blocks, RFC 1952 frame).
_GZIP_SLACK_BYTES = 64


class StoreCut(NamedTuple):
    """How a store is cut: images of one shard, and of one chunk within it."""

    shard_images: int
    chunk_images: int


class Store:
    """An open store."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not (path / "zarr.json").exists():
            rule = "must be a zarr store with its zarr.json"
            raise TraceError(f"{path}: file: is no regular file but a folder: {rule}")
        with one_error(path, "zarr.json", "must be JSON in UTF-8"):
            text = self.read_file("zarr.json", _METADATA_LIMIT_BYTES)
            found: Any = json.loads(text.decode("utf-8"))
        for key in ("attributes", "stasim"):
            found = found.get(key) if isinstance(found, dict) else None
        cut = found if isinstance(found, dict) else {}
        place = f"{path}: zarr.json: attributes.stasim"
        if cut.get("schema") != FIRST_SCHEMA:
            rule = f"must be {FIRST_SCHEMA!r}, or this is no trace of a store's version"
            raise TraceError(f"{place}.schema = {shown(cut.get('schema'))}", rule)
        numbers = (cut.get("shard_images"), cut.get("chunk_images"))
        shard, chunk = (number if type(number) is int else 0 for number in numbers)
        if not 1 <= chunk <= shard <= _SHARD_LIMIT_IMAGES or shard % chunk:
            rule = f"must be whole numbers up to {_SHARD_LIMIT_IMAGES}, the first a multiple"
            raise TraceError(f"{place}: shard_images, chunk_images = {shown(numbers)}: {rule}")
        self.cut = StoreCut(shard, chunk)

    def close(self) -> None:
        """Nothing stays open between reads."""

    def read_manifest(self) -> bytes:
        """The bytes of the array `manifest`, which is one chunk."""
        place = "manifest/c/0"
        return self.inflated(place, self.read_file(place, MANIFEST_LIMIT_BYTES), None)

    def open_arrays(self, layout: Layout) -> dict[str, StoredArray]:
        """A reader for every array that the manifest implies."""
        chunk = layout.image_bytes * self.cut.chunk_images
        if self.cut.chunk_images > 1 and chunk > CHUNK_LIMIT_BYTES:
            rule = f"must be at most {CHUNK_LIMIT_BYTES}, or one image"
            raise TraceError(f"{self.path}: a chunk of all arrays has {chunk} bytes: {rule}")
        return {
            name: StoredArray(self, name, ITEM_BYTES[dtype], shape)
            for name, (dtype, shape) in layout.members().items()
        }

    def size_of(self, name: str) -> int:
        """The size of a regular file; looked at before it is opened, as a pipe would wait."""
        with one_error(self.path, name, "must be a file of the store"):
            status = os.stat(self.path / name)
        if not stat.S_ISREG(status.st_mode):
            raise TraceError(f"{self.path}: {name}: is no regular file: must be one")
        return status.st_size

    def read_file(self, name: str, limit: int) -> bytes:
        """All bytes of a file of the store; TraceError where they are more than a limit."""
        size = self.size_of(name)
        if size > limit:
            raise TraceError(self.path, name, f"{size} bytes", f"must be at most {limit}")
        return self.read_bytes(name, 0, size)

    def read_bytes(self, name: str, start: int, size: int) -> bytes:
        """`size` bytes of a regular file of the store; TraceError where it has fewer."""
        with (
            one_error(self.path, name, "must be an intact file of the store"),
            open(self.path / name, "rb") as file,
        ):
            file.seek(start)
            data = file.read(size)
        if len(data) != size:
            raise TraceError(f"{self.path}: {name}: ends at byte {start + len(data)}: is cut off")
        return data

    def inflated(self, place: str, data: bytes, size: int | None) -> bytes:
        """The one gzip stream in `data`, of exactly `size` bytes; None: as many as a manifest."""
        most = MANIFEST_LIMIT_BYTES if size is None else size
        with one_error(self.path, place, "must be intact gzip streams"):
            stream = zlib.decompressobj(wbits=31)
            out = stream.decompress(data, most + 1)
            complete = stream.eof and not stream.unused_data
        if not complete or len(out) > most or size not in (None, len(out)):
            rule = f"must be one gzip stream of {'at most' if size is None else 'exactly'} {most}"
            raise TraceError(self.path, place, f"{len(data)} compressed bytes", f"{rule} bytes")
        return out


class StoredArray:
    """An array whose leading axis is the image; holds one chunk of images at a time."""

    def __init__(self, store: Store, name: str, item_bytes: int, shape: tuple[int, ...]) -> None:
        self.store, self.name = store, name
        self.image_bytes = item_bytes * math.prod(shape[1:])
        self._inner = "/0" * (len(shape) - 1)
        self._shard = self._chunk = -1
        self._index: list[list[int]] = []
        self._data = b""

    def read(self, image: int) -> bytes:
        """The bytes of one image; raises TraceError where the store has no such."""
        chunk, place = divmod(image, self.store.cut.chunk_images)
        if chunk != self._chunk:
            self._data = self._read_chunk(chunk)
            self._chunk = chunk
        return self._data[place * self.image_bytes : (place + 1) * self.image_bytes]

    def _read_chunk(self, chunk: int) -> bytes:
        cut = self.store.cut
        shard, place = divmod(chunk, cut.shard_images // cut.chunk_images)
        file = f"{self.name}/c/{shard}{self._inner}"
        if shard != self._shard:
            self._index = self._read_index(file)
            self._shard = shard
        size = self.image_bytes * cut.chunk_images
        start, length = self._index[place]
        if length > size + size // 1000 + _GZIP_SLACK_BYTES:
            rule = f"must hold {size} bytes"
            raise TraceError(f"{self.store.path}: {file}: chunk {place} of {length} bytes: {rule}")
        data = self.store.read_bytes(file, start, length)
        return self.store.inflated(f"{file}: chunk {place}", data, size)

    def _read_index(self, file: str) -> list[list[int]]:
        """(first byte, bytes) of each chunk, from the end of the shard."""
        cut = self.store.cut
        size = 16 * (cut.shard_images // cut.chunk_images) + 4  # and crc32c
        file_bytes = self.store.size_of(file)
        if file_bytes < size:
            rule = f"must end with an index of {size}"
            raise TraceError(self.store.path, file, f"{file_bytes} bytes", rule)
        raw = np.frombuffer(self.store.read_bytes(file, file_bytes - size, size - 4), "<u8")
        # A chunk that is all beyond the last image is left out, marked by 2^64 - 1.
        pairs: list[list[int]] = raw.reshape(-1, 2).tolist()
        return pairs


class StoredTrace(Trace):
    """An open trace of version 1 that lies in a store."""

    def _opened(self) -> Store:
        return Store(self.path)

    def _open_data(self) -> Members:
        if self.manifest["schema"] != FIRST_SCHEMA:
            raise TraceError(f"{self.path}: manifest: schema: must be {FIRST_SCHEMA!r} in a store")
        assert isinstance(self._container, Store)
        return Members(self._container.open_arrays(self.layout), self.layout)


@command()
def main(words: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.old_stores",
        description="Write a zarr store of version 1 as one file, with the same content hash.",
        epilog="example: python -m experiments.old_stores old.zarr new.npz",
    )
    parser.add_argument("old", metavar="OLD", help="a .zarr store")
    parser.add_argument("new", metavar="NEW", type=Path, help="the .npz to write")
    options = parser.parse_args(words)
    check_target(options.new, "NEW", TraceError)
    with StoredTrace.open(options.old) as trace:
        write_again(trace, options.new)


if __name__ == "__main__":
    sys.exit(main())
