"""A trace of version 1 in a folder: a zarr v3 store of sharded arrays, read with distrust.

Names, types and axes are those of the .npz (see simulator.trace). An array's shard is one file of
`shard_images` images; within it every `chunk_images` images are a gzip stream of their own, found
through an index at the shard's end. So an image costs one chunk of each array, wherever it lies,
and workers read far apart.

The arrays are read with the standard library, since every size is known before: metadata must say
exactly what the manifest implies, streams are inflated up to the known size and not further. The
index's checksum is not looked at: the manifest's hash of each image stands over all of its bytes.
Format: zarr v3 core specification and its sharding_indexed codec, version 1.0.
"""

from __future__ import annotations

import json
import math
import os
import stat
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from simulator.config.wording import shown
from simulator.errors import TraceError
from simulator.trace_format.archive import ITEM_BYTES, one_error
from simulator.trace_format.schema import hint
from simulator.trace_format.specs import FIRST_SCHEMA, MANIFEST_LIMIT_BYTES

_METADATA_LIMIT_BYTES = 1 << 16
_SHARD_LIMIT_IMAGES = 1 << 16
# Of all arrays together; one image may be larger.
CHUNK_LIMIT_BYTES = 32 << 20
# gzip never makes more than this of incompressible bytes (RFC 1951 stored blocks, RFC 1952 frame).
_GZIP_SLACK_BYTES = 64
_TYPES = {"|u1": "uint8", "<i8": "int64"}
_LITTLE: dict[str, Any] = {"name": "bytes", "configuration": {"endian": "little"}}
_CHECKED_KEYS = frozenset(
    (
        "zarr_format",
        "node_type",
        "shape",
        "data_type",
        "chunk_grid",
        "chunk_key_encoding",
        "fill_value",
        "codecs",
    )
)
_FREE_KEYS = frozenset(("attributes", "dimension_names", "storage_transformers"))


class Cut(NamedTuple):
    """How a store is cut: images of one shard, and of one chunk within it."""

    shard_images: int
    chunk_images: int


class Store:
    """An open store: the same face as an Archive."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not (path / "zarr.json").exists():
            rule = "must be a .npz archive, or a zarr store with its zarr.json"
            raise TraceError(f"{path}: file: is no regular file but a folder: {rule}")
        group = self._metadata("", "group")
        told = group.get("attributes")
        told = told.get("stasim") if isinstance(told, dict) else None
        place = f"{path}: zarr.json: attributes.stasim"
        if not isinstance(told, dict) or told.get("schema") != FIRST_SCHEMA:
            found = told.get("schema") if isinstance(told, dict) else told
            rule = f"must be {FIRST_SCHEMA!r}, or this is no trace of this program's version"
            raise TraceError(f"{place}.schema = {shown(found)}: {rule}")
        numbers = (told.get("shard_images"), told.get("chunk_images"))
        shard, chunk = (number if type(number) is int else 0 for number in numbers)
        if not 1 <= chunk <= shard <= _SHARD_LIMIT_IMAGES or shard % chunk:
            rule = f"must be whole numbers up to {_SHARD_LIMIT_IMAGES}, the first a multiple"
            raise TraceError(f"{place}: shard_images, chunk_images = {shown(numbers)}: {rule}")
        self.cut = Cut(shard, chunk)

    def close(self) -> None:
        """Nothing stays open between reads."""

    def read_manifest(self) -> bytes:
        """The bytes of the array `manifest`, which is one chunk."""
        found = self._metadata("manifest", "array").get("shape")
        size = found[0] if isinstance(found, list) and len(found) == 1 else None
        if type(size) is not int or not 0 < size <= MANIFEST_LIMIT_BYTES:
            rule = f"must be one number, at most {MANIFEST_LIMIT_BYTES}"
            raise TraceError(f"{self.path}: manifest: shape {shown(found)}: {rule}")
        self.check_metadata("manifest", "|u1", (size,), None)
        place = "manifest/c/0"
        data = self.read_bytes(place, 0, self.size_of(place))
        return self.inflated(place, data, size)

    def open_members(
        self, wanted: Mapping[str, tuple[str, tuple[int, ...]]]
    ) -> dict[str, StoredArray]:
        """A reader for every array that the manifest implies; there must be no other."""
        self._check_names("", {name.partition("/")[0] for name in wanted} | {"manifest"})
        for folder in ("active", "spikes"):
            inside = {name.partition("/")[2] for name in wanted if name.startswith(folder + "/")}
            if inside:
                self._metadata(folder, "group")
                self._check_names(folder, inside)
        images = next(iter(wanted.values()))[1][0]
        chunk = sum(ITEM_BYTES[dtype] * math.prod(shape) for dtype, shape in wanted.values())
        chunk = chunk // images * self.cut.chunk_images
        if self.cut.chunk_images > 1 and chunk > CHUNK_LIMIT_BYTES:
            rule = f"must be at most {CHUNK_LIMIT_BYTES}, or one image"
            raise TraceError(f"{self.path}: a chunk of all arrays has {chunk} bytes: {rule}")
        members = {}
        for name, (dtype, shape) in wanted.items():
            self.check_metadata(name, dtype, shape, self.cut)
            members[name] = StoredArray(self, name, ITEM_BYTES[dtype], shape)
        return members

    def check_metadata(
        self, name: str, dtype: str, shape: tuple[int, ...], cut: Cut | None
    ) -> None:
        """An array's metadata say what they must and nothing that changes their meaning."""
        found = self._metadata(name, "array")
        place = f"{self.path}: {name}/zarr.json"
        for key in sorted(found.keys() - _CHECKED_KEYS - _FREE_KEYS):
            raise TraceError(f"{place}: key {shown(key)}: must be {hint(key, _CHECKED_KEYS)}")
        transformers = found.get("storage_transformers")
        if transformers:
            rule = "must be empty"
            raise TraceError(f"{place}: storage_transformers = {shown(transformers)}: {rule}")
        for key, value in array_metadata(dtype, shape, cut).items():
            if _without_levels(found.get(key)) != value:
                raise TraceError(
                    f"{place}: {key} = {shown(found.get(key))}: must be {shown(value)}"
                )

    def read_bytes(self, name: str, start: int, size: int) -> bytes:
        """`size` bytes of a file of the store; TraceError where it has fewer."""
        with one_error(self.path, name, "must be an intact file of the store"):
            self.size_of(name)
            with open(self.path / name, "rb") as file:
                file.seek(start)
                data = file.read(size)
        if len(data) != size:
            raise TraceError(f"{self.path}: {name}: ends at byte {start + len(data)}: is cut off")
        return data

    def inflated(self, place: str, data: bytes, size: int) -> bytes:
        """The one gzip stream in `data`, which must give exactly `size` bytes."""
        with one_error(self.path, place, "must be intact gzip streams"):
            stream = zlib.decompressobj(wbits=31)
            out = stream.decompress(data, size + 1)
            whole = stream.eof and not stream.unused_data
        if len(out) != size or not whole:
            rule = f"must be one gzip stream of exactly {size} bytes"
            raise TraceError(f"{self.path}: {place}: {len(data)} compressed bytes: {rule}")
        return out

    def size_of(self, name: str) -> int:
        """The size of a regular file; looked at before it is opened, as a pipe would wait."""
        with one_error(self.path, name, "must be a file of the store"):
            status = os.stat(self.path / name)
        if not stat.S_ISREG(status.st_mode):
            raise TraceError(f"{self.path}: {name}: is no regular file: must be one")
        return status.st_size

    def _metadata(self, name: str, kind: str) -> dict[str, Any]:
        """The JSON object in a node's zarr.json."""
        file = f"{name}/zarr.json".lstrip("/")
        place, size = f"{self.path}: {file}", self.size_of(file)
        if size > _METADATA_LIMIT_BYTES:
            raise TraceError(f"{place}: {size} bytes: must be at most {_METADATA_LIMIT_BYTES}")
        with one_error(self.path, file, "must be JSON in UTF-8"):
            found = json.loads(self.read_bytes(file, 0, size).decode("utf-8"))
        wanted = {"zarr_format": 3, "node_type": kind}
        for key, value in wanted.items():
            if not isinstance(found, dict) or found.get(key) != value:
                told = found.get(key) if isinstance(found, dict) else found
                raise TraceError(f"{place}: {key} = {shown(told)}: must be {shown(value)}")
        return dict(found)

    def _check_names(self, folder: str, wanted: set[str]) -> None:
        """A folder of the store holds these nodes and no others."""
        with one_error(self.path, folder or "folder", "must be a folder that can be read"):
            found = {entry.name for entry in os.scandir(self.path / folder)} - {"zarr.json"}
        prefix = f"{folder}/" if folder else ""
        for name in sorted(found - wanted):
            rule = f"must be in the manifest {hint(name, wanted)}"
            raise TraceError(f"{self.path}: {prefix}{shown(name)}: {rule}")
        for name in sorted(wanted - found):
            raise TraceError(f"{self.path}: {prefix}{name} is missing: must be there")


class StoredArray:
    """An array whose leading axis is the image; holds one chunk of images at a time."""

    def __init__(self, store: Store, name: str, item_bytes: int, shape: tuple[int, ...]) -> None:
        self.store, self.name = store, name
        self.image_bytes = item_bytes * math.prod(shape[1:])
        self._inner = "/0" * (len(shape) - 1)
        self._shard = self._chunk = -1
        self._index: list[tuple[int, int]] = []
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

    def _read_index(self, file: str) -> list[tuple[int, int]]:
        """(first byte, bytes) of each chunk, from the end of the shard."""
        cut = self.store.cut
        chunks = cut.shard_images // cut.chunk_images
        size = 16 * chunks + 4  # and crc32c
        whole = self.store.size_of(file)
        if whole < size:
            rule = f"must end with an index of {size}"
            raise TraceError(f"{self.store.path}: {file}: {whole} bytes: {rule}")
        raw = np.frombuffer(self.store.read_bytes(file, whole - size, size - 4), "<u8")
        pairs = raw.reshape(-1, 2).tolist()
        # A chunk that is all beyond the last image is left out, marked by 2^64 - 1.
        return [(int(start), int(length)) for start, length in pairs]


def array_metadata(dtype: str, shape: tuple[int, ...], cut: Cut | None) -> dict[str, Any]:
    """What an array's zarr.json must say, less the level of its compression.

    `cut` None: one chunk, no shards.
    """
    gzip = {"name": "gzip", "configuration": {}}
    # Bytes have no order of bytes; zarr leaves it out.
    plain: dict[str, Any] = _LITTLE if dtype != "|u1" else {"name": "bytes"}
    inner: list[dict[str, Any]] = [plain, gzip]
    grid = list(shape)
    if cut is not None:
        grid[0] = cut.shard_images
        sharding = {
            "chunk_shape": [cut.chunk_images, *shape[1:]],
            "codecs": inner,
            "index_codecs": [_LITTLE, {"name": "crc32c"}],
            "index_location": "end",
        }
        inner = [{"name": "sharding_indexed", "configuration": sharding}]
    return {
        "shape": list(shape),
        "data_type": _TYPES[dtype],
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": grid}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": inner,
    }


def _without_levels(value: Any) -> Any:
    """The metadata with the level of compression left out."""
    if isinstance(value, list):
        return [_without_levels(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_levels(item) for key, item in value.items() if key != "level"}
    return value
