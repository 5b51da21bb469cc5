"""How long the images take: each of them, or their distribution for each design."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from reports.figures.base import (
    BLUE,
    GREY,
    ORANGE,
    SKY,
    VERMILION,
    Card,
    Plot,
    Run,
    escaped,
    height_px,
    marks,
    per_workload,
    single,
    table,
    upside_down,
)
from reports.texts import text
from simulator.results.image_facts import PERCENTILES
from simulator.results.result import Result

TIME = "Time"
MOST_POINTS = 500
"""Of more images, this many ranks are drawn; the table holds all."""


def latency_card(result: Result, facts: dict[str, Any]) -> Card:
    """Draw the latency of every image, with its percentiles."""
    images = result.tables["images"]
    ordered = images.sort_values("latency_cycles", kind="stable")
    ranks = np.unique(np.linspace(0, len(images) - 1, MOST_POINTS).astype(int))
    kept = ordered.iloc[ranks]
    figure = go.Figure()
    figure.add_scatter(
        x=kept["latency_ms"].tolist(),
        y=(100 * (ranks + 1) / len(images)).tolist(),
        text=escaped(kept["image_id"]),
        name="images",
        mode="lines+markers" if len(images) <= 200 else "lines",
        line={"shape": "hv", "color": BLUE, "width": 2},
        marker={"color": BLUE, "size": 7},
        hovertemplate="%{text}: %{x:,.4~r} ms<extra></extra>",
    )
    _percentile_lines(figure, facts["latency_ms"])
    heading = {
        "image_id": "name",
        "latency_cycles": "latency (cycles)",
        "latency_ms": "latency (ms)",
        "floor_cycles": "floor (cycles)",
        "ceiling_cycles": "ceiling (cycles)",
    }
    plot = Plot(text("latency"), figure, images[[*heading]].rename(columns=heading))
    return single("latency", TIME, plot, text("latency", "one"))


def _percentile_lines(figure: go.Figure, facts: dict[str, float]) -> None:
    """Of few images several percentiles are the same image: one line with all their names."""
    lines: dict[float, list[str]] = {}
    for name in ("mean", *(f"p{rank}" for rank in PERCENTILES)):
        lines.setdefault(facts[name], []).append(name)
    for value, same in lines.items():
        colour = ORANGE if "mean" in same else GREY
        figure.add_vline(value, line_dash="dot", line_color=colour, line_width=1.5)
        figure.add_annotation(
            x=value, y=1.0, yref="paper", yanchor="bottom", text=", ".join(same), showarrow=False
        )
    low, high = facts["min"], facts["max"]
    margin = 0.08 * (high - low) or 0.1 * high
    figure.update_layout(height=320, showlegend=False)
    figure.update_xaxes(title="latency (ms)", range=[low - margin, high + margin])
    figure.update_yaxes(title="images at most this slow (%)", range=[0, 104])


def latency_cards(runs: Sequence[Run]) -> list[Card]:
    """Draw designs side by side: quartiles, extremes, mean and tail of the latency."""
    return [per_workload("latency", TIME, runs, _boxes)]


def _boxes(group: Sequence[Run]) -> Plot:
    rows = {}
    for run in group:
        latency = run.result.tables["images"]["latency_ms"].to_numpy()
        ranks = np.percentile(latency, (25, 75), method="inverted_cdf").tolist()
        facts = run.facts["latency_ms"]
        rows[run.design] = facts | dict(zip(("p25", "p75"), ranks, strict=True))
    order = ["mean", "min", "p25", "p50", "p75", "p95", "p99", "max"]
    frame = pd.DataFrame.from_dict(rows, orient="index")[order]
    names = escaped(frame.index)
    figure = go.Figure()
    box = {
        "q1": frame["p25"].tolist(),
        "median": frame["p50"].tolist(),
        "q3": frame["p75"].tolist(),
        "lowerfence": frame["min"].tolist(),
        "upperfence": frame["max"].tolist(),
    }
    look = {"line": {"color": BLUE, "width": 1.5}, "fillcolor": SKY, "name": "min, quartiles, max"}
    figure.add_box(**box, y=names, orientation="h", **look)
    for column, symbol, colour in (
        ("mean", "diamond", ORANGE),
        ("p95", "triangle-up", VERMILION),
        ("p99", "triangle-down", GREY),
    ):
        style = {"symbol": symbol, "color": colour, "size": 9}
        marks(figure, frame[column], names, column, style, f"%{{y}}: {column} %{{x:,.4~r}} ms")
    figure.update_layout(height=height_px(len(frame), 34))
    figure.update_xaxes(title="latency of an image (ms)", rangemode="tozero")
    upside_down(figure)
    note = text("latency", "boxes", images=group[0].result.images)
    return Plot(note, figure, table(frame, "design", " (ms)"))
