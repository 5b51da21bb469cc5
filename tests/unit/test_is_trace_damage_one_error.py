"""Whatever happens to a trace file: TraceError, or what it held before, and no memory taken.

A flip in a field that means nothing (a date, a second copy of a size) may go unnoticed.
"""

from __future__ import annotations

import contextlib
import json
import struct
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simulator.errors import TraceError
from simulator.trace import Trace
from tests.broken_traces import Unzipped, npy, patch_directory, zipped
from tests.factories import first_trace, tiny_content, tiny_trace
from tests.messages import refused, said

TERABYTES = 10**13
# A guard against hanging, not a measure of speed.
ENDLESS_SECONDS = 60.0


class Whole:
    """A place to write damaged files, and a sound one's bytes (too many to show)."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path, self.data = path, data


def content_of(path: Path) -> list[Any]:
    """All that a reader can see of a trace."""
    with Trace.open(path) as trace:
        trace.verify()
        seen = [
            (
                image.label,
                image.prediction,
                {name: tensor.tobytes() for name, tensor in image.tensors.items()},
                {block: mask.tobytes() for block, mask in image.active.items()},
            )
            for image in trace
        ]
        return [trace.manifest, seen]


@pytest.fixture(scope="module", params=[tiny_trace, first_trace])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    path = tmp_path_factory.mktemp("damaged") / "x.npz"
    options = {"tokens": 3, "channels": 5, "blocks": 1, "heads": 1, "mlp_ratio": 1}
    return Whole(path, request.param(path, **options).read_bytes())


@pytest.fixture(scope="module")
def sound(whole: Whole) -> list[Any]:
    whole.path.write_bytes(whole.data)
    return content_of(whole.path)


def refused_or_same(path: Path, data: bytes, sound: list[Any]) -> None:
    path.write_bytes(data)
    try:
        found = content_of(path)
    except TraceError as error:
        found, message = sound, str(error)
    else:
        message = f"{path}: "
    assert message.startswith(f"{path}: ")
    assert found == sound


@settings(max_examples=400)
@given(data=st.data())
def test_is_a_flipped_bit_refused_or_harmless(
    data: st.DataObject, whole: Whole, sound: list[Any]
) -> None:
    path, intact = whole.path, whole.data
    position = data.draw(st.integers(0, 8 * len(intact) - 1))
    damaged = bytearray(intact)
    damaged[position // 8] ^= 1 << position % 8
    refused_or_same(path, bytes(damaged), sound)


@settings(max_examples=200)
@given(data=st.data())
def test_are_overwritten_bytes_refused_or_harmless(
    data: st.DataObject, whole: Whole, sound: list[Any]
) -> None:
    path, intact = whole.path, whole.data
    start = data.draw(st.integers(0, len(intact) - 1))
    new = data.draw(st.binary(min_size=1, max_size=12))
    damaged = intact[:start] + new + intact[start + len(new) :]
    refused_or_same(path, damaged[: len(intact)], sound)


@settings(max_examples=100)
@given(data=st.data())
def test_is_every_truncated_file_refused(data: st.DataObject, whole: Whole) -> None:
    path, intact = whole.path, whole.data
    path.write_bytes(intact[: data.draw(st.integers(0, len(intact) - 1))])
    with pytest.raises(TraceError):
        Trace.open(path)


@settings(max_examples=100)
@given(data=st.data())
def test_are_lost_or_doubled_bytes_refused_or_harmless(
    data: st.DataObject, whole: Whole, sound: list[Any]
) -> None:
    path, intact = whole.path, whole.data
    ends = sorted(data.draw(st.tuples(*[st.integers(0, len(intact))] * 2)))
    again = data.draw(st.integers(0, 2))
    damaged = intact[: ends[0]] + intact[ends[0] : ends[1]] * again + intact[ends[1] :]
    refused_or_same(path, damaged, sound)


@settings(max_examples=100)
@given(junk=st.binary(max_size=300))
@example(junk=b"PK\5\6" + bytes(18))
@example(junk=b"PK\6\6" + bytes(52) + b"PK\6\7" + bytes(16) + b"PK\5\6" + b"\xff" * 16 + bytes(2))
def test_is_junk_refused(junk: bytes, whole: Whole) -> None:
    path = whole.path
    path.write_bytes(junk)
    with pytest.raises(TraceError):
        Trace.open(path)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def paths_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every field of a manifest."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in items:
        yield (*path, key)
        if isinstance(child, dict | list):
            yield from paths_in(child, (*path, key))


MANIFEST = tiny_content(tokens=3, channels=5, blocks=1, heads=1, mlp_ratio=1).manifest
PATHS = [*paths_in(MANIFEST), ("stages",)]


@settings(max_examples=300)
@given(where=st.sampled_from(PATHS), junk=JUNK, drop=st.booleans())
def test_is_any_value_anywhere_in_the_manifest_accepted_or_refused_with_one_error(
    where: tuple[Any, ...], junk: Any, drop: bool, whole: Whole
) -> None:
    path, intact = whole.path, whole.data
    path.write_bytes(intact)
    unzipped = Unzipped.load(path)
    parent: Any = unzipped.manifest
    for key in where[:-1]:
        parent = parent[key]
    if drop:
        parent.pop(where[-1], *[None] * isinstance(parent, dict))  # version 1 has no stages
    else:
        parent[where[-1]] = junk
    unzipped.seal_manifest().save(path)
    with contextlib.suppress(TraceError):
        content_of(path)


def with_terabytes_in_the_directory(path: Path) -> Path:
    members = Unzipped.load(path).members()
    return zipped(path, members, declared=dict.fromkeys(members, TERABYTES))


def with_terabytes_stored(path: Path) -> Path:
    members = Unzipped.load(path).members()
    return zipped(path, members, zipfile.ZIP_STORED, dict.fromkeys(members, TERABYTES))


def with_terabytes_in_every_header(path: Path) -> Path:
    unzipped = Unzipped.load(path)
    members = {
        f"{name}.npy": npy(array, shape=(TERABYTES, *array.shape[1:]))
        for name, array in unzipped.arrays.items()
    }
    return zipped(path, unzipped.members() | members)


def with_terabytes_in_the_manifest(path: Path) -> Path:
    """With hashes that fit, so that the limit on one image has to decide."""
    unzipped = Unzipped.load(path)
    manifest = unzipped.manifest
    side = 1 << 15
    manifest["model"] |= {"tokens": side * side, "token_grid": [side, side]}
    for tensor in manifest["tensors"]:
        tensor |= {"grid": [side, side], "rows": side * side, "channels": 2**16}
    return unzipped.seal_manifest().save(path)


def with_a_true_bomb(path: Path) -> Path:
    """A manifest that really inflates to 128 MiB, from 128 KiB."""
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
    mebibyte = bytes(1 << 20)
    body = b"".join(squeezed.compress(mebibyte) for _ in range(128)) + squeezed.flush()
    zipped(path, {"manifest.npy": body}, zipfile.ZIP_STORED)
    patch_directory(path, "manifest.npy", 10, "<H", zipfile.ZIP_DEFLATED)
    patch_directory(path, "manifest.npy", 24, "<L", 128 << 20)
    return path


def with_a_directory_of_gigabytes(path: Path) -> Path:
    """A sparse file whose end record calls 2 GiB of it the directory."""
    size = 2 << 30
    with open(path, "wb") as file:
        file.truncate(size)
        file.seek(size)
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, size, 0, 0))
    return path


# With the rule that has to stop each.
HOSTILE = {
    with_terabytes_in_the_directory: "declares 10000000000000 bytes: must be at most ",
    with_terabytes_stored: "declares 10000000000000 bytes: must be its stored ",
    with_terabytes_in_every_header: "labels.npy: shape (10000000000000,): must be (2,)",
    with_terabytes_in_the_manifest: "must be at most 268435456",
    with_a_true_bomb: "manifest.npy: 134217728 bytes: must be at most 8388608",
    with_a_directory_of_gigabytes: "zip directory: 2147483648 bytes: must be at most 1048576",
}


@pytest.mark.parametrize(("hostile", "rule"), HOSTILE.items())
def test_does_a_file_that_declares_terabytes_fail_without_taking_memory(
    hostile: Any, rule: str, tmp_path: Path
) -> None:
    path = hostile(first_trace(tmp_path / "x.npz"))
    tracemalloc.start()
    start = time.monotonic()
    with pytest.raises(TraceError) as caught:
        Trace.open(path)
    elapsed = time.monotonic() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(caught.value).startswith(f"{path}: ")
    assert rule in str(caught.value)
    assert peak < 50e6
    assert elapsed < ENDLESS_SECONDS


def test_does_a_manifest_full_of_problems_show_the_first_twenty(tmp_path: Path) -> None:
    path = tiny_trace(tmp_path / "x.npz")
    unzipped = Unzipped.load(path)
    unzipped.manifest["operations"] = [{"name": str(index)} for index in range(5000)]
    start = time.monotonic()
    with pytest.raises(TraceError) as caught:
        Trace.open(unzipped.seal_manifest().save(path))
    lines = str(caught.value).splitlines()
    assert len(lines) == 21
    assert lines[-1].startswith(f"{path}: manifest: and ")
    assert lines[-1].endswith(" more problems")
    assert time.monotonic() - start < ENDLESS_SECONDS


def test_do_many_members_fail_before_they_are_opened(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    zipped(path, {f"{index}.npy": b"" for index in range(5000)})
    with refused(TraceError, path, "zip directory", "5000 members", rule="4096"):
        Trace.open(path)


def test_is_a_trace_of_a_newer_version_refused_whatever_else_it_holds(tmp_path: Path) -> None:
    manifest = np.frombuffer(json.dumps({"schema": "stasim-trace/3"}).encode(), np.uint8)
    path = zipped(tmp_path / "x.npz", {"manifest.npy": npy(manifest), "new.npy": b"anything"})
    with pytest.raises(TraceError, match=said("a trace of a newer version")):
        Trace.open(path)
