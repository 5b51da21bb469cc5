"""What every figure is made of: a plot with its note and numbers, cards of plots, colours.

Colours are those of Okabe and Ito (2008), which colour-blind readers distinguish too; where there
are more series than colours, symbols differ as well. Nothing here sets a colour of text or paper:
the page does, for light and for dark screens.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, repeat
from typing import Any, NamedTuple

import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup

from reports.texts import text
from simulator.config.arrays import Floats
from simulator.energy.break_even import Design
from simulator.results.result import Result
from simulator.streams.statistics import Estimate

BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, YELLOW, GREY = "#56B4E9", "#CC79A7", "#F0E442", "#999999"
WINE, TEAL, OLIVE, INDIGO, BLACK = "#882255", "#44AA99", "#999933", "#332288", "#000000"
"""Beside the palette, where eight are not enough: black would vanish on a dark page."""
PALETTE = (BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE, YELLOW)
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "cross", "pentagon", "hexagram")
OTHERS = "all others"

WORKLOAD, DESIGN, BASELINE, IMAGE = "workload", "design", "baseline", "image"
"""What a reader can choose; the same choice holds for all cards of a page."""

_ROW_PX = 17
"""Height of a bar among many, enough for its name."""


class Run(NamedTuple):
    """Hold a result among others: its names, and its summary."""

    design: str
    workload: str
    result: Result
    facts: dict[str, Any]
    left_out: int = 0
    """Images that it ran and another design of its workload did not; it lacks them."""
    priced: Design | None = None
    """Its energy between bounds; None where the result does not say enough of its machine."""

    @property
    def image_ids(self) -> list[str]:
        """Return the names of its images."""
        names: list[str] = self.result.tables["images"]["image_id"].tolist()
        return names

    @property
    def latencies_ms(self) -> Floats:
        """Return the latency of each image."""
        return self.result.tables["images"]["latency_ms"].to_numpy(float)


class Plot(NamedTuple):
    """Hold a figure, its note, and its numbers: raw values under headings with units.

    `drawing`: SVG beside the figure; `marked`: cells that differ from what most rows
    have are marked.
    """

    note: str
    figure: go.Figure | None
    table: pd.DataFrame
    drawing: Markup = Markup("")
    marked: bool = False


Plots = Mapping[tuple[str, ...], Plot]


class Card(NamedTuple):
    """Hold a plot for each choice that its reader can make, under one title.

    `definition`: the heading in docs/metrics.md that defines what is shown; `choices`: names of
    what can be chosen; `plots`: by the chosen values, in that order; the first is shown first.
    `wide`: takes the whole width; `open`: its table is shown at once.
    """

    name: str
    title: str
    definition: str
    choices: tuple[str, ...]
    plots: Plots
    wide: bool = True
    open: bool = False


def single(name: str, definition: str, plot: Plot, title: str = "") -> Card:
    """Return a card with nothing to choose."""
    return Card(name, title or text(name, "title"), definition, (), {(): plot})


def per_workload(
    name: str,
    definition: str,
    runs: Sequence[Run],
    draw: Callable[[Sequence[Run]], Plot],
    title: str = "",
) -> Card:
    """Return a card whose reader chooses the workload; `draw` gets the runs of it."""
    plots: Plots = {(workload,): draw(group) for workload, group in by_workload(runs).items()}
    return Card(name, title or text(name, "title"), definition, (WORKLOAD,), plots)


def stacked_by_design(
    name: str,
    definition: str,
    runs: Sequence[Run],
    measure: Callable[[Run], dict[str, float]],
    axis: str,
    unit: str,
    largest_first: bool = False,
) -> Card:
    """Return a card with a bar a design of what `measure` says of its run, and the sums."""

    def draw(group: Sequence[Run]) -> Plot:
        rows = {run.design: measure(run) for run in group}
        frame = pd.DataFrame.from_dict(rows, orient="index").fillna(0.0)
        if largest_first:  # over all designs
            frame = frame[frame.sum().sort_values(ascending=False, kind="stable").index]
        return with_sums(text(name), stacked(frame, f"{axis} ({unit})"), frame, "design", unit)

    return per_workload(name, definition, runs, draw)


def by_workload(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Return the runs of each workload, both in the order in which they were given."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.workload, []).append(run)
    return groups


def escaped(names: Any) -> list[str]:
    """Return names as plotly shows them: it takes a little HTML in its texts."""
    return [html.escape(str(name)) for name in names]


def words(name: str) -> str:
    """Return a name of the code as words."""
    return name.replace("_", " ")


def bar(
    figure: go.Figure,
    name: str,
    labels: Any,
    values: Sequence[float],
    colour: str,
    **more: Any,
) -> None:
    """Add one colour of a chart of horizontal bars."""
    figure.add_bar(
        x=[*values],
        y=escaped(labels),
        name=html.escape(name),
        orientation="h",
        marker={"color": colour, "line": {"width": 0}},
        hovertemplate="%{y}: %{x:,.4~r}<extra>" + html.escape(name) + "</extra>",
        **more,
    )


def marks(
    figure: go.Figure,
    xs: Any,
    ys: Any,
    name: str,
    style: Mapping[str, Any],
    hover: str,
    **more: Any,
) -> None:
    """Add marks of one name; `hover`: the template of their texts under the mouse."""
    hovers = {"hovertemplate": hover if "<extra>" in hover else f"{hover}<extra></extra>"}
    figure.add_scatter(
        x=[*xs], y=[*ys], name=html.escape(name), mode="markers", marker=style, **hovers, **more
    )


def line(
    figure: go.Figure, xs: Any, ys: Any, name: str, style: Mapping[str, Any], **more: Any
) -> None:
    """Add a line; nothing appears under the mouse unless `more` has a template of it."""
    quiet = {} if "hovertemplate" in more else {"hoverinfo": "skip"}
    figure.add_scatter(
        x=[*xs], y=[*ys], name=html.escape(name), mode="lines", line=style, **quiet, **more
    )


def group_marks(
    figure: go.Figure, frame: pd.DataFrame, name: str, style: Any, hover: str, legend: bool = True
) -> None:
    """Add the rows of a frame at (intensity, achieved), each with its name under the mouse."""
    shown = html.escape(name)
    marks(
        figure,
        frame["intensity"],
        frame["achieved"],
        name,
        style,
        f"{hover}<extra>{shown}</extra>",
        text=escaped(frame.index),
        legendgroup=shown,
        showlegend=legend,
    )


def error_bars(found: Sequence[Estimate | None]) -> dict[str, Any]:
    """Return bars of values to the bounds that there are."""
    above, below = [], []
    for each in found:
        value, low, high = each or (0.0, None, None)
        above.append(0.0 if high is None else high - value)
        below.append(0.0 if low is None else value - low)
    return {"type": "data", "array": above, "arrayminus": below, "symmetric": False, "width": 3}


def stacked(frame: pd.DataFrame, axis: str, colours: Mapping[str, str] | None = None) -> go.Figure:
    """Return a row a bar, a column a colour; of many columns the largest, and the rest in grey."""
    order = [str(column) for column in frame.columns if frame[column].any()]
    kept, rest = order[: len(PALETTE)], order[len(PALETTE) :]
    if colours is not None:
        kept, rest = order, []
    drawn = {words(column): frame[column] for column in kept}
    if rest:
        drawn[OTHERS] = frame[rest].sum(axis=1)
    return _bars(
        drawn, [colours[c] for c in kept] if colours else PALETTE, "stack", len(frame), axis
    )


def grouped(frame: pd.DataFrame, axis: str) -> go.Figure:
    """Return a row a group of bars, a column a colour."""
    drawn = {words(str(column)): frame[column] for column in frame.columns}
    rows = max(len(frame) * len(frame.columns) * 0.6, len(frame))
    return _bars(drawn, PALETTE, "group", rows, axis)


def _bars(
    series: Mapping[str, pd.Series], colours: Sequence[str], mode: str, rows: float, axis: str
) -> go.Figure:
    """Bars of several series, grey where there is no colour left."""
    figure = go.Figure()
    for (name, values), colour in zip(series.items(), chain(colours, repeat(GREY)), strict=False):
        bar(figure, name, values.index, values.tolist(), colour)
    figure.update_layout(barmode=mode, height=height_px(rows))
    figure.update_xaxes(title=axis)
    upside_down(figure)
    return figure


def height_px(rows: float, row_px: int = 30) -> int:
    """Return the height of a chart of `rows` bars with its axis and legend."""
    return round(170 + row_px * rows)


def upside_down(figure: go.Figure) -> None:
    """Put the first name on top."""
    figure.update_yaxes(autorange="reversed")


def many_rows(figure: go.Figure, rows: int) -> None:
    """Make bars narrow, each with its name."""
    figure.update_layout(height=height_px(rows, _ROW_PX))
    figure.update_yaxes(dtick=1, tickfont={"size": 10})


LEAST_SPAN = 0.1
"""Of the middle: an axis that is zoomed in further makes nothing look like much."""


def log_axis(values: Sequence[float]) -> dict[str, Any]:
    """Return a logarithmic axis, with 1, 2 and 5 of each power of ten for a wide span."""
    if max(values) < 8 * min(values):
        return {"type": "log", **_held_range(values, logarithmic=True)}
    ticks = [mantissa * 10.0**power for power in range(-9, 16) for mantissa in (1, 2, 5)]
    shown = [f"{tick:,.10g}" if 1e-4 < tick < 1e7 else f"{tick:.0e}" for tick in ticks]
    return {"type": "log", "tickvals": ticks, "ticktext": shown}


def spread(values: Sequence[float]) -> float:
    """Return (largest - smallest) / smallest of values above 0."""
    return max(values) / min(values) - 1


def _held_range(values: Sequence[float], *, logarithmic: bool) -> dict[str, Any]:
    """A range of at least LEAST_SPAN where the values themselves span less."""
    if min(values) <= 0 or spread(values) >= LEAST_SPAN:
        return {}
    middle = (max(values) + min(values)) / 2
    ends = [middle * (1 - LEAST_SPAN), middle * (1 + LEAST_SPAN)]
    return {"range": [math.log10(end) for end in ends] if logarithmic else ends}


def axis_words(columns: Mapping[str, Sequence[float]]) -> list[str]:
    """Return a sentence for each name whose values differ by too little to be drawn apart."""
    return [
        text("pareto", "flat", name=name, spread=f"{100 * spread(values):.2g} %")
        for name, values in columns.items()
        if len(values) > 1 and min(values) > 0 and spread(values) < LEAST_SPAN / 10
    ]


def with_sums(note: str, figure: go.Figure, frame: pd.DataFrame, name: str, unit: str) -> Plot:
    """Return the plot of a frame in a unit, whose table has the sum of each row too."""
    return Plot(note, figure, table(frame.assign(all=frame.sum(axis=1)), name, f" ({unit})"))


def table(frame: pd.DataFrame, name: str, heading: Mapping[str, str] | str = "") -> pd.DataFrame:
    """Return a frame as the table of a plot: its index as first column `name`, headings with units.

    `heading`: new headings by column, or what is appended to all of them.
    """
    if isinstance(heading, str):
        renamed = {column: f"{words(str(column))}{heading}" for column in frame.columns}
    else:
        renamed = {column: heading.get(str(column), str(column)) for column in frame.columns}
    facts = frame.rename(columns=renamed)
    facts.insert(0, name, [str(label) for label in frame.index])
    return facts.reset_index(drop=True)
