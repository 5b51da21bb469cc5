"""Result: what a run found out, as tidy tables with their provenance; the only input of reports.

    result = Result(provenance, tables)
    result.check()
    result.save("results/sparse_pe")
    assert Result.load("results/sparse_pe") == result

The tables and columns are listed in result_schema.py. `result.json` holds everything and is the
only file that is read back; the CSV files beside it are for other tools.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from simulator.config.wording import shown, suggestion
from simulator.errors import ResultError
from simulator.results.checks import broken_sums
from simulator.results.files import read_text, write_folder
from simulator.results.schema import (
    CAUSES,
    CONVENTIONS,
    ORIGINS,
    PROVENANCE,
    SCHEMA,
    SCHEMAS,
    Column,
    TableSchema,
)

__all__ = ["CAUSES", "CONVENTIONS", "SCHEMA", "SCHEMAS", "Result", "merge"]

# Of a table with many bad rows the first few are told.
_TOLD = 5
_INT64 = np.iinfo(np.int64)


@dataclass(frozen=True, eq=False)
class Result:
    """Tidy tables of a run, in the order of SCHEMAS and images, and where they come from.

    Checked when made: ResultError lists everything that breaks a rule, with table and column.
    The tables are copies with the columns' own types: int64, float64, and text as `object`.
    """

    provenance: dict[str, Any]
    tables: dict[str, pd.DataFrame]

    def __post_init__(self) -> None:
        problems: list[str] = []
        provenance = _plain(self.provenance, problems)
        _check_provenance(provenance, problems)
        tables = _checked_tables(self.tables, problems)
        if problems:
            raise ResultError("\n".join(problems))
        object.__setattr__(self, "provenance", provenance)
        object.__setattr__(self, "tables", tables)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Result):
            return NotImplemented
        return self.provenance == other.provenance and all(
            table.equals(other.tables[name]) for name, table in self.tables.items()
        )

    __hash__ = None  # type: ignore[assignment]  # tables are mutable

    @property
    def images(self) -> int:
        """How many images were run."""
        return len(self.tables["images"])

    def check(self) -> None:
        """Raise ResultError if the tables contradict each other: sums, energies, bounds."""
        problems = broken_sums(self.provenance, self.tables)
        if problems:
            raise ResultError("\n".join(problems))

    def to_json(self) -> str:
        """Everything as JSON, one line a column; equal results give equal texts.

        Whole numbers are exact and floats have the digits that bring back the same float.
        """
        tables = []
        for name, table in self.tables.items():
            columns = (f"{_dumps(str(c))}: {_dumps(table[c].tolist())}" for c in table.columns)
            tables.append(f"{_dumps(name)}: {{\n" + ",\n".join(columns) + "\n}")
        body = ",\n".join(tables)
        return f'{{"provenance": {_dumps(self.provenance)},\n"tables": {{\n{body}\n}}}}\n'

    def save(self, folder: str | Path) -> None:
        """Write result.json and a CSV file a table, all of them or none.

        A new folder appears whole. In the folder of an earlier result the files are replaced one
        by one, result.json last; what else lies there stays. Raises ResultError for any other
        folder that is not empty, and where nothing can be written.
        """
        texts = {f"{name}.csv": _csv(table) for name, table in self.tables.items()}
        texts["result.json"] = self.to_json()
        write_folder(Path(folder), texts)

    @classmethod
    def load(cls, path: str | Path) -> Result:
        """The result that was saved in a folder, or in a result.json. Raises ResultError."""
        file, text = read_text(Path(path))
        try:
            data = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise ResultError(f"{file}: not a whole result: {error}") from None
        if not isinstance(data, dict) or set(data) != {"provenance", "tables"}:
            raise ResultError(f"{file}: must hold provenance and tables, and nothing else")
        try:
            return cls(data["provenance"], _frames(data["tables"]))
        except ResultError as error:
            lines = str(error).splitlines()
            raise ResultError("\n".join(f"{file}: {line}" for line in lines)) from None


def merge(parts: Sequence[Result]) -> Result:
    """One result of several runs over different images of one trace, in the order of the images.

    Raises ResultError if they differ in anything but their images, or share an image.
    """
    if not parts:
        raise ResultError("merge: needs at least one result")
    first = parts[0]
    for position, part in enumerate(parts[1:], start=1):
        if part.provenance != first.provenance:
            raise ResultError(f"merge: part {position}: provenance: must be that of part 0")
        for name, schema in SCHEMAS.items():
            if not schema.per_image and not part.tables[name].equals(first.tables[name]):
                raise ResultError(f"merge: part {position}: {name}: must be that of part 0")
    tables = {
        name: pd.concat([part.tables[name] for part in parts]) if schema.per_image else table
        for (name, schema), table in zip(SCHEMAS.items(), first.tables.values(), strict=True)
    }
    return Result(first.provenance, tables)


def _plain(provenance: Mapping[str, Any], problems: list[str]) -> Any:
    """The provenance as it will be after saving and loading."""
    try:
        return json.loads(_dumps(provenance))
    except (TypeError, ValueError, RecursionError) as error:
        problems.append(f"provenance: must be plain JSON with finite numbers: {error}")
        return None


def _check_provenance(provenance: Any, problems: list[str]) -> None:
    if problems:
        return
    schema = provenance.get("schema") if isinstance(provenance, dict) else None
    if schema != SCHEMA:
        problems.append(f"provenance: schema: {shown(schema)}: must be {SCHEMA!r}")
        return
    for path, entry in PROVENANCE.items():
        value: Any = provenance
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if not _KINDS[entry.kind](value):
            rule = {"positive": "number above 0"}.get(entry.kind, entry.kind)
            problems.append(f"provenance: {path}: {shown(value)}: must be a {rule}")
    if not problems:
        _check_weights(provenance["trace"]["weights"], problems)


def _check_weights(weights: dict[str, Any], problems: list[str]) -> None:
    if weights["origin"] not in ORIGINS:
        known = suggestion(weights["origin"], ORIGINS)
        problems.append(f"provenance: trace.weights.origin: {shown(weights['origin'])}: {known}")
    elif weights["origin"] != "trained" and weights.get("accuracy") is not None:
        problems.append("provenance: trace.weights.accuracy: only trained weights have one")


_KINDS: dict[str, Callable[[Any], bool]] = {
    "str": lambda value: isinstance(value, str),
    "dict": lambda value: isinstance(value, dict),
    "positive": lambda value: type(value) in (int, float) and value > 0,
}


def _checked_tables(
    given: Mapping[str, pd.DataFrame], problems: list[str]
) -> dict[str, pd.DataFrame]:
    """Copies of all tables with their own types, sorted by image."""
    for name in given:
        if name not in SCHEMAS:
            problems.append(f"{name}: unknown table {suggestion(name, SCHEMAS)}")
    tables = {}
    for name, schema in SCHEMAS.items():
        if name not in given and not schema.optional:
            problems.append(f"{name}: table is missing")
            continue
        before = len(problems)
        table = given.get(name, pd.DataFrame(columns=[*schema.columns]))
        table = _checked_table(name, table, problems)
        if len(problems) == before:
            _check_key(name, table, problems)
            if schema.per_image:
                table = table.sort_values("image", kind="stable", ignore_index=True)
            tables[name] = table
    if not problems:
        _check_references(tables, problems)
    return tables


def _checked_table(name: str, given: pd.DataFrame, problems: list[str]) -> pd.DataFrame:
    schema: TableSchema = SCHEMAS[name]
    missing = [column for column in schema.columns if column not in given.columns]
    unknown = [str(column) for column in given.columns if column not in schema.columns]
    if len(set(given.columns)) < len(given.columns):
        problems.append(f"{name}: a column stands twice")
        return given
    problems.extend(f"{name}.{column}: column is missing" for column in missing)
    problems.extend(
        f"{name}.{column}: unknown column {suggestion(column, schema.columns)}"
        for column in unknown
    )
    if missing or unknown:
        return given
    columns: dict[str, npt.NDArray[Any]] = {}
    for column, rule in schema.columns.items():
        checked = _checked_column(given[column].to_numpy(), rule)
        if isinstance(checked, str):
            problems.append(f"{name}.{column}: {checked}")
        else:
            columns[column] = checked
    return pd.DataFrame(columns)


def _checked_column(values: npt.NDArray[Any], rule: Column) -> npt.NDArray[Any] | str:
    """The values in the column's own type, or what is wrong with them."""
    items = values.tolist()
    types = {"str": (str,), "int64": (int,), "float64": (int, float)}[rule.dtype]
    for row, item in enumerate(items):
        if type(item) not in types:
            return f"row {row}: {shown(item)}: must be {rule.dtype}"
        if rule.choices and item not in rule.choices:
            return f"row {row}: {shown(item)}: unknown {suggestion(item, rule.choices)}"
        if rule.pattern and not re.fullmatch(rule.pattern, item):
            return f"row {row}: {shown(item)}: must match {rule.pattern}"
        if rule.dtype == "int64" and not _INT64.min <= item <= _INT64.max:
            return f"row {row}: {item}: must fit into 64 bits"
        # `not >=` is also true for NaN.
        if rule.dtype != "str" and not rule.minimum <= item < float("inf"):
            return f"row {row}: {item}: must be a finite number of {rule.minimum} or more"
    if rule.dtype == "str":
        texts = np.empty(len(items), dtype=object)
        texts[:] = items
        return texts
    return np.array(items, dtype=rule.dtype)


def _check_key(name: str, table: pd.DataFrame, problems: list[str]) -> None:
    key = list(SCHEMAS[name].key)
    repeated = table.loc[table.duplicated(key), key]
    for row in repeated.head(_TOLD).itertuples(index=False):
        problems.append(f"{name}.{', '.join(key)}: {shown(list(row))}: stands twice")


def _check_references(tables: Mapping[str, pd.DataFrame], problems: list[str]) -> None:
    """Every row belongs to an image that is there, and every counted action has a price."""
    if tables["images"].empty:
        problems.append("images: must hold at least one image")
    images = set(tables["images"]["image"].tolist())
    for name, schema in SCHEMAS.items():
        if schema.per_image:
            strays = sorted(set(tables[name]["image"].tolist()) - images)
            if strays:
                told = shown(strays[:_TOLD])
                problems.append(f"{name}.image: {told}: must be listed in the table images")
    pairs = {
        name: set(zip(tables[name]["part"], tables[name]["action"], strict=True))
        for name in ("actions", "prices")
    }
    for part, action in sorted(pairs["actions"] - pairs["prices"])[:_TOLD]:
        problems.append(f"actions.action: {part}.{action}: must be listed in the table prices")


def _dumps(value: Any) -> str:
    # ASCII, so that a file name that is not UTF-8 survives too.
    return json.dumps(value, sort_keys=True, allow_nan=False)


def _csv(table: pd.DataFrame) -> str:
    text: str = table.to_csv(index=False, lineterminator="\n")
    return text


def _frames(tables: Any) -> dict[str, pd.DataFrame]:
    """Tables from their JSON form, every column as it is written."""
    if not isinstance(tables, dict):
        raise ResultError("tables: must map names to tables")
    frames = {}
    for name, columns in tables.items():
        if not isinstance(columns, dict) or not all(isinstance(c, list) for c in columns.values()):
            raise ResultError(f"{name}: must map columns to lists")
        lengths = {len(column) for column in columns.values()}
        if len(lengths) > 1:
            raise ResultError(f"{name}: columns must be equally long, not {sorted(lengths)}")
        frame = {column: pd.Series(items, dtype=object) for column, items in columns.items()}
        frames[name] = pd.DataFrame(frame)
    return frames


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return mapping


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number")
