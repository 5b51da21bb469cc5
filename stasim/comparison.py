"""Results side by side: a table, figures, and one offline page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stasim.house import require

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from reports.figures.base import Run
    from simulator.results.result import Result


class Comparison:
    """Hold runs with the names of design and workload, in the order in which they were given."""

    def __init__(self, runs: Iterable[Run], baseline: str | None = None) -> None:
        self.runs = tuple(runs)
        self.baseline = baseline

    @classmethod
    def of(
        cls,
        results: Iterable[Result | str | Path] | Mapping[str, Result | str | Path],
        baseline: str | None = None,
    ) -> Comparison:
        """Name the runs; raises ResultError for two different ones of one name."""
        require("simulator", "reports")
        from reports.runs import found_at, runs_of

        pairs = results.items() if isinstance(results, Mapping) else (("", r) for r in results)
        found = []
        for label, each in pairs:
            if isinstance(each, str | Path):
                found += found_at(str(each), label)
            else:
                found.append((label, label or "result", each))
        return cls(runs_of(found), baseline)

    @property
    def table(self) -> pd.DataFrame:
        """Return a row a run: latency, energy, traffic and rates, means of its images."""
        from reports.figures.designs import overview

        return overview(self.runs)

    def figures(self) -> dict[str, go.Figure]:
        """Return the figures of the page by name, each as it is shown at first."""
        from reports.compare import compare_cards
        from stasim.plots import first_figures

        return first_figures(compare_cards(self.runs, self.baseline))

    def page(self) -> str:
        """Return one HTML page that needs no network."""
        from reports.compare import compare_page

        return compare_page(self.runs, self.baseline)

    def save(self, path: str | Path) -> Path:
        """Write the page, whole or not at all, over nothing but an earlier one."""
        from reports.html import write_html

        write_html(self.page(), path)
        return Path(path)

    def summary(self) -> dict[str, dict[str, Any]]:
        """Return the summary of each run by `design on workload`."""
        return {f"{run.design} on {run.workload}": run.facts for run in self.runs}

    def __len__(self) -> int:
        return len(self.runs)

    def __repr__(self) -> str:
        shown = self.table[["design", "workload", "latency (ms)", "energy (µJ)"]]
        return (
            f"Comparison of {len(self)} runs\n{shown.to_string(index=False, float_format='%.4g')}"
        )

    def _repr_html_(self) -> str:
        return str(self.table.to_html(index=False, float_format=lambda value: f"{value:.4g}"))
