"""Writes traces of version 1 as zarr stores, which the product reads and no longer writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from tests.broken_traces import FIRST, Unzipped
from tests.factories import Content


def write_store(
    path: Path, content: Content, shard_images: int = 32, chunk_images: int = 32
) -> Path:
    """Write a trace as a store whose arrays are cut alike; returns its path."""
    second = content.write(path.with_suffix(".second.npz"))
    unzipped = Unzipped.load(second).as_first()
    second.unlink()
    cut = {"schema": FIRST, "shard_images": shard_images, "chunk_images": chunk_images}
    group = zarr.create_group(str(path), zarr_format=3, attributes={"stasim": cut})
    for name, array in unzipped.arrays.items():
        inner = array.shape[1:]
        _add(group, name, array, (chunk_images, *inner), (shard_images, *inner))
    manifest = np.frombuffer(json.dumps(unzipped.manifest).encode(), np.uint8)
    _add(group, "manifest", manifest, manifest.shape, None)
    return path


def _add(group: Any, name: str, array: Any, chunks: Any, shards: Any) -> None:
    """An array, with every chunk, those of zeros too."""
    stored = group.create_array(
        name,
        shape=array.shape,
        dtype=array.dtype,
        chunks=chunks,
        shards=shards,
        compressors=zarr.codecs.GzipCodec(level=6),
        fill_value=0,
        config={"write_empty_chunks": True},
    )
    stored[:] = array
