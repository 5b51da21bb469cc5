"""The tables of a result against their schema: types, values, keys and references.

A column is checked as an array, a text column by the words that occur in it. Only where that finds
something wrong are the cells walked, for the row to name.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simulator.config.arrays import Ints, grouped
from simulator.config.wording import shown, suggestion
from simulator.results.columns import (
    Column,
    Table,
    Text,
    keys_of,
    named_actions,
    rows_of,
    take,
    text,
)
from simulator.results.schema import SCHEMAS
from simulator.results.schema import Column as Rule

# Of a table with many bad rows the first few are named.
_STATED = 5
_INT64 = np.iinfo(np.int64)
_TYPES = {"str": (str,), "int64": (int,), "float64": (int, float)}
_KINDS = {"str": "", "int64": "iu", "float64": "iuf"}


def checked_tables(given: Mapping[str, Any], problems: list[str]) -> dict[str, Table]:
    """Return all tables with their own types, sorted by image; append whatever is wrong.

    A table maps names to columns: Text, arrays, lists or those of a DataFrame.
    """
    problems.extend(
        f"{name}: unknown table {suggestion(name, SCHEMAS)}"
        for name in given
        if name not in SCHEMAS
    )
    tables = {}
    for name, schema in SCHEMAS.items():
        if name not in given and not schema.optional:
            problems.append(f"{name}: table is missing")
            continue
        before = len(problems)
        table = checked_table(name, given[name], problems) if name in given else empty_table(name)
        if len(problems) == before:
            _check_key(name, table, problems)
            tables[name] = by_image(table) if schema.per_image else table
    if not problems:
        _check_references(tables, problems)
    return tables


def empty_table(name: str) -> Table:
    """Return a table without rows."""
    return checked_table(name, dict.fromkeys(SCHEMAS[name].columns, ()), [])


def checked_table(name: str, given: Any, problems: list[str]) -> Table:
    """Return a table's columns in their order and types; append whatever is wrong.

    A column that an earlier version did not write takes its default, or another's values.
    """
    rules, before = SCHEMAS[name].columns, len(problems)
    names = list(given)
    if len(set(names)) < len(names):
        problems.append(f"{name}: a column stands twice")
        return {}
    problems.extend(
        f"{name}.{column}: column is missing"
        for column, rule in rules.items()
        if column not in given and not rule.is_optional
    )
    problems.extend(
        f"{name}.{column}: unknown column {suggestion(str(column), rules)}"
        for column in names
        if column not in rules
    )
    if len(problems) > before:
        return {}
    rows = len(given[names[0]]) if names else 0
    columns: Table = {}
    for column, rule in rules.items():
        values = given[column] if column in given else _older(given, rule, rows)
        checked = _checked_column(values, rule)
        if isinstance(checked, str):
            problems.append(f"{name}.{column}: {checked}")
        else:
            columns[column] = checked
    return columns


def _older(given: Any, rule: Rule, rows: int) -> Any:
    """Return what a column is in a result that was written before it was."""
    return given[rule.like] if rule.like else [rule.default] * rows


def _checked_column(values: Any, rule: Rule) -> Column | str:
    """Return the values in the column's own type, or what is wrong with them."""
    column = _typed(values, rule)
    if column is None or not _within(column, rule):
        items = values.tolist() if hasattr(values, "tolist") else values
        return _first_problem(items, rule)
    return column


def _typed(values: Any, rule: Rule) -> Column | None:
    """Return the values in the column's own type; None where some are of another."""
    if isinstance(values, Text):
        return values if rule.dtype == "str" else None
    array = values if isinstance(values, list) else np.asarray(values)
    if isinstance(array, np.ndarray) and len(array) and array.dtype.kind in _KINDS[rule.dtype]:
        if array.dtype == np.uint64 and rule.dtype == "int64" and array.max() > _INT64.max:
            return None
        return array.astype(rule.dtype)
    items = array if isinstance(array, list) else array.tolist()
    if not set(map(type, items)) <= set(_TYPES[rule.dtype]):
        return None
    if rule.dtype == "str":
        return text(items)
    try:
        return np.array(items, dtype=rule.dtype)
    except OverflowError:
        return None


def _within(column: Column, rule: Rule) -> bool:
    """Return whether every value keeps the column's rules."""
    if isinstance(column, Text):
        if not (rule.choices or rule.pattern):
            return True
        used = np.flatnonzero(np.bincount(column.codes, minlength=1))
        return all(_is_allowed(column.words[code], rule) for code in used.tolist())
    if not len(column):
        return True
    # A NaN is neither above the minimum nor finite.
    return bool(column.min() >= rule.minimum and column.max() < math.inf)


def _is_allowed(word: str, rule: Rule) -> bool:
    if rule.choices and word not in rule.choices:
        return False
    return not rule.pattern or re.fullmatch(rule.pattern, word) is not None


def _first_problem(items: Sequence[Any], rule: Rule) -> str:
    """Return what is wrong with the first bad value of a column that has one."""
    for row, item in enumerate(items):
        if type(item) not in _TYPES[rule.dtype]:
            return f"row {row}: {shown(item)}: must be {rule.dtype}"
        if rule.choices and item not in rule.choices:
            return f"row {row}: {shown(item)}: unknown {suggestion(item, rule.choices)}"
        if not (rule.dtype != "str" or _is_allowed(item, rule)):
            return f"row {row}: {shown(item)}: must match {rule.pattern}"
        if rule.dtype == "int64" and not _INT64.min <= item <= _INT64.max:
            return f"row {row}: {item}: must fit into 64 bits"
        # `not >=` is also true for NaN.
        if rule.dtype != "str" and not rule.minimum <= item <= sys.float_info.max:
            return f"row {row}: {item}: must be a finite number of {rule.minimum} or more"
    raise AssertionError("a column without a problem")


def by_image(table: Table) -> Table:
    """Return a table with its rows in order of the images."""
    image = _ints(table)
    if np.all(image[1:] >= image[:-1]):
        return table
    return take(table, np.argsort(image, kind="stable"))


def _ints(table: Table) -> Ints:
    """Return the images that the rows belong to."""
    image = table["image"]
    assert not isinstance(image, Text)
    return image.astype(np.int64, copy=False)


def _check_key(name: str, table: Table, problems: list[str]) -> None:
    key = list(SCHEMAS[name].key)
    keys = keys_of(table, key)
    if (keys[1:] > keys[:-1]).all():
        return
    first, _ = grouped(keys)
    if len(first) == rows_of(table):
        return
    repeated = np.setdiff1d(np.arange(rows_of(table)), first)[:_STATED]
    named = take({column: table[column] for column in key}, repeated)
    for row in zip(*(column.tolist() for column in named.values()), strict=True):
        problems.append(f"{name}.{', '.join(key)}: {shown(list(row))}: stands twice")


def _check_references(tables: Mapping[str, Table], problems: list[str]) -> None:
    """Every row belongs to an image that is there, and every counted action has a price."""
    if not rows_of(tables["images"]):
        problems.append("images: must hold at least one image")
    images = np.sort(_ints(tables["images"]))
    for name, schema in SCHEMAS.items():
        if schema.per_image:
            own = _ints(tables[name])
            place = np.searchsorted(images, own).clip(max=max(len(images) - 1, 0))
            strays = np.unique(own[images[place] != own] if len(images) else own)
            if len(strays):
                facts = shown(strays[:_STATED].tolist())
                problems.append(f"{name}.image: {facts}: must be listed in the table images")
    priced = pairs_of(tables["prices"])
    for part, action in sorted(set(pairs_of(tables["actions"])) - set(priced))[:_STATED]:
        problems.append(f"actions.action: {part}.{action}: must be listed in the table prices")


def pairs_of(table: Table) -> list[tuple[str, str]]:
    """Return the different (part, action) of a table, in the order of their keys."""
    first, _ = grouped(keys_of(table, ("part", "action")))
    return named_actions(take(table, first))
