"""Writing a trace as a zarr store: a shard at a time, the folder appears whole at the end."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from simulator.errors import TraceError
from simulator.trace_format.archive import ITEM_BYTES
from simulator.trace_format.specs import SCHEMA
from simulator.trace_format.store import Cut, cut_of
from simulator.trace_format.writer import TraceWriter, sync_folder

STORE_SUFFIX = ".zarr"
SHARD_BYTES = 64 << 20
"""Of all arrays together, uncompressed: what the writer holds in memory."""
_GZIP_LEVEL = 6


class StoreWriter(TraceWriter):
    """Writes the same content as a TraceWriter, as a folder; memory is bounded by one shard.

    The same content has the same content hash; its files differ in the dates that gzip notes.

    `shard_bytes`: of all arrays of a shard before compression; larger shards are fewer files.
    Raises TraceError where something lies at the path already, or without the package zarr.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        manifest: Mapping[str, Any],
        shard_bytes: int = SHARD_BYTES,
    ) -> None:
        super().__init__(path, manifest)
        if os.path.lexists(self.path):
            raise TraceError(f"{self.path}: is there already: must be a new folder")
        self._shapes = self._layout.members()
        images = self._layout.images
        image_bytes = sum(
            ITEM_BYTES[dtype] * int(np.prod(shape[1:], dtype=np.int64))
            for dtype, shape in self._shapes.values()
        )
        self.cut: Cut = cut_of(image_bytes, min(shard_bytes, images * image_bytes))
        self._waiting: list[Mapping[str, npt.NDArray[Any]]] = []
        self._next_image = 0
        self._group: Any = None
        self._arrays: dict[str, Any] = {}

    def __enter__(self) -> Self:
        super().__enter__()
        assert self._spool is not None
        self._group = _zarr(self.path).create_group(
            str(self._spool / "store"),
            zarr_format=3,
            attributes={"stasim": {"schema": SCHEMA, **self.cut._asdict()}},
        )
        for name, (dtype, shape) in self._shapes.items():
            self._arrays[name] = self._array(name, dtype, shape, self.cut)
        return self

    def _keep(self, members: Mapping[str, npt.NDArray[Any]]) -> None:
        self._waiting.append({name: np.array(array) for name, array in members.items()})
        if len(self._waiting) == self.cut.shard_images:
            self._flush()

    def _flush(self) -> None:
        """Write the images that wait, which are a whole shard or the last ones."""
        stop = self._next_image + len(self._waiting)
        for name, (dtype, shape) in self._shapes.items() if self._waiting else ():
            values = np.stack([image[name].reshape(shape[1:]) for image in self._waiting])
            self._arrays[name][self._next_image : stop] = values.astype(dtype, copy=False)
        self._next_image = stop
        self._waiting.clear()

    def _written(self, spool: Path, manifest: bytes) -> Path:
        self._flush()
        text = np.frombuffer(manifest, np.uint8)
        self._array("manifest", "|u1", text.shape, None)[:] = text
        store = spool / "store"
        _sync_tree(store)
        return store

    def _array(self, name: str, dtype: str, shape: tuple[int, ...], cut: Cut | None) -> Any:
        """A new array; `cut` None: in one chunk. Chunks of zeros are written too: none may lack."""
        chunks = shape if cut is None else (cut.chunk_images, *shape[1:])
        shards = None if cut is None else (cut.shard_images, *shape[1:])
        return self._group.create_array(
            name,
            shape=shape,
            dtype=dtype,
            chunks=chunks,
            shards=shards,
            compressors=_zarr(self.path).codecs.GzipCodec(level=_GZIP_LEVEL),
            fill_value=0,
            config={"write_empty_chunks": True},
        )


def _zarr(path: Path) -> Any:
    try:
        import zarr
    except ImportError:
        rule = "needs the extra 'cluster': pip install 'stasim[cluster]'"
        raise TraceError(f"{path}: a trace that is a zarr store {rule}") from None
    return zarr


def _sync_tree(folder: Path) -> None:
    for place, _, files in os.walk(folder):
        for name in files:
            descriptor = os.open(os.path.join(place, name), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_folder(Path(place))
