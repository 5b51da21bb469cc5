"""What a writer is given is what a reader gets, image by image."""

from __future__ import annotations

import json
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import TraceError
from simulator.trace import SCHEMA, Image, Trace, pack_bits, unpack_bits
from simulator.trace_format.archive import Archive
from simulator.trace_format.members import Member
from tests.broken_traces import Unzipped, npy, zipped
from tests.factories import (
    GRANULARITIES,
    Content,
    first_trace,
    pack_planes,
    tiny_content,
    tiny_trace,
    traces,
    unpack_planes,
)
from tests.messages import refused


def same(found: Image, wanted: Image) -> bool:
    return (
        (found.index, found.label, found.prediction)
        == (wanted.index, wanted.label, wanted.prediction)
        and list(found.tensors) == list(wanted.tensors)
        and all(np.array_equal(found.tensors[name], wanted.tensors[name]) for name in found.tensors)
        and found.active.keys() == wanted.active.keys()
        and all(np.array_equal(found.active[block], wanted.active[block]) for block in found.active)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traces")


@settings(max_examples=60)
@given(content=traces())
def test_does_every_trace_come_back_as_it_was_given(content: Content, folder: Path) -> None:
    with Trace.open(content.write(folder / "drawn.npz")) as trace:
        trace.verify()
        assert len(trace) == trace.images == len(content.images)
        assert all(same(*pair) for pair in zip(trace, content.images, strict=True))
        for entry in trace.manifest["tensors"]:
            del entry["ones"], entry["nonzero"]
        for key in ("image_sha256", "content_hash", "stages"):
            del trace.manifest[key]
        assert trace.manifest == content.manifest


@settings(max_examples=25)
@given(content=traces(), method=st.sampled_from((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
def test_does_the_first_version_hold_the_same(content: Content, method: int, folder: Path) -> None:
    path = content.write(folder / "second.npz")
    first = Unzipped.load(path).as_first()
    with (
        Trace.open(path) as new,
        Trace.open(zipped(folder / "first.npz", first.members(), method)) as old,
    ):
        old.verify()
        assert old.content_hash == new.content_hash
        assert old.layout == new.layout
        whole = range(new.images)
        one, other = old.read_batch(whole), new.read_batch(whole)
        for column in one._fields:
            assert np.array_equal(getattr(one, column), getattr(other, column))


@settings(max_examples=25)
@given(content=traces(), method=st.sampled_from((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
def test_do_counts_and_hashes_equal_those_of_their_plain_definition(
    content: Content, method: int, folder: Path
) -> None:
    path = content.write(folder / "hashed.npz")
    unzipped = Unzipped.load(path)
    written = json.loads(json.dumps(unzipped.manifest))
    assert unzipped.seal().manifest == written
    for name, tensor in ((entry["name"], entry) for entry in written["tensors"]):
        values = [
            unpack_planes(image.tensors[name], tensor["channels"]) for image in content.images
        ]
        assert tensor["nonzero"] == np.count_nonzero(values)
    # numpy's own archives, stored or deflated, are traces as well.
    with Trace.open(zipped(folder / "other.npz", unzipped.members(), method)) as trace:
        trace.verify()
        assert trace.content_hash == written["content_hash"]


@given(data=st.data(), channels=st.integers(1, 20))
def test_does_packing_put_channel_c_into_bit_c(data: st.DataObject, channels: int) -> None:
    flags = st.lists(st.booleans(), min_size=channels, max_size=channels)
    rows = np.array(data.draw(st.lists(flags, min_size=1, max_size=4)))
    packed = pack_bits(rows)
    assert packed.shape == (len(rows), (channels + 7) // 8)
    slow = [sum(int(bit) << channel for channel, bit in enumerate(row)) for row in rows]
    assert [int.from_bytes(row.tobytes(), "little") for row in packed] == slow
    assert np.array_equal(unpack_bits(packed, channels), rows)


def test_do_planes_hold_whole_numbers_least_significant_first() -> None:
    values = np.array([[[5, 0, 255]]])
    packed = pack_planes(values, 8)
    assert packed[0, :, 0, 0].tolist() == [0b101, 0b100, 0b101] + [0b100] * 5
    assert np.array_equal(unpack_planes(packed, 3), values)


@pytest.mark.parametrize("write", [tiny_trace, first_trace])
@given(order=st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_does_any_order_of_reading_give_the_same_images(
    write: Callable[..., Path], order: list[int], folder: Path
) -> None:
    options = {"images": 5, "tokens": 4, "channels": 10, "blocks": 1}
    content = tiny_content(**options)
    path = folder / f"{write.__name__}.npz"
    if not path.exists():
        write(path, **options)
    with Trace.open(path) as trace:
        assert all(same(trace.read(index), content.images[index]) for index in order)


@pytest.mark.parametrize("write", [tiny_trace, first_trace])
def test_does_a_second_pass_read_the_same(write: Callable[..., Path], tmp_path: Path) -> None:
    with Trace.open(write(tmp_path / "x.npz", images=3)) as trace:
        assert all(same(*pair) for pair in zip(trace, list(trace), strict=True))


@pytest.mark.parametrize("halting", GRANULARITIES)
@pytest.mark.parametrize("integrate", [True, False])
def test_do_specs_mirror_the_manifest(halting: str, integrate: bool, tmp_path: Path) -> None:
    with Trace.open(
        tiny_trace(tmp_path / "x.npz", halting=halting, integrate=integrate, timesteps=3)
    ) as trace:
        image = trace.read(0)
        assert trace.manifest["schema"] == SCHEMA
        for entry in trace.manifest["tensors"]:
            tensor = trace.tensors[entry["name"]]
            assert {key: getattr(tensor, key) for key in entry} == {
                **entry,
                "grid": tuple(entry["grid"]),
            }
            shape = (tensor.timesteps, tensor.planes, tensor.rows, -(-tensor.channels // 8))
            assert image.tensors[tensor.name].shape == tensor.shape == shape
        for entry, operation in zip(trace.manifest["operations"], trace.operations, strict=True):
            shapes = {k: tuple(v) if isinstance(v, list) else v for k, v in entry["shapes"].items()}
            assert {key: getattr(operation, key) for key in entry} == {**entry, "shapes": shapes}
            assert operation.role == trace.manifest["stages"][operation.stage]


def test_are_the_arrays_of_an_image_read_only(tmp_path: Path) -> None:
    with Trace.open(tiny_trace(tmp_path / "x.npz")) as trace:
        image = trace.read(0)
    arrays = [*image.tensors.values(), *image.active.values()]
    assert not any(array.flags.writeable for array in arrays)


@pytest.mark.parametrize("write", [tiny_trace, first_trace])
def test_does_memory_stay_that_of_one_image(write: Callable[..., Path], tmp_path: Path) -> None:
    """Twelve times the images, read forwards, backwards and far inside, in the same memory."""
    peaks, sizes = [], []
    for images in (2, 24):
        path = write(
            tmp_path / f"{images}.npz", images=images, tokens=64, channels=256, density=0.5
        )
        sizes.append(path.stat().st_size)
        tracemalloc.start()
        with Trace.open(path) as trace:
            for _ in trace:
                pass
            trace.read(0)
            trace.read(images - 1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert sizes[1] > 11 * sizes[0]
    assert peaks[1] < 1.3 * peaks[0]


def test_does_skipping_images_take_no_memory(tmp_path: Path) -> None:
    """The stream of a member keeps compressed bytes only as far as it has to."""
    rows = np.random.default_rng(0).integers(0, 256, (64, 1 << 16), np.uint8)
    archive = Archive(zipped(tmp_path / "x.npz", {"rows.npy": npy(rows)}))
    member = Member(archive, "rows", "|u1", rows.shape)
    tracemalloc.start()
    last = member.read(63)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    archive.close()
    assert last == rows[63].tobytes()
    assert peak < rows.nbytes / 8


@pytest.mark.parametrize("write", [tiny_trace, first_trace])
def test_does_reading_one_image_leave_the_others_alone(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    """Damage in a later image is not seen, and does not matter, before that image is read."""
    path = write(tmp_path / "x.npz", images=3)
    unzipped = Unzipped.load(path)
    unzipped.arrays["labels"][2] = 10**6
    wanted = tiny_content(images=3).images
    with Trace.open(unzipped.save(path)) as trace:
        assert same(trace.read(1), wanted[1])
        with refused(TraceError, f"{path}: image 2", ANY, ANY):
            trace.read(2)
        assert same(trace.read(0), wanted[0])
