"""How the page writes numbers: means with their spread, ratios, tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from scipy import stats

Tables = dict[str, pd.DataFrame]
ALWAYS_ON = "always_on_pj"
"""The column that tables have since energies are at the default prices of version 0.2.0."""


def priced(costs: pd.DataFrame) -> str:
    """Return at which prices a table has its energies, as one sentence."""
    if has_always_on(costs):
        return "Energies of machines are at the default prices, with what is always on."
    return "Energies of machines are at [the prices of 0.1.0](#prices)."


def has_always_on(costs: pd.DataFrame) -> bool:
    """Whether every row is priced with what is always on."""
    return ALWAYS_ON in costs and bool(costs[ALWAYS_ON].notna().all())


def spread(values: pd.Series, scale: float = 1.0, digits: int = 1) -> str:
    """The mean, and ± the sample's standard deviation where there are several values."""
    mean = f"{values.mean() * scale:.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {values.std() * scale:.{digits}f}"


def signed(values: pd.Series) -> str:
    """A difference in points: the mean with its sign, and its 95 % interval of several values."""
    mean = f"{values.mean():+.2f}"
    if len(values) < 2:
        return mean
    low, high = interval(values)
    return f"{mean} [{low:+.2f}, {high:+.2f}]"


def interval(values: pd.Series) -> tuple[float, float]:
    """Student's 95 % interval of the mean; of a single value there is none: from -inf to inf."""
    if len(values) < 2:
        return -math.inf, math.inf
    reach = stats.t.ppf(0.975, len(values) - 1) * values.sem()
    return float(values.mean() - reach), float(values.mean() + reach)


def change(after: float, before: float, of: float | None = None) -> str:
    """By how much a figure changed, in percent of `before`, or of another figure."""
    return f"{100 * (after - before) / (before if of is None else of):+.1f} %"


def percent(value: float, digits: int = 0) -> str:
    """A fraction in percent."""
    return f"{100 * value:.{digits}f} %"


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def rows_of(table: pd.DataFrame) -> list[Any]:
    """The rows, with columns as attributes."""
    return list(table.itertuples(index=False))


def one(table: pd.DataFrame, **keys: object) -> Any:
    """The one row with these values, columns as attributes."""
    for column, value in keys.items():
        table = table[table[column] == value]
    if len(table) != 1:
        raise ValueError(f"{len(table)} rows with {keys}")
    return rows_of(table)[0]


def fastest(costs: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Of each group the row under the dataflow with the lowest latency."""
    return costs.loc[costs.groupby(list(keys), sort=False).latency_cycles.idxmin()]


def crossing(line: pd.DataFrame, column: str, level: float) -> float | None:
    """The share of active tokens up to which `column` stays under `level`, between points linear.

    None where it is over `level` at every share, 1 where it is under it at every share.
    """
    line = line.sort_values("active_tokens")
    shares, values = line.active_tokens.to_numpy(), line[column].to_numpy() / level
    if values[0] >= 1.0:
        return None
    for at in range(1, len(values)):
        if values[at] >= 1.0:
            step = (1.0 - values[at - 1]) / (values[at] - values[at - 1])
            return float(shares[at - 1] + step * (shares[at] - shares[at - 1]))
    return 1.0


def paired(arms: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """The seeds that two arms share, columns of the first _x, of the second _y."""
    return arms[arms.arm == first].merge(arms[arms.arm == second], on="seed")
