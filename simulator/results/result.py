"""Result: what a run found out, as tidy tables with their provenance; the only input of reports.

    result = Result(provenance, tables)
    result.check()
    result.save("results/sparse_pe")
    assert Result.load("results/sparse_pe") == result

The tables and columns are listed in schema.py. `result.json` holds everything and is the
only file that is read back; the CSV files beside it are for other tools.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.config.read_back import parsed
from simulator.config.wording import cell, shown, suggestion
from simulator.errors import ResultError
from simulator.results.checked import by_image, checked_table, checked_tables, empty_table
from simulator.results.checks import broken_sums
from simulator.results.columns import (
    Column,
    Table,
    Tables,
    Text,
    concat,
    equal,
    held_table,
    rows_of,
)
from simulator.results.files import MAIN_FILE, STREAM_FILE, read_text, write_files
from simulator.results.findings import Finding, findings_table
from simulator.results.schema import (
    CAUSES,
    CONVENTIONS,
    OPTIONAL_PROVENANCE,
    ORIGINS,
    PROVENANCE,
    SCHEMA,
    SCHEMAS,
)

if TYPE_CHECKING:
    import pandas as pd

MAIN_FILES = (MAIN_FILE, STREAM_FILE)
"""What a folder of a result holds, one of them."""

__all__ = ["CAUSES", "CONVENTIONS", "MAIN_FILES", "SCHEMA", "SCHEMAS", "Result", "merge"]


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Result:
    """Hold tidy tables of a run, in the order of SCHEMAS and images, and their provenance.

    Checked when made: ResultError lists everything that breaks a rule, with table and column.
    `tables` are DataFrames with the columns' own types, int64, float64, and text as `object`, each
    made when it is first asked for; `columns` gives the same without pandas.
    """

    provenance: dict[str, Any]
    tables: MutableMapping[str, pd.DataFrame]

    def __init__(self, provenance: Mapping[str, Any], tables: Mapping[str, Any]) -> None:
        problems: list[str] = []
        own = [name for name in tables if name not in SCHEMAS or not SCHEMAS[name].derived]
        checked = checked_tables({name: held_table(tables, name) for name in own}, problems)
        self._hold(provenance, checked, problems)

    @classmethod
    def simulated(cls, provenance: Mapping[str, Any], tables: Mapping[str, Table]) -> Result:
        """Return the result of tables that the simulator has just made.

        They have the types, order and keys of their schema: no cell is looked at again.
        """
        result = cls.__new__(cls)
        own = {}
        for name, schema in SCHEMAS.items():
            table = tables[name] if name in tables else empty_table(name)
            own[name] = by_image(table) if schema.per_image else table
        result._hold(provenance, own, [])
        return result

    def _hold(
        self, provenance: Mapping[str, Any], tables: dict[str, Table], problems: list[str]
    ) -> None:
        """Hold checked tables; raise ResultError for these problems and those of `provenance`."""
        found: list[str] = []
        plain = _plain(provenance, found)
        _check_provenance(plain, found)
        if found or problems:
            raise ResultError("\n".join([*found, *problems]))
        tables["findings"] = findings_table(plain, tables)
        object.__setattr__(self, "provenance", plain)
        object.__setattr__(self, "tables", Tables(tables))

    def columns(self, name: str) -> Table:
        """Return the columns of a table. Raises ResultError if its DataFrame has become wrong."""
        held = held_table(self.tables, name)
        if isinstance(held, dict):
            return held
        problems: list[str] = []
        table = checked_table(name, held, problems)
        if problems:
            raise ResultError("\n".join(problems))
        return table

    def all_columns(self) -> dict[str, Table]:
        """Return the columns of all tables."""
        return {name: self.columns(name) for name in self.tables}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Result):
            return NotImplemented
        return self.provenance == other.provenance and self._has_tables_of(other)

    __hash__ = None  # type: ignore[assignment]  # tables are mutable

    def is_same_run(self, other: Result) -> bool:
        """Return whether another result is of the same run, whatever its command."""
        facts = [{**each.provenance, "command": ""} for each in (self, other)]
        return facts[0] == facts[1] and self._has_tables_of(other)

    def _has_tables_of(self, other: Result) -> bool:
        return self.tables.keys() == other.tables.keys() and all(
            equal(table, other.columns(name)) for name, table in self.all_columns().items()
        )

    @property
    def images(self) -> int:
        """Count the images."""
        held = held_table(self.tables, "images")
        return rows_of(held) if isinstance(held, dict) else len(held)

    @property
    def findings(self) -> list[Finding]:
        """Return what makes its numbers doubtful, the most severe first."""
        columns = (column.tolist() for column in self.columns("findings").values())
        return [Finding(*row) for row in zip(*columns, strict=True)]

    def check(self) -> None:
        """Raise ResultError if the tables contradict each other: sums, energies, bounds."""
        problems = broken_sums(self.provenance, self.all_columns())
        if problems:
            raise ResultError("\n".join(problems))

    def to_json(self) -> str:
        """Return all tables as JSON, one line a column; equal results give equal texts.

        Whole numbers are exact and floats have the digits that bring back the same float.
        """
        tables = []
        for name, table in self.all_columns().items():
            columns = (f"{_dumps(column)}: {_listed(values)}" for column, values in table.items())
            tables.append(f"{_dumps(name)}: {{\n" + ",\n".join(columns) + "\n}")
        body = ",\n".join(tables)
        return f'{{"provenance": {_dumps(self.provenance)},\n"tables": {{\n{body}\n}}}}\n'

    def summary(self) -> dict[str, Any]:
        """Return the headline numbers: plain numbers and texts, defined in docs/metrics.md."""
        from simulator.results.summary import summary

        return summary(self)

    def __repr__(self) -> str:
        from simulator.results.notebook import result_line

        return result_line(self)

    def _repr_html_(self) -> str:
        from simulator.results.notebook import result_html

        return result_html(self)

    def save(self, folder: str | Path, more: Mapping[str, str] | None = None) -> None:
        """Write result.json, a CSV file a table, and more texts by name: all at once or none.

        An earlier result is replaced; what else lies in its folder stays. Raises ResultError for
        any other folder that is not empty, and where nothing can be written.
        """
        texts = {f"{name}.csv": _csv(table) for name, table in self.all_columns().items()}
        texts |= {"result.json": self.to_json(), **(more or {})}
        write_files(Path(folder), texts)

    @classmethod
    def load(cls, path: str | Path) -> Result:
        """Return the result that was saved in a folder, or in a result.json. Raises ResultError.

        What `--stream` wrote is loaded too, for as many images as memory holds.
        """
        if (Path(path) / STREAM_FILE).is_file():
            from simulator.results.streamed import StreamedResult, result_of

            return result_of(StreamedResult(Path(path)))
        file, text = read_text(Path(path))
        data = parsed(text, f"{file}: not a whole result", ResultError)
        if not isinstance(data, dict) or set(data) != {"provenance", "tables"}:
            raise ResultError(file, "must hold provenance and tables, and nothing else")
        try:
            return cls(data["provenance"], _lists(data["tables"]))
        except ResultError as error:
            lines = str(error).splitlines()
            raise ResultError("\n".join(f"{file}: {line}" for line in lines)) from None


def merge(parts: Sequence[Result]) -> Result:
    """Join runs over different images of one trace, in the order of the images.

    Raises ResultError if they differ in anything but their images, or share an image.
    """
    if not parts:
        raise ResultError("merge", "needs at least one result")
    first = parts[0]
    for position, part in enumerate(parts[1:], start=1):
        if part.provenance != first.provenance:
            raise ResultError("merge", f"part {position}", "provenance", "must be that of part 0")
        for name, schema in SCHEMAS.items():
            alike = schema.per_image or schema.derived
            if not alike and not equal(part.columns(name), first.columns(name)):
                raise ResultError("merge", f"part {position}", name, "must be that of part 0")
    return Result(first.provenance, joined([part.all_columns() for part in parts]))


def joined(parts: Sequence[Mapping[str, Table]]) -> dict[str, Table]:
    """Join the tables of several parts; those that belong to no image are the first part's."""
    return {
        name: concat([part[name] for part in parts]) if schema.per_image else parts[0][name]
        for name, schema in SCHEMAS.items()
        if name in parts[0]
    }


def provenance_problems(provenance: Any) -> list[str]:
    """Return what is wrong with the provenance of a result that is read back, a line each."""
    problems: list[str] = []
    _check_provenance(provenance, problems)
    return problems


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
    for path, entry in (PROVENANCE | OPTIONAL_PROVENANCE).items():
        value: Any = provenance
        for name in path.split("."):
            value = value.get(name, _ABSENT) if isinstance(value, dict) else _ABSENT
        if value is _ABSENT and path in OPTIONAL_PROVENANCE:
            continue
        value = None if value is _ABSENT else value
        if not _KINDS[entry.kind](value):
            rule = _POSITIVE if entry.kind == "positive" else entry.kind
            problems.append(f"provenance: {path}: {shown(value)}: must be a {rule}")
    if not problems:
        _check_weights(provenance["trace"]["weights"], problems)


def _check_weights(weights: dict[str, Any], problems: list[str]) -> None:
    if weights["origin"] not in ORIGINS:
        known = suggestion(weights["origin"], ORIGINS)
        problems.append(f"provenance: trace.weights.origin: {shown(weights['origin'])}: {known}")
    elif weights["origin"] != "trained" and weights.get("accuracy") is not None:
        problems.append("provenance: trace.weights.accuracy: only trained weights have one")


_ABSENT = object()
_POSITIVE = "number above 0 (1e-12 to 1e15)"
"""Outside, what is computed from it overflows."""
_KINDS: dict[str, Callable[[Any], bool]] = {
    "str": lambda value: isinstance(value, str),
    "dict": lambda value: isinstance(value, dict),
    "list": lambda value: isinstance(value, list),
    "pair": lambda value: (
        isinstance(value, list)
        and len(value) == 2
        and all(type(each) is int and 1 <= each <= 4096 for each in value)
    ),
    "positive": lambda value: type(value) in (int, float) and 1e-12 <= value <= 1e15,
}


def _dumps(value: Any) -> str:
    # ASCII, so that a file name that is not UTF-8 survives too.
    return json.dumps(value, sort_keys=True, allow_nan=False)


def _listed(column: Column) -> str:
    """Return a column as a JSON list; each word is written once and then repeated."""
    if isinstance(column, Text):
        words = [_dumps(word) for word in column.words]
        return f"[{', '.join([words[code] for code in column.codes.tolist()])}]"
    return _dumps(column.tolist())


def _csv(table: Table) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*(_cells(column) for column in table.values()), strict=True))
    return file.getvalue()


def _cells(column: Column) -> list[Any]:
    if isinstance(column, Text):
        return Text(column.codes, tuple(str(cell(word)) for word in column.words)).tolist()
    cells: list[Any] = column.tolist()
    return cells


def _lists(tables: Any) -> dict[str, dict[str, list[Any]]]:
    """Return tables in their JSON form, once they have that form."""
    if not isinstance(tables, dict):
        raise ResultError("tables", "must map names to tables")
    for name, columns in tables.items():
        if not isinstance(columns, dict) or not all(isinstance(c, list) for c in columns.values()):
            raise ResultError(name, "must map columns to lists")
        lengths = {len(column) for column in columns.values()}
        if len(lengths) > 1:
            raise ResultError(name, f"columns must be equally long, not {sorted(lengths)}")
    return tables
