"""Does a zarr store of version 1 hold the same trace as an archive, image for image?"""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from experiments.old_stores import StoredTrace
from experiments.old_stores import main as convert_store
from simulator.errors import TraceError
from simulator.trace import SCHEMA, Image, Trace, main, open_writer
from tests.broken_traces import Unzipped
from tests.factories import Content, first_trace, tiny_content, traces
from tests.messages import cases, refused
from tests.old_stores import write_store

TINY = {"tokens": 3, "channels": 5, "blocks": 1, "heads": 1, "mlp_ratio": 1}


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
    with Trace.open(folder / "x.npz") as archive, StoredTrace.open(folder / "x.zarr") as store:
        assert store.content_hash == archive.content_hash
        assert store.layout == archive.layout
        assert all(map(same, store, archive))
        store.verify()


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> tuple[Content, Path]:
    """A store of several shards, whose last one is not full."""
    content = tiny_content(images=75, **TINY)
    path = tmp_path_factory.mktemp("long") / "long.zarr"
    return content, write_store(path, content)


def test_images_far_apart_are_read_in_any_order(long: tuple[Content, Path]) -> None:
    content, path = long
    order = np.random.default_rng(0).permutation(75).tolist()
    with StoredTrace.open(path) as trace:
        assert all(same(trace.read(index), content.images[index]) for index in order)
    assert len(list((path / "labels" / "c").iterdir())) == 3


def test_memory_is_bounded_by_a_chunk_whatever_the_length(tmp_path: Path) -> None:
    peaks = []
    for images in (64, 512):
        content = tiny_content(images=images, **TINY)
        path = write_store(tmp_path / f"{images}.zarr", content, shard_images=512)
        with StoredTrace.open(path) as trace:
            trace.read(0)
            tracemalloc.start()
            for image in trace:
                del image
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        more = (512 - 64) * trace.layout.image_bytes
    assert peaks[1] - peaks[0] < more / 5


def test_a_store_is_no_longer_written(tmp_path: Path) -> None:
    with refused(TraceError, tmp_path / "x.zarr"):
        open_writer(tmp_path / "x.zarr", tiny_content(images=1, **TINY).manifest)
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_to_be_run_says_how_it_is_converted(tmp_path: Path) -> None:
    path = write_store(tmp_path / "x.zarr", tiny_content(images=1, **TINY))
    with refused(TraceError, path, "file", "is a zarr store of version 1"):
        Trace.open(path)


@pytest.mark.parametrize("old", ["first.npz", "store.zarr", "second.npz"])
def test_is_every_form_converted_to_the_same_bytes(old: str, tmp_path: Path) -> None:
    content = tiny_content(images=3, **TINY)
    second = content.write(tmp_path / "second.npz")
    Unzipped.load(second).as_first().save(tmp_path / "first.npz")
    write_store(tmp_path / "store.zarr", content)
    stored = old == "store.zarr"
    with (StoredTrace if stored else Trace).open(tmp_path / old) as trace:
        wanted = trace.content_hash
    words = [str(tmp_path / old), str(tmp_path / "new.npz")]
    assert (convert_store(words) if stored else main(["convert", *words])) == 0
    assert (tmp_path / "new.npz").read_bytes() == second.read_bytes()
    with Trace.open(tmp_path / "new.npz") as trace:
        assert trace.content_hash == wanted


def test_is_a_file_converted_in_place(tmp_path: Path) -> None:
    path = first_trace(tmp_path / "x.npz", **TINY)
    assert main(["convert", str(path), str(path)]) == 0
    with Trace.open(path) as trace:
        assert trace.manifest["schema"] == SCHEMA


@cases("does_a_conversion_that_cannot_be_say_why")
def test_does_a_conversion_that_cannot_be_say_why(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first_trace(tmp_path / "x.npz", **TINY)
    assert main(["convert", *(str(tmp_path / word) for word in words)]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]
