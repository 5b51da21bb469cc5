"""SweepResult: what a search found, as one table with its provenance; what reports/sweep.py reads.

    result = SweepResult.load("sweeps/small")
    result.points           # a row a point: number, status, message, replay, parameters, metrics
    result.front()          # the points that no other one beats in all objectives

`points.parquet` holds the table, `sweep.json` the provenance; both appear whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from simulator.config.whole_file import whole_file
from simulator.errors import SpaceError

SCHEMA = "stasim-sweep-result/1"
POINTS, PROVENANCE = "points.parquet", "sweep.json"
PARAMETER, METRIC = "parameter.", "metric."
"""What the names of columns begin with."""

Row = tuple[int, dict[str, Any], dict[str, Any]]
"""Number, point and outcome."""


@dataclass(frozen=True, eq=False)
class SweepResult:
    """A row for each point in `points`; columns `parameter.<path>` and `metric.<name>`.

    A parameter's value is a number or a text; a value that is neither is JSON. A metric that a
    point does not have is NaN.
    """

    provenance: dict[str, Any]
    points: pd.DataFrame

    @classmethod
    def of(
        cls, provenance: dict[str, Any], parameters: Sequence[str], rows: Sequence[Row]
    ) -> SweepResult:
        """The result of these points."""
        metrics = sorted({name for _, _, outcome in rows for name in outcome["metrics"]})
        columns: dict[str, Any] = {
            "number": np.array([number for number, _, _ in rows], np.int64),
            "status": [outcome["status"] for _, _, outcome in rows],
            "message": [outcome["message"] for _, _, outcome in rows],
            "replay": [outcome["replay"] for _, _, outcome in rows],
            "violation": np.array([outcome["violation"] for _, _, outcome in rows], np.float64),
        }
        for name in parameters:
            columns[PARAMETER + name] = _column([point[name] for _, point, _ in rows])
        for name in metrics:
            values = [outcome["metrics"].get(name, np.nan) for _, _, outcome in rows]
            columns[METRIC + name] = np.array(values, np.float64)
        return cls({"schema": SCHEMA, **provenance}, pd.DataFrame(columns))

    @property
    def objectives(self) -> dict[str, str]:
        """Metric and direction of each objective."""
        return dict(self.provenance["space"]["objectives"])

    @property
    def parameters(self) -> list[str]:
        """The names of what was varied."""
        names = map(str, self.points.columns)
        return [name[len(PARAMETER) :] for name in names if name.startswith(PARAMETER)]

    def front(self) -> pd.DataFrame:
        """The points that keep all limits and that no other such point beats; best first objective
        first.
        """
        ok = self.points[self.points["status"] == "ok"]
        signs = [1.0 if way == "minimize" else -1.0 for way in self.objectives.values()]
        names = [METRIC + name for name in self.objectives]
        costs = ok[names].to_numpy(np.float64) * np.array(signs) if len(ok) else np.zeros((0, 1))
        kept = ok[undominated(costs)] if len(ok) else ok
        return kept.sort_values(names, ascending=[sign > 0 for sign in signs], kind="stable")

    def save(self, folder: Path) -> None:
        """Write both files, the table first. Raises SpaceError where nothing can be written."""
        try:
            with whole_file(folder / POINTS) as file:
                self.points.to_parquet(file, index=False, engine="pyarrow")
            text = json.dumps(self.provenance, indent=1) + "\n"
            with whole_file(folder / PROVENANCE) as file:
                file.write(text.encode())
        except ImportError:
            rule = "needs the extra 'search': pip install 'stasim[search]'"
            raise SpaceError(f"{folder / POINTS}: Parquet {rule}") from None
        except OSError as error:
            raise SpaceError(f"{folder}: {error.strerror or error}") from None

    @classmethod
    def load(cls, folder: str | Path) -> SweepResult:
        """The result in a folder; SpaceError if there is none that this program reads."""
        folder = Path(folder)
        try:
            provenance = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
            if not isinstance(provenance, dict) or provenance.get("schema") != SCHEMA:
                raise ValueError(f"schema must be {SCHEMA!r}")
            points = pd.read_parquet(folder / POINTS, engine="pyarrow")
            result = cls(provenance, points)
            missing = {"number", "status", *(METRIC + name for name in result.objectives)}
            if some := sorted(missing - set(points.columns)):
                raise ValueError(f"{POINTS} has no column {some[0]}")
        except ImportError:
            rule = "needs the extra 'search': pip install 'stasim[search]'"
            raise SpaceError(f"{folder / POINTS}: Parquet {rule}") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SpaceError(f"{folder}: not a whole sweep: {error}") from None
        return result


def undominated(
    costs: np.ndarray[Any, np.dtype[np.float64]],
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Rows of (point, objective) that no other row equals or beats in all and beats in one."""
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
