"""A batch holds its images side by side, at the places that the layout names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import TraceError
from simulator.trace import Image, Trace, TraceWriter
from simulator.trace_format.layout import aligned
from tests.broken_traces import Unzipped
from tests.factories import Content, first_trace, tiny_trace, traces
from tests.messages import refused, said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traces")


@settings(max_examples=40)
@given(content=traces(), data=st.data())
def test_are_arrays_where_the_layout_says(
    content: Content, data: st.DataObject, folder: Path
) -> None:
    indices = data.draw(st.lists(st.integers(0, len(content.images) - 1), max_size=5))
    with Trace.open(content.write(folder / "x.npz")) as trace:
        layout, batch = trace.layout, trace.read_batch(indices)
    assert batch.index.tolist() == indices
    assert batch.arena.shape == (len(indices), layout.image_bytes)
    assert layout.image_bytes % 64 == 0
    assert len(indices) == 0 or batch.arena.ctypes.data % 64 == 0
    for place, index in enumerate(indices):
        wanted, row = content.images[index], batch.arena[place]
        for name, tensor in layout.tensors.items():
            start = layout.offsets[name]
            assert start % 8 == 0
            packed = wanted.tensors[name]
            assert row[start : start + packed.size].tobytes() == packed.tobytes()
            view = layout.tensor(batch.arena, name)
            assert np.shares_memory(view, batch.arena)
            assert np.array_equal(view[place], packed)
            assert packed.shape == tensor.shape
        masks = np.stack([wanted.active[str(block)] for block in range(layout.blocks)])
        assert np.array_equal(batch.active[place], masks)
        assert (batch.label[place], batch.prediction[place]) == (wanted.label, wanted.prediction)


@given(content=traces())
@settings(max_examples=25)
def test_is_a_row_what_the_format_says(content: Content, folder: Path) -> None:
    path = content.write(folder / "x.npz")
    with Trace.open(path) as trace:
        arena = trace.read_batch(range(trace.images)).arena
    assert [row.tobytes() for row in arena] == Unzipped.load(path).rows()


@pytest.mark.parametrize("write", [tiny_trace, first_trace])
def test_can_one_arena_serve_many_batches(write: object, tmp_path: Path) -> None:
    assert callable(write)
    with Trace.open(write(tmp_path / "x.npz", images=5)) as trace:
        arena = trace.layout.new_arena(3)
        arena[:] = 0xFF
        for indices in ([4, 0, 2], [1], [3, 3]):
            batch = trace.read_batch(indices, arena)
            assert np.shares_memory(batch.arena, arena)
            assert np.array_equal(batch.arena, trace.read_batch(indices).arena)


def test_is_an_arena_that_does_not_fit_refused(tmp_path: Path) -> None:
    with Trace.open(tiny_trace(tmp_path / "x.npz")) as trace:
        size = trace.layout.image_bytes
        unfit: list[Any] = [
            np.zeros((1, size), np.uint8),
            np.zeros((2, size + 1), np.uint8),
            np.zeros((2, size), np.int8),
            np.zeros((2, 2 * size), np.uint8)[:, ::2],
            trace.layout.new_arena(3).reshape(-1)[4 : 4 + 2 * size].reshape(2, size),
        ]
        for wrong in unfit:
            with pytest.raises(ValueError, match=said("an array that holds no batch")):
                trace.read_batch(range(2), wrong)


@pytest.mark.parametrize("index", [-1, 2, 10**9])
def test_does_a_batch_name_the_image_that_is_not_there(index: int, tmp_path: Path) -> None:
    path = tiny_trace(tmp_path / "x.npz")
    rule = said("an image that is not there")
    with Trace.open(path) as trace, refused(TraceError, path, f"image {index}", rule=rule):
        trace.read_batch([0, index])


def test_does_a_batch_name_the_image_that_breaks_a_rule(tmp_path: Path) -> None:
    path = tiny_trace(tmp_path / "x.npz", images=4)
    unzipped = Unzipped.load(path)
    unzipped.arrays["labels"][2] = 10
    with Trace.open(unzipped.seal().save(path)) as trace:
        trace.read_batch([0, 1, 3])
        with refused(TraceError, f"{path}: image 2", "label 10", rule="9"):
            trace.read_batch([3, 2, 0])


def test_is_an_image_a_view_of_its_row(tmp_path: Path) -> None:
    path = tiny_trace(tmp_path / "x.npz")
    with Trace.open(path) as trace:
        image: Image = trace.read(1)
        bases = {id(tensor.base) for tensor in image.tensors.values()}
        with TraceWriter(tmp_path / "y.npz", trace.manifest) as writer:
            for each in trace:
                writer.add(each.tensors, each.active, each.label, each.prediction)
    assert len(bases) == 1
    assert path.read_bytes() == (tmp_path / "y.npz").read_bytes()


def test_is_a_size_rounded_up() -> None:
    assert [aligned(size) for size in (0, 1, 8, 9)] == [0, 8, 8, 16]
