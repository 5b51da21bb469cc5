"""The data of a trace of version 2: each image's arena row as one zstd frame, all in one member.

`records`: uint8 (bytes,), the frames one after another, stored and not deflated, so that any image
is one read of the file away. `record_ptr`: int64 (images + 1,), where each frame begins and the
last one ends.
Format: RFC 8878. A frame declares the size of its row, which is compared before it is decoded.
"""

from __future__ import annotations

import zipfile

import numpy as np
import zstandard

from simulator.errors import TraceError
from simulator.trace_format.archive import Archive, one_error
from simulator.trace_format.layout import Layout, Packed

MEMBERS = ("record_ptr", "records")
# As small as deflate's best on the shipped traces, 2-4 x faster to write; speed of reading hardly
# depends on it.
_LEVEL = 15
# zstd never makes more than this of incompressible bytes (ZSTD_COMPRESSBOUND).
_SLACK_BYTES = 512
# A frame of unknown origin may declare at most this window, or one image.
_WINDOW_LIMIT_BYTES = 8 << 20


class Encoder:
    """Make records of arena rows; the same row gives the same bytes."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL)

    def record(self, row: Packed) -> bytes:
        """Return the record of a row."""
        return self._compressor.compress(row.data)


class Records:
    """Hold the records of an open archive."""

    def __init__(self, archive: Archive, layout: Layout) -> None:
        self._archive, self._row_bytes = archive, layout.image_bytes
        archive.check_members(MEMBERS)
        place = f"{archive.path}: records.npy"
        if archive.entries["records"].compress_type != zipfile.ZIP_STORED:
            rule = "must be stored, so that any image can be read alone"
            raise TraceError(place, "is deflated", rule)
        stream, (size,), header_bytes = archive.open_array("records", "|u1", None)
        stream.close()
        with one_error(archive.path, "records.npy", "must be an intact member"):
            self._start = archive.data_start("records") + header_bytes
        self._ptr = self._read_ptr(layout.images, size)
        self._decompressor = zstandard.ZstdDecompressor()

    def read_into(self, image: int, row: Packed) -> None:
        """Decode the record of one image into its arena row."""
        path, place = self._archive.path, f"records.npy: image {image}"
        first, size = int(self._ptr[image]), int(self._ptr[image + 1] - self._ptr[image])
        with one_error(path, place, "must be one intact zstd frame"):
            record = self._archive.read_at(self._start + first, size)
            frame = zstandard.get_frame_parameters(record)
        if frame.content_size != self._row_bytes:
            rule = f"must be {self._row_bytes}, by the manifest"
            raise TraceError(path, place, f"declares {frame.content_size} bytes", rule)
        limit = max(self._row_bytes, _WINDOW_LIMIT_BYTES)
        if frame.window_size > limit or frame.dict_id:
            found = f"window of {frame.window_size} bytes, dictionary {frame.dict_id}"
            rule = f"must have at most {limit} and no dictionary"
            raise TraceError(path, place, found, rule)
        with one_error(path, place, "must be one intact zstd frame"):
            written = self._decompressor.stream_reader(record).readinto(row.data)
        if written != self._row_bytes:
            rule = f"must decode to {self._row_bytes} bytes"
            raise TraceError(f"{path}: {place}: ends after {written} bytes: {rule}")

    def _read_ptr(self, images: int, size: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """The pointers: from 0 to the end, each record of a size that one image can have."""
        path = self._archive.path
        stream, shape, _ = self._archive.open_array("record_ptr", "<i8", (images + 1,))
        with stream, one_error(path, "record_ptr.npy", "must be an intact member"):
            data = stream.read(8 * shape[0])  # and no more, whatever it inflates to
            ptr = np.frombuffer(data, "<i8", shape[0]).astype(np.int64)
        if (ptr[0], ptr[-1]) != (0, size):
            found = f"from {ptr[0]} to {ptr[-1]}"
            rule = f"must be from 0 to {size}, the bytes of records"
            raise TraceError(path, "record_ptr.npy", found, rule)
        most = self._row_bytes + self._row_bytes // 128 + _SLACK_BYTES
        wrong = (ptr[1:] <= ptr[:-1]) | (ptr[1:] - most > ptr[:-1])
        if wrong.any():
            image = int(wrong.argmax())
            found = f"{ptr[image]} to {ptr[image + 1]}"
            rule = f"must be from 1 to {most} bytes of a record"
            raise TraceError(path, "record_ptr.npy", f"image {image}", found, rule)
        return ptr
