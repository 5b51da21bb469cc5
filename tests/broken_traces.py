"""Tools that take trace files apart and break them; they know the format but none of its rules."""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[Any]]


class Unzipped(NamedTuple):
    """A trace file taken apart, to be changed and put together again."""

    manifest: dict[str, Any]
    arrays: Arrays

    @classmethod
    def load(cls, path: Path) -> Unzipped:
        """Take the file apart with numpy's own reader."""
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        return cls(json.loads(arrays.pop("manifest").tobytes()), arrays)

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
        text = json.dumps(self.manifest, sort_keys=True, separators=(",", ":"))
        self.manifest["content_hash"] = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
        return self

    def members(self, manifest: bytes | None = None) -> dict[str, bytes]:
        """The .npy files by name; `manifest`: other bytes in the manifest's place."""
        text = json.dumps(self.manifest).encode() if manifest is None else manifest
        arrays = {"manifest": np.frombuffer(text, np.uint8), **self.arrays}
        return {f"{name}.npy": npy(array) for name, array in arrays.items()}

    def save(self, path: Path, manifest: bytes | None = None) -> Path:
        """Put the file together."""
        return zipped(path, self.members(manifest))


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
    """A zip archive; `declared`: sizes that its directory claims for some members."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
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
