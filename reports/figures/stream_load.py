"""Streams beside one another: latency against load, and the tails of all designs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from reports.figures.base import Card, Plot, Run, error_bars, escaped, per_workload
from reports.figures.cycles import marker
from reports.figures.stream_views import STREAMS, spans_ms, tails
from reports.texts import text
from simulator.results.units import RATE, TIME
from simulator.streams.statistics import Estimate


def stream_comparison_cards(runs: Sequence[Run]) -> list[Card]:
    """Draw latency against load, and the tails, of the runs that are streams."""
    kept = [run for run in runs if run.facts["stream"]]
    if not kept:
        return []
    return [
        per_workload("stream-load", STREAMS, kept, _load_plot),
        per_workload("stream-tail", STREAMS, kept, _tails_of),
    ]


def _tails_of(group: Sequence[Run]) -> Plot:
    plot = tails({run.design: spans_ms(run.result)["latency"] for run in group})
    return plot._replace(table=plot.table.rename(columns={"series": "design"}))


def machines_of(group: Sequence[Run]) -> dict[str, list[Run]]:
    """Group the runs of one machine under several loads, by its design without arrivals."""
    found: dict[str, list[Run]] = {}
    for run in group:
        found.setdefault(run.result.provenance["architecture"]["content_hash"], []).append(run)
    named: dict[str, list[Run]] = {}
    for own in found.values():
        stems = [run.design.removesuffix(f", {run.facts['stream']['arrivals']}") for run in own]
        named[min(stems, key=len)] = own
    return named


def _load_plot(group: Sequence[Run]) -> Plot:
    """A line a machine for the mean, a broken one for p99; a star where it is never idle."""
    figure, rows = go.Figure(), []
    for place, (name, own) in enumerate(machines_of(group).items()):
        points = sorted(
            (_load_row(run) for run in own), key=lambda row: float(row[RATE.head("load")])
        )
        rows += [{"machine": name} | row for row in points]
        for statistic, dash in (("mean", "solid"), ("p99", "dash")):
            _load_line(figure, place, f"{name}, {statistic}", points, statistic, dash)
    figure.update_layout(height=420)
    figure.update_xaxes(title=RATE.head(text("stream-load", "across")), rangemode="tozero")
    figure.update_yaxes(title=TIME.head(text("stream-load", "up")), type="log")
    return Plot(text("stream-load"), figure, pd.DataFrame(rows))


def _load_row(run: Run) -> dict[str, Any]:
    facts = run.facts["stream"]
    latency = {name: Estimate(**each) for name, each in facts["latency_ms"].items()}
    offered, served = facts["offered_images_per_s"], facts["throughput_images_per_s"]
    return {
        "arrivals": facts["arrivals"],
        "n": facts["images"],
        RATE.head("load"): served if offered is None else offered,
        RATE.head("served"): served,
        **{TIME.head(name): value for name, value in latency.items()},
        "waiting, mean": facts["waiting_mean"],
        "busiest unit": max(facts["occupancy"].values(), default=0.0),
        "open": "yes" if offered is not None else "no",
    }


def _load_line(
    figure: go.Figure,
    place: int,
    name: str,
    points: Sequence[Mapping[str, Any]],
    statistic: str,
    dash: str,
) -> None:
    found = [point[TIME.head(statistic)] for point in points]
    own = marker(place, 9)
    symbols = [own["symbol"] if point["open"] == "yes" else "star" for point in points]
    values = [each.value for each in found]
    shown = escaped([name])[0]
    figure.add_scatter(
        x=[point[RATE.head("load")] for point in points],
        y=values,
        error_y=error_bars(found),
        name=shown,
        mode="lines+markers",
        line={"color": own["color"], "dash": dash, "width": 2},
        marker=own | {"symbol": symbols},
        text=escaped([point["arrivals"] for point in points]),
        hovertemplate="%{text}: %{y:,.4~r} ms<extra>" + shown + "</extra>",
    )
