"""A result of very many images, part by part: memory stays bounded by a part, whatever the length.

    out/images/part-00000.parquet ...    a folder a table, a file a part, in the order of the images
    out/prices.parquet, leakage.parquet  the tables that belong to no image
    out/stream.json                      the provenance, and how the parts are cut
    out/manifest.json                    names, sizes and hashes of the files that belong to no part
    out/manifests/part-00000.json ...    those of each part

The tables are those of a Result (docs/metrics.md); read one with pandas.read_parquet("out/layers").
A part is there when its file of the table `images` is there, which is written last: so a run that
was killed goes on with the parts that are missing.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from simulator.config.staged_file import staged_file
from simulator.config.staged_folder import MANIFEST, manifest_of
from simulator.distributed.executor import Executor
from simulator.distributed.parts import Part, provenance_of, simulate_part, split
from simulator.errors import ResultError
from simulator.results.schema import SCHEMAS
from simulator.results.streamed import (
    HEADER,
    KIND,
    LAST_TABLE,
    SCHEMA,
    StreamedResult,
    part_manifest,
    part_name,
    read_header,
)

PART_IMAGES = 128
"""Some 50 MB of tables in a worker; a whole number of a store's chunks."""


class PartTables(NamedTuple):
    """Hold what a worker hands back: each table as a Parquet file, and the part's provenance."""

    first: int
    images: int
    files: dict[str, bytes]
    provenance: dict[str, Any]


def simulate_to_parquet(part: Part) -> PartTables:
    """Simulate a part, check it, and pack its tables."""
    result = simulate_part(part)
    result.check()
    files = {name: _packed(result.tables[name]) for name in SCHEMAS if not SCHEMAS[name].derived}
    return PartTables(part.first, result.images, files, result.provenance)


def stream(
    entire: Part, folder: Path, executor: Executor, done: Callable[[int], object]
) -> StreamedResult:
    """Simulate the parts that the folder lacks; `done` gets the images of each part.

    Raises ResultError if the folder holds anything but an earlier run of the same, or if a worker
    is not of this program's version.
    """
    header = {
        "schema": SCHEMA,
        "first": entire.first,
        "stop": entire.stop,
        "part_images": PART_IMAGES,
        "provenance": provenance_of(entire),
    }
    _begin(folder, header)
    left = []
    for part in split(entire, PART_IMAGES):
        if (folder / part_name(LAST_TABLE, part.first // PART_IMAGES)).exists():
            done(part.stop - part.first)
        else:
            left.append(part)
    for _, tables in executor.run(simulate_to_parquet, left):
        if tables.provenance != header["provenance"]:
            raise ResultError(f"{folder}: a worker is of another version: {tables.provenance}")
        _keep(folder, tables)
        done(tables.images)
    return StreamedResult(folder)


def _begin(folder: Path, header: dict[str, Any]) -> None:
    """Write the header, unless an earlier run of the same has."""
    earlier = read_header(folder)
    if earlier is not None and earlier != json.loads(json.dumps(header)):
        raise ResultError(f"{folder}: holds a run of something else: choose another --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if earlier is None:
            # What begins with a dot is of a run that was killed over its first file.
            if any(not path.name.startswith(f".{HEADER}.") for path in folder.iterdir()):
                rule = "must be new, or hold an earlier --stream run"
                raise ResultError(f"{folder}: holds other things: {rule}")
            _write(folder / HEADER, (json.dumps(header, indent=1) + "\n").encode())
    except OSError as error:
        raise ResultError(folder, f"{error.strerror or error}") from None


def _keep(folder: Path, tables: PartTables) -> None:
    """All tables of a part, the one that says it is whole last."""
    try:
        _keep_shared(folder, tables)
        number, contents = tables.first // PART_IMAGES, tables.files
        own = sorted(name for name in contents if SCHEMAS[name].per_image and name != LAST_TABLE)
        files = {part_name(name, number): contents[name] for name in (*own, LAST_TABLE)}
        ordered = [*files.items()]
        listed = part_manifest(number), manifest_of(f"part of a {KIND}", files)
        for name, content in (*ordered[:-1], listed, ordered[-1]):
            (folder / name).parent.mkdir(exist_ok=True)
            _write(folder / name, content)
    except OSError as error:
        raise ResultError(folder, f"{error.strerror or error}") from None


def _keep_shared(folder: Path, tables: PartTables) -> None:
    """The tables that belong to no image, which the first part brings, and the manifest of them."""
    names = {f"{name}.parquet": name for name in tables.files if not SCHEMAS[name].per_image}
    new = [file for file in names if not (folder / file).exists()]
    for file in new:
        _write(folder / file, tables.files[names[file]])
    if new or not (folder / MANIFEST).exists():
        contents = {file: (folder / file).read_bytes() for file in (HEADER, *names)}
        _write(folder / MANIFEST, manifest_of(KIND, contents))


def _write(path: Path, content: bytes) -> None:
    with staged_file(path) as file:
        file.write(content)


def _packed(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    try:
        table.to_parquet(buffer, index=False, engine="pyarrow")
    except ImportError:
        rule = "needs the extra 'cluster': pip install 'stasim[cluster]'"
        raise ResultError("--stream", f"Parquet {rule}") from None
    return buffer.getvalue()
