"""A result of very many images, part by part: memory stays bounded by a part, whatever the length.

    out/images/part-00000.parquet ...    a folder a table, a file a part, in the order of the images
    out/prices.parquet, leakage.parquet  the tables that belong to no image
    out/stream.json                      the provenance, and how the parts are cut

The tables are those of a Result (docs/metrics.md); read one with pandas.read_parquet("out/layers").
A part is there when its file of the table `images` is there, which is written last: so a run that
was killed goes on with the parts that are missing.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from simulator.config.read_back import check_regular, read_object
from simulator.config.whole_file import whole_file
from simulator.distributed.executor import Executor
from simulator.distributed.parts import Part, provenance_of, simulate_part, split
from simulator.errors import ResultError
from simulator.results.checked import checked_table
from simulator.results.columns import Table
from simulator.results.findings import Finding, facts_of, findings
from simulator.results.result import CAUSES, Result
from simulator.results.schema import SCHEMAS
from simulator.results.summary import finding_lines
from simulator.results.units import TRAFFIC

SCHEMA = "stasim-stream/1"
HEADER = "stream.json"
PART_IMAGES = 128
"""Some 50 MB of tables in a worker; a whole number of a store's chunks."""
LAST_TABLE = "images"
MOST_BYTES = 1 << 30
"""A larger file is not read back."""


class PartTables(NamedTuple):
    """What a worker hands back: each table as a Parquet file, and the part's provenance."""

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
    whole: Part, folder: Path, executor: Executor, done: Callable[[int], object]
) -> StreamedResult:
    """Simulate the parts that the folder lacks; `done` is told the images of each part.

    Raises ResultError if the folder holds anything but an earlier run of the same, or if a worker
    is not of this program's version.
    """
    header = {
        "schema": SCHEMA,
        "first": whole.first,
        "stop": whole.stop,
        "part_images": PART_IMAGES,
        "provenance": provenance_of(whole),
    }
    _begin(folder, header)
    left = []
    for part in split(whole, PART_IMAGES):
        if _part_file(folder, LAST_TABLE, part.first // PART_IMAGES).exists():
            done(part.stop - part.first)
        else:
            left.append(part)
    for _, tables in executor.run(simulate_to_parquet, left):
        if tables.provenance != header["provenance"]:
            raise ResultError(f"{folder}: a worker is of another version: {tables.provenance}")
        _keep(folder, tables)
        done(tables.images)
    return StreamedResult(folder)


class StreamedResult:
    """A folder of parts. `provenance`: as that of a Result. Raises ResultError if it is none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        header = _read_header(folder)
        if header is None:
            raise ResultError(f"{folder}: holds no {HEADER}: must be what --stream wrote")
        self.provenance: dict[str, Any] = header["provenance"]

    def parts(self, table: str) -> Iterator[pd.DataFrame]:
        """A table part by part, in the order of the images."""
        for path in sorted((self.folder / table).glob("part-*.parquet")):
            yield _read(path)

    def images(self) -> pd.DataFrame:
        """The table of images, whole."""
        return pd.concat(list(self.parts(LAST_TABLE)), ignore_index=True)

    def totals(self, table: str, by: str, column: str) -> dict[str, float]:
        """Sums of a column over all images; whole numbers exactly, others rounded once a part."""
        sums: dict[str, list[Any]] = {}
        for part in self.parts(table):
            for key, group in part.groupby(by, sort=False):
                values = group[column].tolist()
                whole = part[column].dtype == np.int64
                sums.setdefault(str(key), []).append(sum(values) if whole else math.fsum(values))
        return {key: sum(v) if type(v[0]) is int else math.fsum(v) for key, v in sums.items()}

    def findings(self) -> list[Finding]:
        """What makes its numbers doubtful; of the tables of one part at a time."""
        return findings(facts_of(self.provenance, self._facts()))

    def _facts(self) -> Iterator[dict[str, Table]]:
        """What findings look at, part by part."""
        names, problems = ("images", "firing", "units"), list[str]()
        for path in sorted((self.folder / LAST_TABLE).glob("part-*.parquet")):
            there = {name: self.folder / name / path.name for name in names}
            yield {
                name: checked_table(name, _read(file) if file.exists() else {}, problems)
                for name, file in there.items()
            }
            if problems:
                raise ResultError("\n".join(f"{path}: {problem}" for problem in problems))

    def text(self) -> str:
        """The headline numbers, for a terminal; docs/metrics.md defines them."""
        images = self.images()
        latency = images["latency_ms"]
        count, cycles = len(images), int(images["latency_cycles"].sum())
        ranks = np.percentile(latency, (50, 95, 99), method="inverted_cdf").tolist()
        accuracy = images.loc[(images.label >= 0) & (images.prediction >= 0)]
        machine = self.provenance["architecture"]
        lines = [
            f"Machine       {machine['name']}: {machine['pe_array']}, {machine['token_skip']}, "
            f"{machine['dataflow']}, {machine['clock_mhz']:g} MHz, {machine['node_nm']} nm",
            f"Trace         {self.provenance['trace']['file']}: {count} images; weights "
            f"{self.provenance['trace']['weights']['origin']}",
            f"Latency       mean {latency.mean():.4g} ms, p50 {ranks[0]:.4g}, p95 {ranks[1]:.4g}, "
            f"p99 {ranks[2]:.4g}",
            f"Energy        {images['energy_pj'].mean() / 1e6:.4g} µJ an image; EDP "
            f"{images['energy_delay_pj_ms'].mean() / 1e6:.4g} µJ ms",
            f"Utilization   {(images.utilization * images.latency_cycles).sum() / cycles:.1%}",
            f"DRAM traffic  {TRAFFIC.of(images['dram_bytes'].mean()):.4g} MB an image",
            f"Active tokens {images.active_tokens.sum() / images.token_slots.sum():.1%}",
        ]
        if len(accuracy):
            right = float((accuracy.label == accuracy.prediction).mean())
            lines.append(f"Predictions   {right:.1%} of {len(accuracy)} labelled images right")
        lines += _shares("Energy by part", self.totals("actions", "part", "energy_pj"))
        stalls = self.totals("stalls", "cause", "stall_cycles")
        lines += _shares(
            "Stalls by cause", {cause: stalls.get(cause, 0) for cause in CAUSES}, cycles
        )
        told = finding_lines(self.findings())
        return "\n".join([*told, *([""] if told else []), *lines])


def _shares(title: str, values: dict[str, float], whole: float | None = None) -> list[str]:
    total = whole or math.fsum(values.values()) or 1.0
    largest = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    return [title, *(f"  {name:<32} {value / total:6.1%}" for name, value in largest if value)]


def _begin(folder: Path, header: dict[str, Any]) -> None:
    """Write the header, unless an earlier run of the same has."""
    earlier = _read_header(folder)
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
        raise ResultError(f"{folder}: {error.strerror or error}") from None


def _keep(folder: Path, tables: PartTables) -> None:
    """All tables of a part, the one that says it is whole last."""
    try:
        for name in sorted(tables.files, key=lambda name: name == LAST_TABLE):
            path = folder / f"{name}.parquet"
            if SCHEMAS[name].per_image:
                path = _part_file(folder, name, tables.first // PART_IMAGES)
            elif path.exists():
                continue
            path.parent.mkdir(exist_ok=True)
            _write(path, tables.files[name])
    except OSError as error:
        raise ResultError(f"{folder}: {error.strerror or error}") from None


def _part_file(folder: Path, table: str, number: int) -> Path:
    return folder / table / f"part-{number:05d}.parquet"


def _write(path: Path, content: bytes) -> None:
    with whole_file(path) as file:
        file.write(content)


def _packed(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    try:
        table.to_parquet(buffer, index=False, engine="pyarrow")
    except ImportError:
        rule = "needs the extra 'cluster': pip install 'stasim[cluster]'"
        raise ResultError(f"--stream: Parquet {rule}") from None
    return buffer.getvalue()


def _read(path: Path) -> pd.DataFrame:
    check_regular(path, MOST_BYTES, ResultError)
    try:
        return pd.read_parquet(path, engine="pyarrow")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResultError(f"{path}: not a whole part: {error}") from None


def _read_header(folder: Path) -> dict[str, Any] | None:
    """The header of an earlier run; None if there is none."""
    path = folder / HEADER
    if not path.exists():
        return None
    header = read_object(path, MOST_BYTES, ResultError, SCHEMA)
    if not isinstance(header.get("provenance"), dict):
        raise ResultError(f"{path}: provenance: must be an object")
    return header


def result_of(streamed: StreamedResult) -> Result:
    """All parts as one Result, for as many images as memory holds."""
    tables = {}
    for name, schema in SCHEMAS.items():
        parts = list(streamed.parts(name)) if schema.per_image else []
        path = streamed.folder / f"{name}.parquet"
        if parts:
            tables[name] = pd.concat(parts, ignore_index=True)
        elif path.exists() or not schema.optional:
            tables[name] = _read(path)
    return Result(streamed.provenance, tables)
