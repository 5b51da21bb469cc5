"""A stream of images: how long each took from its arrival on, and how many waited meanwhile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from plotly.subplots import make_subplots

from reports.figures.base import BLUE, GREY, ORANGE, VERMILION, Card, Plot, marks, single
from reports.figures.stream_views import STREAMS, crowd_card, met_card, tail_card
from reports.texts import text
from simulator.results.result import Result

MOST_POINTS = 2000
"""Of a longer stream, this many images and changes of the queue are drawn."""


def stream_cards(result: Result, facts: dict[str, Any]) -> list[Card]:
    """Return all views of a stream, for a result that holds one."""
    if not facts["stream"]:
        return []
    return [
        _time_card(result, facts),
        tail_card(result),
        met_card(result),
        crowd_card(result),
    ]


def _time_card(result: Result, facts: dict[str, Any]) -> Card:
    """Latency and queue over time."""
    per_ms = result.provenance["architecture"]["clock_mhz"] * 1e3
    stream, queue = result.tables["stream"], result.tables["stream_queue"]
    kept, changes = _thinned(stream), _thinned(queue)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08)
    arrival_ms = (kept["arrival_cycle"] / per_ms).tolist()
    for column, name, colour in (
        ("latency_cycles", "latency", BLUE),
        ("queueing_cycles", "of it queueing", ORANGE),
    ):
        style, hover = {"color": colour, "size": 4}, f"{name} %{{y:,.4~r}} ms"
        marks(figure, arrival_ms, kept[column] / per_ms, name, style, hover, row=1, col=1)
    p99 = facts["stream"]["latency_ms"]["p99"]["value"]
    figure.add_hline(y=p99, line_dash="dot", line_color=GREY, annotation_text="p99", row=1, col=1)
    for column, colour in (("waiting", VERMILION), ("in_flight", BLUE)):
        figure.add_scatter(
            x=(changes["cycle"] / per_ms).tolist(),
            y=changes[column].tolist(),
            name=column.replace("_", " "),
            mode="lines",
            line={"shape": "hv", "color": colour, "width": 1.5},
            row=2,
            col=1,
        )
    figure.update_layout(height=460)
    figure.update_xaxes(title="time (ms)", row=2, col=1)
    figure.update_yaxes(title="latency (ms)", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title="images", rangemode="tozero", row=2, col=1)
    named = {name: facts["stream"][name] for name in ("images", "arrivals", "in_flight")}
    plot = Plot(text("stream", **named), figure, _numbers(facts["stream"]))
    return single("stream", STREAMS, plot)


def _numbers(facts: dict[str, Any]) -> pd.DataFrame:
    """Mean and percentiles with their intervals."""
    rows = []
    for part in ("latency", "queueing", "service"):
        for name, estimate in facts[f"{part}_ms"].items():
            rows.append({"metric (ms)": f"{part}, {name}", **estimate})
    frame = pd.DataFrame(rows)
    return frame.rename(columns={"low": "interval from", "high": "interval to"})


def _thinned(table: pd.DataFrame) -> pd.DataFrame:
    rows = np.unique(np.linspace(0, len(table) - 1, MOST_POINTS).astype(int))
    return table.iloc[rows]
