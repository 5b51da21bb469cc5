"""Each way to break the records of a trace gives one line, and no memory is taken over it."""

from __future__ import annotations

import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

from simulator.errors import TraceError
from simulator.trace import Trace, TraceWriter
from tests.broken_traces import Break, Unzipped, in_members, in_records, npy, zipped
from tests.factories import tiny_content, tiny_trace
from tests.messages import refused, rows, said

TERABYTES = 10**13


def in_ptr(change: Callable[[list[int]], list[int]]) -> Break:
    """Change the pointers to the records."""

    def broken(path: Path) -> None:
        unzipped = Unzipped.load(path)
        members = unzipped.members()
        ptr = in_records(unzipped.rows())["record_ptr"].tolist()
        members["record_ptr.npy"] = npy(np.array(change(ptr), "<i8"))
        zipped(path, members)

    return broken


def framed(frame: Callable[[bytes], bytes]) -> Break:
    """Put another frame in the place of the second image's, made of its row."""

    def broken(path: Path) -> None:
        unzipped = Unzipped.load(path)
        rows = unzipped.rows()
        arrays = in_records(rows, {1: frame(rows[1])})
        members = unzipped.members() | {f"{name}.npy": npy(data) for name, data in arrays.items()}
        zipped(path, members)

    return broken


def declaring(size: int, window: int | None = None) -> Callable[[bytes], bytes]:
    """A frame whose header lies; a window of some bytes (a power of two) if one is given."""

    def frame(row: bytes) -> bytes:
        header = struct.pack("<LB", 0xFD2FB528, 0xC0 if window else 0xE0)
        header += bytes([(window.bit_length() - 11) << 3]) if window else b""
        body = zstandard.compress(row)
        return header + struct.pack("<Q", size) + body[zstandard.frame_header_size(body) :]

    return frame


def bomb(row: bytes) -> bytes:
    """A frame that declares one row and holds 64 MiB."""
    large = zstandard.compress(bytes(64 << 20))
    header = struct.pack("<LBQ", 0xFD2FB528, 0xE0, len(row))
    return header + large[zstandard.frame_header_size(large) :]


def streamed(row: bytes) -> bytes:
    """A frame that declares no size."""
    return zstandard.ZstdCompressor(write_content_size=False).compress(row)


def with_dictionary(row: bytes) -> bytes:
    samples: list[Any] = [bytes([i % 7, i % 5, i % 3]) * 50 for i in range(200)]
    return zstandard.ZstdCompressor(dict_data=zstandard.train_dictionary(512, samples)).compress(
        row
    )


def with_padding(path: Path) -> None:
    """A byte between two arrays is set; no hash binds it."""
    unzipped = Unzipped.load(path)
    rows = unzipped.rows()
    arrays = in_records([rows[0], rows[1][:-1] + b"\7"])
    members = unzipped.members() | {f"{name}.npy": npy(data) for name, data in arrays.items()}
    zipped(path, members)


WORDS = rows("broken_record")
CASES: dict[str, Break] = {
    "no records": in_members(lambda members: members.pop("records.npy")),
    "array of version 1": in_members(
        lambda members: members.update({"labels.npy": npy(np.zeros(2, "<i8"))})
    ),
    "name with an escape": in_members(lambda members: members.update({"spi\x1b[2J.npy": b""})),
    "records of words": in_members(
        lambda members: members.update({"records.npy": npy(np.zeros(9, "<i8"))})
    ),
    "records of two axes": in_members(
        lambda members: members.update({"records.npy": npy(np.zeros((2, 9), "u1"))})
    ),
    "records cut": in_members(
        lambda members: members.update({"records.npy": members["records.npy"][:-1]})
    ),
    "too few pointers": in_ptr(lambda ptr: ptr[1:]),
    "pointers from 1": in_ptr(lambda ptr: [1, *ptr[1:]]),
    "pointers beyond": in_ptr(lambda ptr: [*ptr[:-1], TERABYTES]),
    "pointers back": in_ptr(lambda ptr: [0, -1, ptr[2]]),
    "pointers far back": in_ptr(lambda ptr: [0, -(2**63), ptr[2]]),
    "record of nothing": in_ptr(lambda ptr: [0, 0, ptr[2]]),
    "record too long": framed(lambda row: zstandard.compress(row) + bytes(2 * len(row))),
    "no frame": framed(lambda row: b"anything" * 9),
    "terabytes": framed(declaring(TERABYTES)),
    "one byte less": framed(lambda row: zstandard.compress(row[:-1])),
    "no size": framed(streamed),
    "window of gigabytes": framed(lambda row: declaring(len(row), 1 << 31)(row)),
    "dictionary": framed(with_dictionary),
    "bomb": framed(bomb),
    "frame cut": framed(lambda row: zstandard.compress(row)[:-9]),
    "skippable frame": framed(lambda row: struct.pack("<LL", 0x184D2A50, len(row)) + row),
    "padding": with_padding,
}


@pytest.mark.parametrize("case", CASES)
def test_does_a_broken_record_give_one_line_and_take_no_memory(case: str, tmp_path: Path) -> None:
    path = tiny_trace(tmp_path / "broken.npz")
    CASES[case](path)
    tracemalloc.start()
    with pytest.raises(TraceError) as caught, Trace.open(path) as trace:
        trace.verify()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert [word for word in WORDS[case][0] if word not in message] == [], message
    assert peak < 4 << 20


def test_are_deflated_records_refused(tmp_path: Path) -> None:
    path = tiny_trace(tmp_path / "x.npz")
    members = Unzipped.load(path).members()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with refused(TraceError, f"{path}: records.npy", "is deflated"):
        Trace.open(path)


def test_does_a_frame_of_another_writer_serve_as_well(tmp_path: Path) -> None:
    """Of any level, with a checksum, with a window of its own."""
    path = tiny_trace(tmp_path / "x.npz")
    wanted = Trace.open(path).read_batch(range(2)).arena
    for level in (1, 19):
        compressor = zstandard.ZstdCompressor(level=level, write_checksum=level == 19)
        framed(compressor.compress)(path)
        with Trace.open(path) as trace:
            assert np.array_equal(trace.read_batch(range(2)).arena, wanted)


def test_are_records_of_gigabytes_found_by_zip64(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the longer local header that large members have."""
    monkeypatch.setattr("simulator.trace_format.writer._ZIP64_FROM_BYTES", 1)
    content = tiny_content()
    with TraceWriter(tmp_path / "x.npz", content.manifest) as writer:
        for image in content.images:
            writer.add(image.tensors, image.active, image.label, image.prediction)
    with Trace.open(tmp_path / "x.npz") as trace:
        trace.verify()
    with np.load(tmp_path / "x.npz", allow_pickle=False) as archive:
        assert archive["record_ptr"][-1] == len(archive["records"])


def test_is_an_image_beyond_four_gibibytes_read(tmp_path: Path) -> None:
    """Of a sparse file: all records but the last are holes, and are never read."""
    content = tiny_content(images=1, tokens=1024, channels=256, timesteps=1, blocks=1)
    unzipped = Unzipped.load(content.write(tmp_path / "x.npz"))
    (row,) = unzipped.rows()
    images = (5 << 30) // len(row)
    dataset = unzipped.manifest["dataset"]
    dataset |= {"images": images, "image_ids": list(range(images))}
    unzipped.manifest["image_sha256"] *= images
    members, frame = unzipped.seal_manifest().members(), zstandard.compress(row)
    ptr = np.arange(images + 1) * len(row)
    ptr[-1] = ptr[-2] + len(frame)
    members["record_ptr.npy"] = npy(ptr)
    header = npy(np.zeros(0, "u1"), shape=(int(ptr[-1]),))
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for name in ("manifest.npy", "record_ptr.npy"):
            archive.writestr(name, members[name])
        stored = zipfile.ZipInfo("records.npy")
        with archive.open(stored, "w", force_zip64=True) as member:
            member.write(header)
            file: Any = member
            file._fileobj.seek(int(ptr[-2]), 1)
            file._file_size += int(ptr[-2])
            member.write(frame)
    with Trace.open(tmp_path / "x.npz") as trace:
        assert trace.read_batch([images - 1]).arena[0].tobytes() == row
        with pytest.raises(TraceError, match=said("a record that is no frame")):
            trace.read(0)
