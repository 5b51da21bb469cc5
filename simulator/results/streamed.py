"""What `--stream` wrote: a result in parts, of which one is in memory at a time.

simulator.distributed.stream says what the files are.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from simulator.config.read_back import read_bytes, read_object
from simulator.config.staged_folder import changed_files, read_manifest
from simulator.errors import ResultError
from simulator.results.checked import checked_table
from simulator.results.columns import Table, frame
from simulator.results.files import STREAM_FILE
from simulator.results.findings import Finding, facts_of, findings
from simulator.results.result import Result, provenance_problems
from simulator.results.schema import SCHEMAS
from simulator.results.summary import image_facts, stall_facts
from simulator.results.terminal import short_table

SCHEMA = "stasim-stream/1"
HEADER = STREAM_FILE
KIND = "stream"
LAST_TABLE = "images"
"""Is written last of each part."""
MOST_BYTES = 1 << 30
"""A larger file is not read back."""


class StreamedResult:
    """Read a folder of parts. Raises ResultError if it is none.

    `provenance`: as that of a Result. `wanted`: images that the run has when it is complete.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        header = read_header(folder)
        if header is None:
            raise ResultError(folder, f"holds no {HEADER}", "must be what --stream wrote")
        self.provenance: dict[str, Any] = header["provenance"]
        self.wanted = int(header["stop"]) - int(header["first"])

    def parts(self, table: str) -> Iterator[pd.DataFrame]:
        """Yield a table part by part, in the order of the images."""
        for path in sorted((self.folder / table).glob("part-*.parquet")):
            yield frame(_checked(table, path))

    def images(self) -> pd.DataFrame:
        """Return the table of all images."""
        parts = list(self.parts(LAST_TABLE))
        if not parts:
            raise ResultError(self.folder, "holds no images yet")
        return pd.concat(parts, ignore_index=True)

    def totals(self, table: str, by: str, column: str) -> dict[str, float]:
        """Sum a column over all images; integers exactly, others rounded once a part."""
        sums: dict[str, list[Any]] = {}
        for part in self.parts(table):
            for key, group in part.groupby(by, sort=False):
                values = group[column].tolist()
                entire = part[column].dtype == np.int64
                sums.setdefault(str(key), []).append(sum(values) if entire else math.fsum(values))
        return {key: sum(v) if type(v[0]) is int else math.fsum(v) for key, v in sums.items()}

    def findings(self) -> list[Finding]:
        """Return what makes its numbers doubtful; of the tables of one part at a time."""
        return findings(facts_of(self.provenance, self._facts()))

    def _facts(self) -> Iterator[dict[str, Table]]:
        """What findings look at, part by part."""
        for path in sorted((self.folder / LAST_TABLE).glob("part-*.parquet")):
            there = {name: self.folder / name / path.name for name in ("images", "firing", "units")}
            yield {name: _checked(name, file) for name, file in there.items()}

    def text(self) -> str:
        """Return the headline numbers, for a terminal; docs/metrics.md defines them."""
        images = self.images()
        table: Table = {
            str(name): column.to_numpy()
            for name, column in images.items()
            if column.dtype != object
        }
        stalls = self.totals("stalls", "cause", "stall_cycles")
        facts = image_facts(self.provenance, table) | {
            "stalls": stall_facts(self.provenance, table, stalls),
            "energy_by_part": self._energy_by_part(len(images)),
        }
        known = images[(images.label >= 0) & (images.prediction >= 0)]
        right = float((known.label == known.prediction).mean()) if len(known) else 0.0
        predictions = f"{right:.1%} of {len(known)} labelled images right" if len(known) else ""
        return short_table(self.provenance, facts, self.findings(), predictions)

    def _energy_by_part(self, images: int) -> list[dict[str, Any]]:
        """Mean energy per image and share of each part, the largest first."""
        energies_pj = self.totals("energies", "part", "energy_pj")
        total = math.fsum(energies_pj.values()) or 1.0
        return [
            {"part": part, "energy_uj": pj / 1e6 / images, "share": pj / total}
            for part, pj in sorted(energies_pj.items(), key=lambda item: (-item[1], item[0]))
        ]


def read_header(folder: Path) -> dict[str, Any] | None:
    """Return the header of an earlier run; None if there is none."""
    path = folder / HEADER
    if not path.exists():
        return None
    header = read_object(path, MOST_BYTES, ResultError, SCHEMA)
    if problems := provenance_problems(header.get("provenance")):
        raise ResultError("\n".join(f"{path}: {problem}" for problem in problems))
    if not all(type(header.get(name)) is int for name in ("first", "stop")):
        raise ResultError(f"{path}: first and stop: must be whole numbers")
    return header


def part_name(table: str, number: int) -> str:
    """Return the file of a part of a table, within its folder."""
    return f"{table}/part-{number:05d}.parquet"


def part_manifest(number: int) -> str:
    """Return the file that names the others of a part."""
    return f"manifests/part-{number:05d}.json"


def stream_problems(folder: Path) -> list[str]:
    """List what is missing or changed of a stream's parts, a line each. Raises ResultError."""
    header = read_header(folder)
    if header is None:
        return [f"{folder / HEADER}: is missing"]
    cut = header.get("part_images")
    if type(cut) is not int or cut < 1:
        raise ResultError(f"{folder / HEADER}", "part_images", "must be a whole number from 1")
    numbers = range(header["first"] // cut, -(-header["stop"] // cut))
    problems, named, absent = [], set(), 0
    for number in numbers:
        manifest = read_manifest(folder, part_manifest(number))
        if not (folder / part_name(LAST_TABLE, number)).exists():
            absent += 1
        elif manifest is None:
            problems.append(
                f"{folder / part_manifest(number)}: cannot be read: nothing to verify by"
            )
        else:
            problems += changed_files(folder, manifest)
        named |= set(manifest["files"]) if manifest else set()
    for path in sorted(folder.glob("*/part-*.parquet")):
        if path.relative_to(folder).as_posix() not in named:
            problems.append(f"{path}: is of no part that a manifest names")
    if absent:
        rule = f"holds {len(numbers) - absent} of {len(numbers)} parts: the command of it goes on"
        problems.append(f"{folder}: {rule}: {header['provenance']['command']}")
    return problems


def result_of(streamed: StreamedResult) -> Result:
    """Return all parts as one Result, for as many images as memory holds. Raises ResultError."""
    tables = {}
    for name, schema in SCHEMAS.items():
        parts = list(streamed.parts(name)) if schema.per_image else []
        path = streamed.folder / f"{name}.parquet"
        if parts:
            tables[name] = pd.concat(parts, ignore_index=True)
        elif path.exists() or not schema.optional:
            tables[name] = _read(path)
    result = Result(streamed.provenance, tables)
    if result.images != streamed.wanted:
        rule = f"holds {result.images} of {streamed.wanted} images: the command of it goes on"
        raise ResultError(streamed.folder, rule, streamed.provenance["command"])
    return result


def _checked(name: str, path: Path) -> Table:
    """A table of a file by its schema; an optional one that is not there is empty."""
    problems: list[str] = []
    absent = SCHEMAS[name].optional and not path.exists()
    given = dict.fromkeys(SCHEMAS[name].columns, ()) if absent else _read(path)
    table = checked_table(name, given, problems)
    if problems:
        raise ResultError("\n".join(f"{path}: {problem}" for problem in problems))
    return table


def _read(path: Path) -> pd.DataFrame:
    content = read_bytes(path, MOST_BYTES, ResultError)
    try:
        return pd.read_parquet(io.BytesIO(content), engine="pyarrow")
    except ImportError:
        rule = "needs the extra 'cluster': pip install 'stasim[cluster]'"
        raise ResultError(path, f"Parquet {rule}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResultError(f"{path}: not a whole part: {error}") from None
