"""SweepResult: what a search found, as one table with its provenance; what reports/sweep.py reads.

    result = SweepResult.load("sweeps/small")
    result.points           # a row a point: number, status, message, replay, parameters, metrics
    result.front()          # the points that no other one beats in all objectives
    result.doubts()         # which findings doubt how many of them

`points.parquet` holds the table, the provenance and a hash of the file, which reading it checks.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field, ValidationError

from simulator.config.read_back import parsed, read_bytes, read_text
from simulator.config.staged_file import staged_file
from simulator.config.wording import shown
from simulator.errors import SpaceError
from simulator.results.findings import meaning_of, severity_of, split_findings
from simulator.results.schema import SEVERITIES

SCHEMA = "stasim-sweep-result/1"
POINTS, PROVENANCE = "points.parquet", "sweep.json"
"""The second says what is searched until the first is there, which holds that too; those of
earlier versions do not."""
FINDINGS = "findings"
PARAMETER, METRIC = "parameter.", "metric."
"""What the names of columns begin with."""
MOST_BYTES = 1 << 30
_KEY, _HASH = b"stasim", b"stasim.sha256"
_NO_HASH = b"-" * 64
_NEEDED = "needs the extra 'search': pip install 'stasim[search]'"

Row = tuple[int, dict[str, Any], dict[str, Any]]
"""Number, point and outcome."""


class Doubt(NamedTuple):
    """Describe a check that doubts points of a search: how many, of the front, an example."""

    severity: str
    check: str
    meaning: str
    points: int
    on_front: int
    example: int


@dataclass(frozen=True, eq=False)
class SweepResult:
    """Hold a row for each point in `points`; columns `parameter.<path>` and `metric.<name>`.

    A parameter's value is a number or a text; a value that is neither is JSON. A metric that a
    point does not have is NaN. The column `findings` names the checks that doubt a point; searches
    of earlier versions have none.
    """

    provenance: dict[str, Any]
    points: pd.DataFrame

    @classmethod
    def of(
        cls, provenance: dict[str, Any], parameters: Sequence[str], rows: Sequence[Row]
    ) -> SweepResult:
        """Return the result of these points."""
        found = {name for _, _, outcome in rows for name in outcome["metrics"]}
        # Where no point has any, its objectives are columns all the same.
        metrics = sorted(found | set(provenance["space"]["objectives"]))
        columns: dict[str, Any] = {
            "number": np.array([number for number, _, _ in rows], np.int64),
            "status": [outcome["status"] for _, _, outcome in rows],
            "message": [outcome["message"] for _, _, outcome in rows],
            "replay": [outcome["replay"] for _, _, outcome in rows],
            "violation": np.array([outcome["violation"] for _, _, outcome in rows], np.float64),
            "findings": [outcome["findings"] for _, _, outcome in rows],
        }
        for name in parameters:
            columns[PARAMETER + name] = _column([point[name] for _, point, _ in rows])
        for name in metrics:
            values = [outcome["metrics"].get(name, np.nan) for _, _, outcome in rows]
            columns[METRIC + name] = np.array(values, np.float64)
        return cls({"schema": SCHEMA, **provenance}, pd.DataFrame(columns))

    @property
    def objectives(self) -> dict[str, str]:
        """Return metric and direction of each objective."""
        return dict(self.provenance["space"]["objectives"])

    @property
    def parameters(self) -> list[str]:
        """Return the names of what was varied."""
        names = map(str, self.points.columns)
        return [name[len(PARAMETER) :] for name in names if name.startswith(PARAMETER)]

    def front(self) -> pd.DataFrame:
        """Return the points that keep all limits and that no other such point beats; best first
        objective first.
        """
        ok = self.points[self.points["status"] == "ok"]
        signs = [1.0 if way == "minimize" else -1.0 for way in self.objectives.values()]
        names = [METRIC + name for name in self.objectives]
        costs = ok[names].to_numpy(np.float64) * np.array(signs) if len(ok) else np.zeros((0, 1))
        kept = ok[undominated(costs)] if len(ok) else ok
        return kept.sort_values(names, ascending=[sign > 0 for sign in signs], kind="stable")

    def doubts(self) -> list[Doubt] | None:
        """Return the findings of its points, most severe first; None where none were recorded."""
        if FINDINGS not in self.points.columns:
            return None
        front, numbers = set(self.front()["number"].tolist()), self.points["number"].tolist()
        found: dict[str, list[int]] = {}
        for number, names in zip(numbers, self.points[FINDINGS].tolist(), strict=True):
            for name in split_findings(names):
                found.setdefault(name, []).append(number)
        doubts = [
            Doubt(severity_of(name), name, meaning_of(name), len(points),
                  len(front.intersection(points)), points[0])
            for name, points in found.items()
        ]  # fmt: skip
        return sorted(doubts, key=lambda each: (SEVERITIES.index(each.severity), -each.points))

    def save(self, folder: Path) -> None:
        """Write the table, which holds the provenance too.

        Raises SpaceError where nothing can be written.
        """
        content = _packed(self.points, json.dumps(self.provenance), folder / POINTS)
        try:
            with staged_file(folder / POINTS) as file:
                file.write(content)
            with contextlib.suppress(FileNotFoundError):
                (folder / PROVENANCE).unlink()  # of the search that ends, or of another table
        except OSError as error:
            raise SpaceError(folder, f"{error.strerror or error}") from None

    @classmethod
    def load(cls, folder: str | Path) -> SweepResult:
        """Return the result in a folder; SpaceError if there is none that this program reads."""
        path = Path(folder) / POINTS
        points, text = _unpacked(path)
        if not text:  # from before the table held it
            text = read_text(Path(folder) / PROVENANCE, MOST_BYTES, SpaceError)
        place = f"{folder}: not a whole sweep"
        return cls(parsed(text, place, SpaceError), points).checked(place)

    def checked(self, place: str) -> SweepResult:
        """Return the result itself. Raises SpaceError, which begins with the place."""
        if problem := _problem(self.provenance, self.points):
            raise SpaceError(place, f"{problem}")
        return self


def _packed(points: pd.DataFrame, provenance: str, path: Path) -> bytes:
    """The table as a Parquet file with the provenance in it, so that both change at once."""
    pa, pq = _pyarrow(path)
    table = pa.Table.from_pandas(points, preserve_index=False)
    table = table.replace_schema_metadata((table.schema.metadata or {}) | {_KEY: provenance})
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({_HASH: _NO_HASH})
    return sink.getvalue().replace(_NO_HASH, _digest(sink.getvalue()), 1)


def _unpacked(path: Path) -> tuple[pd.DataFrame, str]:
    pa, pq = _pyarrow(path)
    content = read_bytes(path, MOST_BYTES, SpaceError)
    try:
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            facts = file.metadata.metadata or {}
            points = file.read().to_pandas()
            text, stated = facts.get(_KEY, b"").decode(), facts.get(_HASH, b"")
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise SpaceError(
            f"{path}: not a whole table: {' '.join(str(error).split())[:200]}"
        ) from None
    # Searches without findings are of versions without a hash.
    hashed = bool(stated) or FINDINGS in points.columns
    if hashed and stated != _digest(content.replace(stated, _NO_HASH, 1)):
        raise SpaceError(path, "has changed", "its bytes are not those that its hash is of")
    return points, text


def _pyarrow(path: Path) -> tuple[Any, Any]:
    """Return pyarrow and its Parquet; raise SpaceError where the extra is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise SpaceError(path, f"Parquet {_NEEDED}") from None
    return pyarrow, pyarrow.parquet


def _digest(content: bytes) -> bytes:
    """A hash of a file that holds _NO_HASH where the hash is going to be."""
    return hashlib.sha256(content).hexdigest().encode()


def _problem(provenance: Any, points: pd.DataFrame) -> str:
    """The first rule that a sweep read back breaks; empty if it keeps all."""
    facts = provenance if isinstance(provenance, dict) else {}
    if facts.get("schema") != SCHEMA:
        return f"schema {shown(facts.get('schema'))}: must be {SCHEMA!r}"
    try:
        found = _Provenance.model_validate(facts, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {shown(first['input'])}: {first['msg']}"
    numeric = {"number", "violation", *(METRIC + name for name in found.space.objectives)}
    recorded = {FINDINGS} & set(points.columns)
    for name in sorted(numeric | recorded | {"status", "message", "replay"}):
        if name not in points.columns:
            return f"{POINTS} has no column {name}"
        column = points[name]
        text = all(isinstance(cell, str) for cell in column.tolist())
        if not (pd.api.types.is_numeric_dtype(column) if name in numeric else text):
            return f"{POINTS}: column {name} holds {column.dtype}"
    strays = sorted(set(points["status"]) - {"ok", "infeasible", "failed"})
    return (
        f"{POINTS}: status {shown(strays[0])}: must be ok, infeasible or failed" if strays else ""
    )


class _Searched(BaseModel):
    """What a page needs to know of a search."""

    strategy: str
    points: int | None
    seed: int


class _Varied(BaseModel):
    """The same of a parameter."""

    choices: list[Any] | None = None


class _StatedSpace(BaseModel):
    """The same of its space."""

    name: str
    base: str
    parameters: dict[str, _Varied]
    images: str | None
    objectives: dict[str, Literal["minimize", "maximize"]] = Field(min_length=1)
    search: _Searched


class _Provenance(BaseModel):
    """The same of where a sweep comes from."""

    stasim: str
    base: str
    space: _StatedSpace
    space_hash: str
    traces: dict[str, str]
    versions: dict[str, str]


def undominated(
    costs: np.ndarray[Any, np.dtype[np.float64]],
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which rows of (point, objective) no other equals or beats in all, and beats in one."""
    kept = np.ones(len(costs), np.bool_)
    # Best sums first: what beats a point comes before it, so few points are compared with all.
    for place in np.argsort(costs.sum(axis=1), kind="stable").tolist():
        if kept[place]:
            worse = (costs >= costs[place]).all(axis=1) & (costs > costs[place]).any(axis=1)
            kept &= ~worse
    return kept


def _column(values: list[Any]) -> Any:
    """Numbers stay numbers, texts texts; anything else, or a mixture, becomes JSON."""
    if all(isinstance(value, str) for value in values):
        return values
    if all(type(value) in (int, float) for value in values):
        return values
    return [
        value if isinstance(value, str) else json.dumps(value, sort_keys=True) for value in values
    ]
