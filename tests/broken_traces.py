"""Tools that take trace files apart and break them; they know the format but none of its rules."""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zipfile
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import zstandard

Arrays = dict[str, npt.NDArray[Any]]
Break = Callable[[Path], object]
"""Breaks the trace at a path."""


FIRST, SECOND = "stasim-trace/1", "stasim-trace/2"
ROLES = {"sps": "stem", "blocks": "blocks", "halting": "halting", "head": "head"}


class Unzipped(NamedTuple):
    """A trace file taken apart, to be changed and put together again.

    `arrays`: by the names of version 1, whatever the version of the file.
    """

    manifest: dict[str, Any]
    arrays: Arrays

    @classmethod
    def load(cls, path: Path) -> Unzipped:
        """Take the file apart with numpy's own reader."""
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        manifest = json.loads(arrays.pop("manifest").tobytes())
        return cls(manifest, unpacked(manifest, arrays) if "records" in arrays else arrays)

    def as_first(self) -> Unzipped:
        """The same content as a trace of version 1."""
        self.manifest["schema"] = FIRST
        self.manifest.pop("stages", None)
        return self

    def seal(self) -> Unzipped:
        """Make counts and hashes fit the content again, as the format defines them."""
        tensors = [f"spikes/{tensor['name']}" for tensor in self.manifest["tensors"]]
        masks = [f"active/{block}" for block in range(self.manifest["model"]["blocks"])]
        hashed = [self.arrays[name] for name in [*tensors, *masks, "labels", "predictions"]]
        self.manifest["image_sha256"] = [
            hashlib.sha256(b"".join(array[image].tobytes() for array in hashed)).hexdigest()
            for image in range(len(self.arrays["labels"]))
        ]
        for name, tensor in zip(tensors, self.manifest["tensors"], strict=True):
            planes = self.arrays[name]
            if tensor["kind"] == "spikes":
                planes = planes[:, :, None]
            tensor["ones"] = int(np.unpackbits(planes).sum())
            tensor["nonzero"] = int(np.unpackbits(np.bitwise_or.reduce(planes, axis=2)).sum())
        return self.seal_manifest()

    def seal_manifest(self) -> Unzipped:
        """Make the content hash fit the manifest again."""
        self.manifest.pop("content_hash", None)
        hashed = {**self.manifest, "schema": FIRST}
        if self.manifest.get("schema") == SECOND and self._has_implied_stages():
            del hashed["stages"]
        text = json.dumps(hashed, sort_keys=True, separators=(",", ":"))
        self.manifest["content_hash"] = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
        return self

    def _has_implied_stages(self) -> bool:
        operations = self.manifest.get("operations")
        listed = operations if isinstance(operations, list) else []
        used = [each.get("stage") for each in listed if isinstance(each, dict)]
        implied = {stage: role for stage, role in ROLES.items() if stage in used}
        return "stages" in self.manifest and bool(self.manifest["stages"] == implied)

    def members(self, manifest: bytes | None = None) -> dict[str, bytes]:
        """The .npy files by name; `manifest`: other bytes in the manifest's place."""
        text = json.dumps(self.manifest).encode() if manifest is None else manifest
        second = self.manifest.get("schema") == SECOND
        data = in_records(self.rows()) if second else self.arrays
        arrays = {"manifest": np.frombuffer(text, np.uint8), **data}
        return {f"{name}.npy": npy(array) for name, array in arrays.items()}

    def save(self, path: Path, manifest: bytes | None = None) -> Path:
        """Put the file together."""
        return zipped(path, self.members(manifest))

    def rows(self) -> list[bytes]:
        """The arena row of each image: every array at a multiple of 8 bytes, in the end of 64."""
        names = [name for name in self.arrays if name.startswith("spikes/")]
        masks = [name for name in self.arrays if name.startswith("active/")]
        rows = []
        for image in range(len(self.arrays["labels"])):
            parts = [self.arrays[name][image].tobytes() for name in names]
            parts.append(b"".join(self.arrays[name][image].tobytes() for name in masks))
            parts += [self.arrays[name][image].tobytes() for name in ("labels", "predictions")]
            row = b"".join(part + bytes(-len(part) % 8) for part in parts)
            rows.append(row + bytes(-len(row) % 64))
        return rows


def in_records(rows: list[bytes], frames: Mapping[int, bytes] | None = None) -> Arrays:
    """The members that hold rows; `frames`: other records in the place of some images'."""
    found = [zstandard.compress(row) for row in rows]
    for image, frame in (frames or {}).items():
        found[image] = frame
    ends = np.cumsum([0, *map(len, found)], dtype="<i8")
    return {"record_ptr": ends, "records": np.frombuffer(b"".join(found), np.uint8)}


def unpacked(manifest: dict[str, Any], arrays: Arrays) -> Arrays:
    """The arrays of version 1 that the records hold, by what the manifest says of the rows."""
    records, ptr = arrays["records"].tobytes(), arrays["record_ptr"].tolist()
    rows = [zstandard.decompress(records[start:stop]) for start, stop in pairwise(ptr)]
    steps = manifest["model"]["timesteps"]
    found: Arrays = {}
    at = 0

    def take(name: str, dtype: str, shape: tuple[int, ...], align: int = 8) -> None:
        nonlocal at
        size = math.prod(shape) * np.dtype(dtype).itemsize
        parts = [np.frombuffer(row[at : at + size], dtype).reshape(shape) for row in rows]
        found[name] = np.stack(parts)
        at += size + (-(at + size) % align)

    for tensor in manifest["tensors"]:
        planes = (tensor["planes"],) if tensor["kind"] == "integer" else ()
        shape = (tensor["timesteps"], *planes, tensor["rows"], -(-tensor["channels"] // 8))
        take(f"spikes/{tensor['name']}", "|u1", shape)
    blocks = manifest["model"]["blocks"]
    for block in range(blocks):
        shape = (steps, -(-manifest["model"]["tokens"] // 8))
        take(f"active/{block}", "|u1", shape, align=1 if block < blocks - 1 else 8)
    take("labels", "<i8", ())
    take("predictions", "<i8", ())
    return found


def npy(array: npt.NDArray[Any], *, descr: str = "", shape: tuple[int, ...] | None = None) -> bytes:
    """A .npy file, if asked with a header that lies; numpy's own writer makes it."""
    lie = {
        "descr": descr or np.lib.format.dtype_to_descr(array.dtype),
        "fortran_order": False,
        "shape": array.shape if shape is None else shape,
    }
    text = f"{lie!r}".replace("}", ", }")
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + array.tobytes()


def zipped(
    path: Path,
    members: Mapping[str, bytes],
    method: int = zipfile.ZIP_DEFLATED,
    declared: Mapping[str, int] | None = None,
) -> Path:
    """A zip archive; `declared`: sizes that its directory claims for some members.

    Records are stored, whatever the method of the others.
    """
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            stored = name == "records.npy"
            archive.writestr(name, data, zipfile.ZIP_STORED if stored else method)
        for entry in archive.infolist():
            entry.file_size = (declared or {}).get(entry.filename, entry.file_size)
    return path


def patch_directory(path: Path, name: str, offset: int, layout: str, value: int) -> None:
    """Overwrite a field of a member's entry in the zip directory; offsets as in APPNOTE 4.3.12."""
    data = bytearray(path.read_bytes())
    start = data.rindex(name.encode()) - 46
    assert data[start : start + 4] == b"PK\x01\x02"
    struct.pack_into(layout, data, start + offset, value)
    path.write_bytes(data)


def in_members(change: Callable[[dict[str, bytes]], Any], method: int = 8) -> Break:
    """Change the .npy files by name."""

    def broken(path: Path) -> None:
        members = Unzipped.load(path).members()
        change(members)
        zipped(path, members, method)

    return broken
