"""Does a zarr store hold the same trace as an archive, image for image, and is it true zarr?"""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings

from simulator.errors import TraceError
from simulator.trace import Image, StoreWriter, Trace, open_writer
from simulator.trace_format.store import CHUNK_LIMIT_BYTES, cut_of
from tests.factories import Content, tiny_content, traces

TINY = {"tokens": 3, "channels": 5, "blocks": 1, "heads": 1, "mlp_ratio": 1}


def write_store(path: Path, content: Content, shard_bytes: int = 1 << 20) -> Path:
    with StoreWriter(path, content.manifest, shard_bytes) as writer:
        for image in content.images:
            writer.add(image.tensors, image.active, image.label, image.prediction)
    return path


def same(one: Image, other: Image) -> bool:
    return (
        one[0:1] + one[3:] == other[0:1] + other[3:]
        and all(np.array_equal(one.tensors[name], other.tensors[name]) for name in one.tensors)
        and all(np.array_equal(one.active[name], other.active[name]) for name in one.active)
        and (one.tensors.keys(), one.active.keys()) == (other.tensors.keys(), other.active.keys())
    )


@settings(max_examples=8)
@given(content=traces())
def test_both_forms_hold_the_same(
    content: Content, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("forms")
    content.write(folder / "x.npz")
    write_store(folder / "x.zarr", content)
    with Trace.open(folder / "x.npz") as archive, Trace.open(folder / "x.zarr") as store:
        assert store.manifest == archive.manifest
        assert store.content_hash == archive.content_hash
        assert all(map(same, store, archive))
        store.verify()


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> tuple[Content, Path]:
    """A store of several shards, whose last one is not full."""
    content = tiny_content(images=75, **TINY)
    path = tmp_path_factory.mktemp("long") / "long.zarr"
    return content, write_store(path, content, shard_bytes=1)


def test_images_far_apart_are_read_in_any_order(long: tuple[Content, Path]) -> None:
    content, path = long
    order = np.random.default_rng(0).permutation(75).tolist()
    with Trace.open(path) as trace:
        assert all(same(trace.read(index), content.images[index]) for index in order)
    assert len(list((path / "labels" / "c").iterdir())) == 3


def test_zarr_itself_reads_the_same(long: tuple[Content, Path]) -> None:
    content, path = long
    group = zarr.open_group(str(path), mode="r")
    labels = [image.label for image in content.images]
    assert group["labels"][:].tolist() == labels
    stored = group["spikes/sps.image"][:]
    wanted = np.stack([image.tensors["sps.image"] for image in content.images])
    assert np.array_equal(stored, wanted)


def test_memory_is_bounded_by_a_chunk_whatever_the_length(tmp_path: Path) -> None:
    peaks = []
    for images in (64, 512):
        content = tiny_content(images=images, **TINY)
        path = write_store(tmp_path / f"{images}.zarr", content)
        with Trace.open(path) as trace:
            trace.read(0)
            tracemalloc.start()
            for image in trace:
                del image
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


@pytest.mark.parametrize("image_bytes", [100, 160_000, 20 << 20, 200 << 20])
def test_shards_are_whole_chunks_within_the_readers_limit(image_bytes: int) -> None:
    cut = cut_of(image_bytes, 64 << 20)
    assert cut.shard_images % cut.chunk_images == 0
    assert cut.chunk_images == 1 or cut.chunk_images * image_bytes <= CHUNK_LIMIT_BYTES
    assert cut.shard_images * image_bytes <= max(64 << 20, image_bytes)


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    content = tiny_content(images=3, **TINY)
    with pytest.raises(TraceError, match="1 images were added"):
        write_store(tmp_path / "x.zarr", content._replace(images=content.images[:1]))
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_never_written_over(tmp_path: Path) -> None:
    content = tiny_content(images=1, **TINY)
    (tmp_path / "x.zarr").mkdir()
    with pytest.raises(TraceError, match="is there already"):
        open_writer(tmp_path / "x.zarr", content.manifest)
