"""A table as columns: numbers are arrays, text is codes into the words that occur.

    table = {"image": np.array([0, 0]), "unit": text(["pe_array", "dram"])}

A result holds its tables in this form; `frame` makes a pandas DataFrame of one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simulator.config.arrays import DENSE, Bools, Floats, Ints

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, slots=True)
class Text:
    """Hold a column of text: `codes` (rows,) point into `words`, some of which may be unused."""

    codes: npt.NDArray[np.integer[Any]]
    words: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: Any) -> Text:
        """Return the column of some of the rows."""
        return Text(self.codes[rows], self.words)

    def word(self, row: int) -> str:
        """Return the text of one row."""
        return self.words[int(self.codes[row])]

    def tolist(self) -> list[str]:
        """Return the text of every row."""
        return [self.words[code] for code in self.codes.tolist()]

    def where(self, word: str) -> Bools:
        """Return which rows hold this word."""
        places = [place for place, known in enumerate(self.words) if known == word]
        if len(places) == 1:
            found: Bools = self.codes == places[0]
            return found
        return np.isin(self.codes, places)


Column = Ints | Floats | Text
Table = dict[str, Column]


def text(values: Sequence[str]) -> Text:
    """Return a column of these texts; each word is kept once."""
    words: dict[str, int] = {}
    codes = (words.setdefault(value, len(words)) for value in values)
    return Text(np.fromiter(codes, np.int32, len(values)), tuple(words))


def numbers(table: Mapping[str, Column], name: str) -> npt.NDArray[Any]:
    """Return a column of numbers."""
    column = table[name]
    assert not isinstance(column, Text), f"{name}: a column of text"
    return column


def words(table: Mapping[str, Column], name: str) -> Text:
    """Return a column of text."""
    column = table[name]
    assert isinstance(column, Text), f"{name}: a column of numbers"
    return column


def named_actions(table: Mapping[str, Column]) -> list[tuple[str, str]]:
    """Return the (part, action) of each row."""
    return list(zip(words(table, "part").tolist(), words(table, "action").tolist(), strict=True))


def totals(table: Mapping[str, Column], by: str, name: str) -> dict[str, Any]:
    """Return the sum of a column for each word of another, in the order of their first rows.

    Whole numbers are exact; floats are rounded once.
    """
    of_row, values = words(table, by), numbers(table, name)
    codes, first = np.unique(of_row.codes, return_index=True)
    add = math.fsum if values.dtype.kind == "f" else sum
    return {
        of_row.words[code]: add(values[of_row.codes == code].tolist())
        for code in codes[np.argsort(first)].tolist()
    }


def rows_of(table: Mapping[str, Column]) -> int:
    """Return how many rows a table has."""
    return len(next(iter(table.values())))


def take(table: Mapping[str, Column], rows: Any) -> Table:
    """Return some rows of a table, in this order."""
    return {name: column[rows] for name, column in table.items()}


def concat(tables: Sequence[Mapping[str, Column]]) -> Table:
    """Return the rows of several tables of the same columns, one table after another."""
    first = tables[0]
    if len(tables) == 1:
        return dict(first)
    return {name: _concat([table[name] for table in tables]) for name in first}


def _concat(parts: Sequence[Column]) -> Column:
    texts = [part for part in parts if isinstance(part, Text)]
    if not texts:
        joined: Column = np.concatenate(parts)  # type: ignore[arg-type]
        return joined
    if all(part.words == texts[0].words for part in texts):
        return Text(np.concatenate([part.codes for part in texts]), texts[0].words)
    words: dict[str, int] = {}
    codes = []
    for part in texts:
        places = [words.setdefault(word, len(words)) for word in part.words]
        codes.append(np.array(places, np.int32)[part.codes])
    return Text(np.concatenate(codes), tuple(words))


def codes_of(column: Column) -> tuple[Ints, int]:
    """Return a number below the second value for each row, equal where the values are equal."""
    if isinstance(column, Text):
        if len(set(column.words)) == len(column.words):
            return column.codes.astype(np.int64), len(column.words)
        column = text(column.tolist())
        return column.codes.astype(np.int64), len(column.words)
    least = int(column.min(initial=0)) if column.dtype.kind == "i" else 0
    span = int(column.max(initial=0)) - least + 1 if column.dtype.kind == "i" else 0
    if 0 < span <= DENSE * len(column):
        return column.astype(np.int64) - least, span
    values, codes = np.unique(column, return_inverse=True)
    return codes.astype(np.int64), len(values)


def keys_of(table: Mapping[str, Column], names: Sequence[str]) -> Ints:
    """Return a number for each row, equal where the rows agree in all these columns."""
    keys, size = np.zeros(rows_of(table), np.int64), 1
    for name in names:
        codes, count = codes_of(table[name])
        if size * max(count, 1) >= 1 << 62:
            keys, size = codes_of(keys)
        keys, size = keys * count + codes, size * max(count, 1)
    return keys


def equal(one: Mapping[str, Column], other: Mapping[str, Column]) -> bool:
    """Return whether two tables hold the same columns, in order, with the same values."""
    return list(one) == list(other) and all(
        _equal(column, other[name]) for name, column in one.items()
    )


def _equal(one: Column, other: Column) -> bool:
    if isinstance(one, Text) and isinstance(other, Text):
        if one.words == other.words:
            return np.array_equal(one.codes, other.codes)
        return one.tolist() == other.tolist()
    if isinstance(one, Text) or isinstance(other, Text):
        return False
    return one.dtype == other.dtype and np.array_equal(one, other)


def frame(table: Mapping[str, Column]) -> pd.DataFrame:
    """Return a table as a DataFrame of its own: int64, float64, and text as objects."""
    import pandas as pd

    return pd.DataFrame(
        {
            name: _objects(column) if isinstance(column, Text) else column.copy()
            for name, column in table.items()
        }
    )


def _objects(column: Text) -> npt.NDArray[np.object_]:
    words = np.empty(len(column.words), dtype=object)
    words[:] = column.words
    rows: npt.NDArray[np.object_] = words[column.codes]
    return rows


class Tables(MutableMapping[str, "pd.DataFrame"]):
    """Hold tables by name as DataFrames, each made when it is first asked for.

    A DataFrame may be changed or replaced by its user: then it is what the table holds.
    """

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self._tables = dict(tables)
        self._frames: dict[str, pd.DataFrame] = {}

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name not in self._frames:
            self._frames[name] = frame(self._tables[name])
        return self._frames[name]

    def __setitem__(self, name: str, table: pd.DataFrame) -> None:
        self._frames[name] = table

    def __delitem__(self, name: str) -> None:
        del self._tables[name]
        self._frames.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def held(self, name: str) -> Table | pd.DataFrame:
        """Return a table's columns, or its DataFrame if there is one."""
        return self._frames.get(name, self._tables[name])


def held_table(tables: Mapping[str, Any], name: str) -> Any:
    """Return a table as it is held, without making a DataFrame of it."""
    return tables.held(name) if isinstance(tables, Tables) else tables[name]
