"""Writing a trace: records wait in a spool, the archive appears complete at the end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from simulator.config.staged_file import replaceable, sync_folder
from simulator.config.staged_folder import staged
from simulator.errors import TraceError
from simulator.trace_format.archive import npy_header, one_error
from simulator.trace_format.checks import check_batch, check_sizes
from simulator.trace_format.image import Bits, Image, add_counts, batch_of, fill_row, row_digest
from simulator.trace_format.layout import Layout, Packed
from simulator.trace_format.manifest import check_manifest
from simulator.trace_format.records import Encoder
from simulator.trace_format.specs import (
    MANIFEST_LIMIT_BYTES,
    SCHEMA,
    canonical_json,
    content_hash,
    implied_stages,
    parse_manifest,
    reason,
)

# Larger members get zip64 fields, whose place must be kept before the size is known.
_ZIP64_FROM_BYTES = 1 << 30
_RECORDS = "records"
# Is in the directory of an archive of either version.
_MARK = b"manifest.npy"
_NO_DIGEST = "0" * 64
_MOST_IMAGES = MANIFEST_LIMIT_BYTES // len(_NO_DIGEST)


class TraceWriter:
    """Write a trace image by image; the file appears complete as its context ends, or not.

    `with TraceWriter(path, manifest) as writer: writer.add(tensors, active, label, prediction)`

    The same content gives the same bytes. Records wait in a hidden folder beside the target, so
    memory stays bounded by one image; the folder is gone at the end, whatever happened.
    """

    def __init__(self, path: str | os.PathLike[str], manifest: Mapping[str, Any]) -> None:
        """Check the manifest; raises TraceError with a line for each problem.

        `manifest`: as in the file; its `ones`, `nonzero`, `image_sha256` and `content_hash` are
        computed here, whether they are given or not. `dataset.images` tells how many images come.
        One of version 1, or without `stages`, gets the stages that version 1 implies.
        """
        self.path = Path(path)
        self._place = f"{self.path}: manifest"
        self._manifest, self._layout = read_announcement(manifest, self._place)
        self._digests: list[str] = []
        self._totals = dict.fromkeys(self._layout.tensors, (0, 0))
        self._row = self._layout.new_arena(1)
        self._encoder, self._ends = Encoder(), [0]
        self._spool: Path | None = None
        self._stack = contextlib.ExitStack()

    def add(
        self,
        tensors: Mapping[str, Packed],
        active: Mapping[str, Bits],
        label: int = -1,
        prediction: int = -1,
    ) -> None:
        """Add one image.

        `tensors`: uint8 (timestep, plane, row, byte) for every tensor of the manifest. `active`:
        bool (timestep, token) for every block. `label`, `prediction`: a class, -1 = none.
        Raises TraceError for data that break a rule.
        """
        if self._spool is None:
            raise RuntimeError("a TraceWriter adds images inside its context only")
        index, layout = len(self._digests), self._layout
        place = f"{self.path}: image {index}"
        if index == layout.images:
            rule = f"must be one of {layout.images}, by dataset.images of the manifest"
            raise TraceError(place, rule)
        image = Image(index, dict(tensors), dict(active), int(label), int(prediction))
        check_sizes(layout, image, place)
        fill_row(layout, image, self._row[0])
        check_batch(layout, batch_of(layout, np.array([index]), self._row), str(self.path))
        record = self._encoder.record(self._row[0])
        with (
            one_error(self.path, "spool", "must be in a folder that can be written"),
            open(self._spool / _RECORDS, "ab") as file,
        ):
            file.write(record)
        self._ends.append(self._ends[-1] + len(record))
        add_counts(self._totals, tensors)
        self._digests.append(row_digest(layout, self._row[0]))

    def __enter__(self) -> Self:
        with one_error(self.path, "spool", "must be in a folder that can be written"):
            self._spool = self._stack.enter_context(staged(replaceable(self.path, _MARK)))
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        assert self._spool is not None
        try:
            if kind is None:
                self._finish(self._spool)
        finally:
            self._stack.close()
            self._spool = None

    def _finish(self, spool: Path) -> None:
        """Complete the manifest, write the rest and move it to its place."""
        added, wanted = len(self._digests), self._layout.images
        if added != wanted:
            rule = f"must be {wanted}, dataset.images of the manifest"
            raise TraceError(f"{self.path}: {added} images were added: {rule}")
        _complete(self._manifest, self._digests, self._totals)
        check_manifest(self._manifest, self._place)
        text = canonical_json(self._manifest)
        if len(text) > MANIFEST_LIMIT_BYTES:
            rule = f"must be at most {MANIFEST_LIMIT_BYTES}"
            raise TraceError(self._place, f"{len(text)} bytes", rule)
        with one_error(self.path, "file", "must be in a folder that can be written"):
            target = replaceable(self.path, _MARK)
            os.replace(self._written(spool, text), target)
            sync_folder(target.parent)

    def _written(self, spool: Path, manifest: bytes) -> Path:
        """What is to take the target's place, written and safe on the disk."""
        archive, records = spool / "archive", spool / _RECORDS
        size = records.stat().st_size
        if size != self._ends[-1]:
            raise ValueError(f"{size} bytes of records are not the {self._ends[-1]} written")
        ptr = np.array(self._ends, "<i8")
        with open(archive, "wb") as file:
            # zipfile dates what is opened by name 1980-01-01: the same content, the same bytes.
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as members:
                with members.open("manifest.npy", "w") as member:
                    member.write(npy_header("|u1", (len(manifest),)) + manifest)
                with members.open("record_ptr.npy", "w") as member:
                    member.write(npy_header("<i8", ptr.shape) + ptr.tobytes())
                stored, large = zipfile.ZipInfo("records.npy"), size >= _ZIP64_FROM_BYTES
                with (
                    members.open(stored, "w", force_zip64=large) as member,
                    open(records, "rb") as data,
                ):
                    member.write(npy_header("|u1", (size,)))
                    shutil.copyfileobj(data, member)
            file.flush()
            os.fsync(file.fileno())
        return archive


def read_announcement(manifest: Mapping[str, Any], source: str) -> tuple[dict[str, Any], Layout]:
    """Return a copy of a manifest whose images are still to come, in this version, and its layout.

    Counts are 0 and hashes are placeholders in it. Raises TraceError, a line for each problem.
    """
    try:
        text = json.dumps(dict(manifest))
    except (TypeError, ValueError, RecursionError) as error:
        raise TraceError(source, reason(error), "must be JSON") from error
    parsed = parse_manifest(text.encode(), source)
    parsed["schema"] = SCHEMA
    if "stages" not in parsed:
        parsed["stages"] = implied_stages(parsed)
    images = _images_stated(parsed)
    if images > _MOST_IMAGES:
        rule = f"must be at most {_MOST_IMAGES}, whose hashes a manifest can hold"
        raise TraceError(source, f"dataset.images = {images}", rule)
    _complete(parsed, [_NO_DIGEST] * images, {})
    return parsed, check_manifest(parsed, source)


def _images_stated(manifest: dict[str, Any]) -> int:
    """How many images the manifest announces, 1 where it does not say so; for placeholders."""
    dataset = manifest.get("dataset")
    images = dataset.get("images") if isinstance(dataset, dict) else None
    return images if type(images) is int and images > 0 else 1


def _complete(
    manifest: dict[str, Any], digests: list[str], totals: Mapping[str, tuple[int, int]]
) -> None:
    """Put in what is computed: counts (0 where there are none yet) and hashes."""
    tensors = manifest.get("tensors")
    for entry in tensors if isinstance(tensors, list) else ():
        if isinstance(entry, dict):
            entry["ones"], entry["nonzero"] = totals.get(str(entry.get("name")), (0, 0))
    manifest["image_sha256"] = digests
    manifest["content_hash"] = content_hash(manifest)
