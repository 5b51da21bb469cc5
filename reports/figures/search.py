"""A search as its samplers see it: points on parallel axes, and how far it came with each trial."""

from __future__ import annotations

import html
import itertools

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go

from reports.figures.base import (
    BLUE,
    GREY,
    ORANGE,
    VERMILION,
    Card,
    Plot,
    Plots,
    bar,
    height_px,
    line,
    single,
    upside_down,
)
from reports.texts import text
from simulator.results.sweep_result import METRIC, PARAMETER, SweepResult
from simulator.results.units import headed, number

SEARCH = "Searching a space"
MOST_LINES = 2000
FIFTHS = ("#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00")
Floats = npt.NDArray[np.float64]


def parallel_card(result: SweepResult) -> Card:
    """Return a line a point over all parameters and objectives, coloured by the first objective."""
    ok = result.points[result.points["status"] == "ok"]
    kept = ok.iloc[np.unique(np.linspace(0, len(ok) - 1, MOST_LINES).astype(int))]
    columns = [PARAMETER + name for name in result.parameters]
    columns += [METRIC + name for name in result.objectives]
    scaled = pd.DataFrame({column: _placed(kept[column]) for column in columns})
    group = _fifths(kept[METRIC + next(iter(result.objectives))])
    figure = go.Figure()
    for place, colour in enumerate(FIFTHS):
        _lines(figure, scaled[group == place], kept["number"][group == place], place, colour)
    names = [_name(column) for column in columns]
    for place, column in enumerate(columns):
        for y, value, anchor in (
            (0, _end(kept[column], 0), "top"),
            (1, _end(kept[column], -1), "bottom"),
        ):
            figure.add_annotation(x=place, y=y, text=value, showarrow=False, yanchor=anchor)
    shown = [html.escape(name.rpartition(".")[2] or name) for name in names]
    figure.update_xaxes(tickvals=list(range(len(names))), ticktext=shown)
    figure.update_yaxes(showticklabels=False, range=[-0.08, 1.08], zeroline=False)
    figure.update_layout(height=460)
    table = kept[["number", *columns]].rename(columns=dict(zip(columns, names, strict=True)))
    plot = Plot(text("parallel"), figure, table.reset_index(drop=True))
    return single("parallel", SEARCH, plot)


def _lines(
    figure: go.Figure, rows: pd.DataFrame, numbers: pd.Series, place: int, colour: str
) -> None:
    """All points of a fifth as one trace, a gap after each."""
    width = len(rows.columns)
    xs, ys, names = [], [], []
    for values, point in zip(rows.to_numpy().tolist(), numbers.tolist(), strict=True):
        xs += [*range(width), None]
        ys += [*values, None]
        names += [f"point {point}"] * (width + 1)
    style, hover = {"color": colour, "width": 1}, "%{text}<extra></extra>"
    name = text("parallel", "fifth", place=place + 1)
    line(figure, xs, ys, name, style, text=names, opacity=0.6, hovertemplate=hover)


def _fifths(values: pd.Series) -> npt.NDArray[np.int64]:
    ranks = values.rank(method="first").to_numpy() - 1
    return (ranks * len(FIFTHS) / max(len(values), 1)).astype(np.int64)


def _placed(values: pd.Series) -> Floats:
    """Where the values lie between the smallest and the largest; words in order of mention."""
    numeric = pd.api.types.is_numeric_dtype(values)
    found = values.to_numpy(float) if numeric else pd.factorize(values.astype(str))[0].astype(float)
    span = float(found.max() - found.min())
    placed: Floats = (found - found.min()) / span if span else found * 0 + 0.5
    return placed


def _end(values: pd.Series, place: int) -> str:
    """The value at one end of an axis."""
    if pd.api.types.is_numeric_dtype(values):
        return number(float(values.min() if place == 0 else values.max()))
    kinds = pd.factorize(values.astype(str))[1]
    return html.escape(str(kinds[place])[:16]) if len(kinds) else ""  # no point states any


def _name(column: str) -> str:
    if column.startswith(METRIC):
        return headed(column.removeprefix(METRIC))
    return column.removeprefix(PARAMETER)


def findings_cards(result: SweepResult) -> list[Card]:
    """Return how many points each check doubts, if any does."""
    doubts = result.doubts()
    if not doubts:
        return []
    figure = go.Figure()
    colours = {"error": VERMILION, "warning": ORANGE, "note": GREY}
    for severity, colour in colours.items():
        own = [each for each in doubts if each.severity == severity]
        bar(figure, severity, [e.check for e in own], [e.points for e in own], colour)
    figure.update_layout(height=height_px(len(doubts)), barmode="stack")
    figure.update_xaxes(title=text("findings", "axis"))
    upside_down(figure)
    table = pd.DataFrame(doubts).rename(
        columns={"on_front": "of the front", "example": "for example point"}
    )
    return [single("findings", SEARCH, Plot(text("findings"), figure, table))]


def progress_cards(result: SweepResult) -> list[Card]:
    """Draw how much of each pair of objectives the trials won so far; of one, the best."""
    names = [*result.objectives]
    if len(names) == 1:
        series = {("objectives",): (headed(names[0]), best_so_far(result, names[0]))}
    else:
        series = {
            (f"{headed(x)}, {headed(y)}",): (text("progress", "axis"), hypervolume(result, x, y))
            for x, y in itertools.combinations(names, 2)
        }
    plots: Plots = {at: _line(title, values) for at, (title, values) in series.items()}
    return [Card("progress", text("progress", "title"), SEARCH, ("objectives",), plots)]


def _line(title: str, values: pd.Series) -> Plot:
    figure = go.Figure()
    figure.add_scatter(
        x=values.index.tolist(),
        y=values.tolist(),
        mode="lines",
        line={"shape": "hv", "color": BLUE, "width": 2},
        hovertemplate="%{x}: %{y:,.4~r}<extra></extra>",
        showlegend=False,
    )
    figure.update_layout(height=320)
    figure.update_xaxes(title=text("progress", "trials"))
    figure.update_yaxes(title=title)
    table = pd.DataFrame({"trial": values.index, title: values.to_numpy()})
    return Plot(text("progress"), figure, table)


def _small(result: SweepResult, name: str) -> pd.Series:
    """An objective by the number of the point, turned so that less is better."""
    ok = result.points[result.points["status"] == "ok"].sort_values("number")
    sign = 1.0 if result.objectives[name] == "minimize" else -1.0
    return pd.Series(sign * ok[METRIC + name].to_numpy(float), index=ok["number"].to_numpy())


def best_so_far(result: SweepResult, name: str) -> pd.Series:
    """Return the best value among the first trials."""
    sign = 1.0 if result.objectives[name] == "minimize" else -1.0
    return sign * _small(result, name).cummin()


def hypervolume(result: SweepResult, x: str, y: str) -> pd.Series:
    """Return the share of the box around all points that the first trials dominate.

    The box runs from the best to the worst value of each objective, so the share needs no unit.
    """
    first, second = (_scaled(_small(result, name)) for name in (x, y))
    points = list(zip(first.tolist(), second.tolist(), strict=True))
    return pd.Series(
        [dominated(points[: count + 1]) for count in range(len(points))], index=first.index
    )


def _scaled(values: pd.Series) -> pd.Series:
    span = values.max() - values.min()
    return (values - values.min()) / (span if span else 1.0)


def dominated(points: list[tuple[float, float]]) -> float:
    """Return the area of the unit square that points dominate, with (1, 1) as the worst."""
    area, height = 0.0, 1.0
    for a, b in sorted(points):
        if b < height:
            area += (1 - a) * (height - b)
            height = b
    return area
