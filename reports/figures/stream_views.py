"""The views of a stream of images: its tail, what an image meets, and who is there together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go

from reports.figures.base import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALETTE,
    SKY,
    VERMILION,
    Card,
    Plot,
    bar,
    error_bars,
    escaped,
    line,
    marks,
    single,
    table,
)
from reports.figures.cycles import marker
from reports.texts import text
from simulator.results.result import Result
from simulator.results.stream import PERCENTILES
from simulator.results.units import TIME
from simulator.streams.statistics import mean_estimate, percentile_estimate

STREAMS = "Streams"
MOST_STEPS = 1000
"""Of a longer tail, this many steps are drawn: all of its end, the rest evenly spread."""
MOST_MET = 16
"""Images that meet more others than this are one group."""
WAITING = ((0, 0), (1, 1), (2, 3), (4, 7), (8, None))
"""Groups of how many images wait."""
_COLOURS = (BLUE, SKY, GREEN, ORANGE, VERMILION)
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def spans_ms(result: Result) -> dict[str, Floats]:
    """Return latency, queueing and service of the stream's images, in order of arrival."""
    per_ms = result.provenance["architecture"]["clock_mhz"] * 1e3
    stream = result.tables["stream"]
    names = ("latency", "queueing", "service")
    return {name: stream[f"{name}_cycles"].to_numpy(float) / per_ms for name in names}


def tail_card(result: Result) -> Card:
    """Return how many images take longer than a time."""
    return single("stream-tail", STREAMS, tails(spans_ms(result)))


def tails(series: Mapping[str, Floats]) -> Plot:
    """Return a falling line for each series, and its percentiles with their intervals."""
    figure, rows = go.Figure(), []
    for place, (name, values) in enumerate(series.items()):
        colour, shown = PALETTE[place % len(PALETTE)], escaped([name])[0]
        xs, ys = tail(values)
        style, extra = {"shape": "vh", "color": colour, "width": 2}, f"<extra>{shown}</extra>"
        hover = "%{y:.3~p} take %{x:,.4~r} ms or more" + extra
        line(figure, xs, ys, name, style, legendgroup=shown, hovertemplate=hover)
        found = {percent: percentile_estimate(values, percent) for percent in PERCENTILES}
        marks(
            figure,
            [each.value for each in found.values()],
            [1 - percent / 100 for percent in found],
            name,
            marker(place, 8),
            "%{text}: %{x:,.4~r} ms" + extra,
            legendgroup=shown,
            showlegend=False,
            error_x=error_bars([*found.values()]),
            text=[f"p{percent}" for percent in found],
        )
        estimates: dict[str, Any] = {TIME.head(f"p{each}"): value for each, value in found.items()}
        longest = {TIME.head("longest"): float(values.max())}
        rows.append({"series": name, "n": len(values)} | estimates | longest)
    figure.update_layout(height=420)
    figure.update_xaxes(title=text("stream-tail", "across"), rangemode="tozero")
    figure.update_yaxes(title=text("stream-tail", "up"), type="log", tickformat=".3~p")
    return Plot(text("stream-tail"), figure, pd.DataFrame(rows))


def tail(values: Floats) -> tuple[Floats, Floats]:
    """Return times in order, and the share of images that take as long or longer."""
    ordered = np.sort(values)
    shares = np.arange(len(ordered), 0, -1) / len(ordered)
    end = max(len(ordered) - MOST_STEPS // 2, 0)
    even = np.linspace(0, end, MOST_STEPS // 2).astype(int)
    kept = np.union1d(even, np.arange(end, len(ordered)))
    return ordered[kept], shares[kept]


def images_met(arrival: Ints, finish: Ints) -> Ints:
    """Count for each image, in order of arrival, those before it that have not finished."""
    gone = np.searchsorted(np.sort(finish), arrival, side="right")
    return np.arange(len(arrival)) - gone


def met_card(result: Result) -> Card:
    """Draw the latency by how many images are there when one arrives."""
    stream, spans = result.tables["stream"], spans_ms(result)
    arrival, finish = (stream[f"{name}_cycle"].to_numpy() for name in ("arrival", "finish"))
    met = np.minimum(images_met(arrival, finish), MOST_MET)
    rows = []
    for count in np.unique(met).tolist():
        here = met == count
        means: dict[str, Any] = {
            TIME.head(name): mean_estimate(values[here]) for name, values in spans.items()
        }
        name = f"{count} or more" if count == MOST_MET else str(count)
        rows.append({"images met": name, "n": int(here.sum())} | means)
    frame = pd.DataFrame(rows)
    figure = go.Figure()
    for name, colour in (("service", BLUE), ("queueing", ORANGE)):
        figure.add_bar(
            x=frame["images met"].tolist(),
            y=[each.value for each in frame[TIME.head(name)]],
            name=name,
            marker={"color": colour, "line": {"width": 0}},
            customdata=frame["n"].tolist(),
            hovertemplate=f"{name} %{{y:,.4~r}} ms, n = %{{customdata}}<extra></extra>",
        )
    totals = frame[TIME.head("latency")].tolist()
    style, hover = {"color": GREY, "size": 7}, "latency %{y:,.4~r} ms"
    values, bars = [each.value for each in totals], error_bars(totals)
    marks(figure, frame["images met"], values, "latency", style, hover, error_y=bars)
    figure.update_layout(barmode="stack", height=380)
    figure.update_xaxes(title=text("stream-met", "across"), type="category")
    figure.update_yaxes(title=text("stream-met", "up"), rangemode="tozero")
    return single("stream-met", STREAMS, Plot(text("stream-met"), figure, frame))


def crowd(result: Result) -> pd.DataFrame:
    """Return shares of time by images in flight (rows) and groups of waiting ones (columns)."""
    stream, queue = result.tables["stream"], result.tables["stream_queue"]
    end = int(stream["finish_cycle"].max())
    cycles = np.append(queue["cycle"].to_numpy(), end)
    lengths = np.maximum(np.diff(cycles), 0)
    waiting, flying = queue["waiting"].to_numpy(), queue["in_flight"].to_numpy()
    columns: dict[str, Floats] = {}
    for low, high in WAITING:
        here = (waiting >= low) & (waiting <= (waiting.max() if high is None else high))
        sums = np.bincount(flying[here], lengths[here], minlength=int(flying.max()) + 1)
        columns[_group_name(low, high)] = sums / max(lengths.sum(), 1)
    frame = pd.DataFrame(columns)
    return frame.loc[:, [name for name in frame if frame[name].any()]]


def _group_name(low: int, high: int | None) -> str:
    if high is None:
        return f"{low} or more wait"
    return f"{low} wait" if low == high else f"{low} to {high} wait"


def crowd_card(result: Result) -> Card:
    """Draw the time by images in flight, and of it by images that wait."""
    frame = crowd(result)
    names = [f"{count} in flight" for count in frame.index]
    figure = go.Figure()
    for name, colour in zip((_group_name(*each) for each in WAITING), _COLOURS, strict=True):
        if name in frame:
            bar(figure, name, names, frame[name].tolist(), colour)
    figure.update_layout(barmode="stack", height=170 + 30 * len(frame))
    figure.update_xaxes(title=text("stream-crowd", "across"), tickformat=".0%")
    figure.update_yaxes(autorange="reversed")
    facts = frame.assign(all=frame.sum(axis=1)).set_axis(names)
    plot = Plot(text("stream-crowd"), figure, table(facts, "images", " (share of time)"))
    return single("stream-crowd", STREAMS, plot)
