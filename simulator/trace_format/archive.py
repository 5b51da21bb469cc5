"""The archive a trace lies in: a zip of .npy members, read with distrust.

The sizes that it declares are first compared with what its own length and the manifest allow.
Formats: zip, PKWARE APPNOTE 6.3.3; .npy 1.0, numpy.lib.format.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple

import zstandard

from simulator.config.wording import one_line, shown
from simulator.errors import TraceError
from simulator.trace_format.problems import hint
from simulator.trace_format.specs import MANIFEST_LIMIT_BYTES, MEMBER_LIMIT, reason

# Deflate's best: 258 bytes from 2 bits, less the block's headers (RFC 1951).
DEFLATE_RATIO = 1032
_DEFLATE_SLACK_BYTES = 64
_DIRECTORY_LIMIT_BYTES = 1 << 20

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_UNREADABLE_FLAGS = {0x1: "encrypted", 0x20: "patched", 0x40: "encrypted"}
_METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}

# From the start of a member's local header to the lengths of its name and extra field.
_LOCAL_NAME_LENGTH = 26

_NPY_MAGIC = b"\x93NUMPY\x01\x00"
_NPY_HEADER_LIMIT_BYTES = 1024
_NPY_HEADER = re.compile(
    r"\{ *'descr': *'([^']{1,16})', *'fortran_order': *(True|False), *"
    r"'shape': *\(((?:\d{1,18}, *)*(?:\d{1,18})?)\),? *\} *\n"
)
ITEM_BYTES = {"|u1": 1, "<i8": 8}

# What the standard library raises over a broken file; MemoryError is not among what we let happen.
_FAULTS = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,  # with NotImplementedError and RecursionError
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    zstandard.ZstdError,
)


@contextlib.contextmanager
def one_error(path: Path, place: str, rule: str) -> Iterator[None]:
    """Turn every fault that a broken file can cause into one TraceError."""
    try:
        yield
    except _FAULTS as fault:
        raise TraceError(path, place, reason(fault), rule) from fault


class ArrayStream(NamedTuple):
    """Hold a stream over an array member, at its first value."""

    stream: IO[bytes]
    shape: tuple[int, ...]
    header_bytes: int


class Archive:
    """Read an open zip file; `entries`: its members by name less the suffix .npy."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with one_error(path, "file", "must be a readable file"):
            status = os.stat(path)  # before opening: a named pipe would wait for a writer
            if not stat.S_ISREG(status.st_mode):
                raise TraceError(f"{path}: file: is no regular file: must be a .npz archive")
            self._file = open(path, "rb")  # noqa: SIM115
        try:
            _check_end(path, self._file, status.st_size)
            with one_error(path, "zip directory", "must be an intact zip archive"):
                self._zip = zipfile.ZipFile(self._file)
            self.entries = _checked_entries(path, self._zip.infolist(), status.st_size)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file; members can no longer be read."""
        self._zip.close()
        self._file.close()

    def open_member(self, name: str) -> IO[bytes]:
        """Return a new stream over a member, at its first byte."""
        return self._zip.open(self.entries[name])

    def data_start(self, name: str) -> int:
        """Return the first byte of a member's data in the file, behind its local header."""
        start = self.entries[name].header_offset
        self._file.seek(start + _LOCAL_NAME_LENGTH)
        name_bytes, extra_bytes = struct.unpack("<2H", self._file.read(4))
        return start + _LOCAL_NAME_LENGTH + 4 + int(name_bytes) + int(extra_bytes)

    def read_at(self, start: int, size: int) -> bytes:
        """Read up to `size` bytes of the file from byte `start`."""
        self._file.seek(start)
        return self._file.read(size)

    def check_members(self, wanted: Collection[str]) -> None:
        """Check that the members are those that the manifest implies, and itself."""
        for name in self.entries.keys() - wanted - {"manifest"}:
            tail = hint(name, wanted)
            raise TraceError(self.path, f"{one_line(name)}.npy", f"must be in the manifest {tail}")
        for name in wanted:
            if name not in self.entries:
                raise TraceError(
                    f"{self.path}: {name}.npy is missing: must be there, by the manifest"
                )

    def open_array(self, name: str, dtype: str, shape: tuple[int, ...] | None) -> ArrayStream:
        """Return a new stream over an array member of this type and shape (None: any one axis)."""
        place = f"{self.path}: {name}.npy"
        with one_error(self.path, f"{name}.npy", "must be an intact member"):
            stream = self.open_member(name)
            found_dtype, found, header_bytes = read_header(place, stream)
        if found_dtype != dtype:
            raise TraceError(place, f"dtype {found_dtype!r}", f"must be {dtype!r}")
        if found != shape and (shape or len(found) != 1):
            rule = f"must be {shape}, by the manifest" if shape else "must be (bytes,)"
            raise TraceError(place, f"shape {found}", rule)
        size, wanted = self.entries[name].file_size, ITEM_BYTES[dtype] * math.prod(found)
        if size != header_bytes + wanted:
            rule = f"must be {header_bytes + wanted}, by its shape"
            raise TraceError(place, f"{size} bytes", rule)
        return ArrayStream(stream, found, header_bytes)

    def read_manifest(self) -> bytes:
        """Return the bytes of the member `manifest`."""
        place = f"{self.path}: manifest.npy"
        if "manifest" not in self.entries:
            raise TraceError(
                f"{place} is missing", "must be there, a trace is a .npz with a manifest"
            )
        size = self.entries["manifest"].file_size
        if size > MANIFEST_LIMIT_BYTES:
            raise TraceError(place, f"{size} bytes", f"must be at most {MANIFEST_LIMIT_BYTES}")
        stream, (count,), _ = self.open_array("manifest", "|u1", None)
        with one_error(self.path, "manifest.npy", "must be an intact member"):
            text = stream.read(count)
        if len(text) != count:
            raise TraceError(place, f"ends after {len(text)} bytes", f"must hold {count}")
        return text


def npy_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """Return the header of a .npy 1.0 file, padded to 64 bytes as numpy does."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    start = len(_NPY_MAGIC) + 2
    padding = -(start + len(text) + 1) % 64
    body = f"{text}{' ' * padding}\n".encode("ascii")
    return _NPY_MAGIC + struct.pack("<H", len(body)) + body


def read_header(place: str, stream: IO[bytes]) -> tuple[str, tuple[int, ...], int]:
    """Read dtype, shape and size in bytes of a .npy header."""
    magic = stream.read(len(_NPY_MAGIC))
    if magic != _NPY_MAGIC:
        raise TraceError(place, f"starts with {magic!r}", f"must be {_NPY_MAGIC!r}, .npy 1.0")
    prefix = stream.read(2)
    size = int.from_bytes(prefix, "little")
    if len(prefix) != 2 or size > _NPY_HEADER_LIMIT_BYTES:
        rule = f"must have at most {_NPY_HEADER_LIMIT_BYTES}"
        raise TraceError(f"{place}: .npy header of {size} bytes: {rule}")
    text = stream.read(size).decode("latin-1")
    match = _NPY_HEADER.fullmatch(text)
    if len(text) != size or match is None:
        rule = "must be a dictionary of descr, fortran_order and shape"
        raise TraceError(place, f".npy header {shown(text)}", rule)
    dtype, fortran, numbers = match.groups()
    if fortran == "True":
        raise TraceError(place, "fortran_order True", "must be False, C order")
    shape = tuple(int(number) for number in numbers.replace(",", " ").split())
    return dtype, shape, len(_NPY_MAGIC) + 2 + size


def _check_end(path: Path, file: IO[bytes], size: int) -> None:
    """The file ends with a plain end record whose directory is of a bounded size.

    zipfile would search the record in a comment, and read a directory of any size.
    """
    rule = "must end with a plain zip end record (PK\\5\\6), or the file is truncated or no trace"
    if size < _END.size:
        raise TraceError(path, "file", f"{size} bytes", rule)
    with one_error(path, "file", rule):
        tail_bytes = min(size, _END.size + _LOCATOR64.size + _END64.size)
        file.seek(size - tail_bytes)
        tail = file.read(tail_bytes)
        end = _END.unpack(tail[-_END.size :])
        if end[0] != b"PK\x05\x06" or end[7] != 0:
            found = f"{end[0]!r} with {end[7]} bytes of comment"
            raise ValueError(f"{found} at byte {size - _END.size} of {size}")
        directory = end[5]
        locator = tail[: -_END.size][-_LOCATOR64.size :]
        if locator.startswith(b"PK\x06\x07"):
            end64 = _END64.unpack(tail[: _END64.size])
            offset = _LOCATOR64.unpack(locator)[2]
            if end64[0] != b"PK\x06\x06" or offset != size - tail_bytes:
                raise ValueError(f"its zip64 end record is not at byte {size - tail_bytes}")
            directory = max(directory, end64[8]) if directory < 2**32 - 1 else end64[8]
    if directory > _DIRECTORY_LIMIT_BYTES:
        rule = f"must be at most {_DIRECTORY_LIMIT_BYTES}"
        raise TraceError(path, "zip directory", f"{directory} bytes", rule)


def _checked_entries(
    path: Path, entries: list[zipfile.ZipInfo], size: int
) -> Mapping[str, zipfile.ZipInfo]:
    """The members by name less .npy, if all can be what they claim."""
    if len(entries) > MEMBER_LIMIT:
        rule = f"must be at most {MEMBER_LIMIT}"
        raise TraceError(path, "zip directory", f"{len(entries)} members", rule)
    members: dict[str, zipfile.ZipInfo] = {}
    total = 0
    for entry in entries:
        place = f"{path}: member {shown(entry.orig_filename)}"
        name = entry.orig_filename.removesuffix(".npy")
        if name in members:
            raise TraceError(f"{place}: is twice in the archive: must be there once")
        if name == entry.orig_filename or not _inside(name):
            raise TraceError(place, "must be a relative name without '..' that ends with .npy")
        for flag, word in _UNREADABLE_FLAGS.items():
            if entry.flag_bits & flag:
                raise TraceError(f"{place}: is {word} (flags {entry.flag_bits:#x}): must be plain")
        if entry.compress_type not in _METHODS:
            rule = "must be 0 (stored) or 8 (deflated)"
            raise TraceError(place, f"compression method {entry.compress_type}", rule)
        _check_sizes(place, entry)
        total += entry.compress_size
        members[name] = entry
    if total > size:
        raise TraceError(
            f"{path}: zip directory: members of {total} bytes together: must be at most the file's "
            f"{size}"
        )
    return members


def _inside(name: str) -> bool:
    parts = name.split("/")
    return not {"", ".", ".."} & set(parts) and not {"\\", ":", "\0"} & set(name)


def _check_sizes(place: str, entry: zipfile.ZipInfo) -> None:
    """What a member declares to hold can come out of its compressed bytes."""
    if entry.compress_type == zipfile.ZIP_STORED:
        most, rule = entry.compress_size, f"must be its stored {entry.compress_size}"
        least = most
    else:
        most = entry.compress_size * DEFLATE_RATIO + _DEFLATE_SLACK_BYTES
        rule = f"must be at most {most}, {DEFLATE_RATIO} times its compressed bytes"
        least = 0
    if not least <= entry.file_size <= most:
        raise TraceError(place, f"declares {entry.file_size} bytes", rule)
