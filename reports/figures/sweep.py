"""What a search found: the front, what matters, and the points."""

from __future__ import annotations

import html
import itertools
import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go

from reports.figures.base import (
    BLUE,
    GREY,
    ORANGE,
    PALETTE,
    VERMILION,
    Card,
    Plot,
    Plots,
    bar,
    height_px,
    log_axis,
    marks,
    single,
    upside_down,
)
from reports.figures.search import findings_cards, parallel_card, progress_cards
from reports.texts import text
from simulator.results.sweep_result import FINDINGS, METRIC, PARAMETER, SweepResult
from simulator.results.units import headed

SEARCH = "Searching a space"
PAIR, OBJECTIVE, VARIED = "axes", "objective", "parameter"
PARTS_OF_A_RANGE = 8
MOST_DRAWN = 4000
"""Of more points that are not on the front, this many are drawn, evenly spread."""
MOST_LISTED = 5000
"""Of more points the table holds the first ones; points.parquet holds all."""
_LONGEST = 60
ALSO_DRAWN = (
    ("energy_uj", "area_mm2"),
    ("energy_uj", "accuracy"),
    ("latency_ms", "accuracy"),
)
"""Pairs of metrics (x, y) that are drawn though they are no two objectives."""


def sweep_cards(result: SweepResult) -> list[Card]:
    """Return all cards, in the order of the page."""
    cards = [_front_card(result)]
    if (result.points["status"] == "ok").sum() > 1:
        cards += [parallel_card(result), *progress_cards(result)]
        cards += [_importance_card(result), _effects_card(result)]
    return [*cards, _points_card(result), _failures_card(result), *findings_cards(result)]


def _front_card(result: SweepResult) -> Card:
    """Every pair of objectives, or one over the number of the point; then metrics that vary."""
    names = [*result.objectives]
    pairs = [*itertools.combinations(names, 2)] or [("number", names[0])]
    pairs += [pair for pair in ALSO_DRAWN if {*pair} - {*names} and _both_vary(result, pair)]
    plots: Plots = {(f"{headed(y)} over {headed(x)}",): _scatter(result, x, y) for x, y in pairs}
    return Card("front", text("front", "title"), SEARCH, (PAIR,), plots)


def _both_vary(result: SweepResult, pair: tuple[str, str]) -> bool:
    """Whether the search has two metrics and each has more than one value."""
    columns = [_column(name) for name in pair]
    return all(each in result.points and result.points[each].nunique() > 1 for each in columns)


def _scatter(result: SweepResult, x: str, y: str) -> Plot:
    points, front = result.points, result.front()
    figure = go.Figure()
    ok = points[(points["status"] == "ok") & ~points["number"].isin(front["number"])]
    broken = points[points["status"] == "infeasible"]
    _dots(figure, result, _spread(broken), (x, y), "breaks a limit", GREY, "x")
    _dots(figure, result, _spread(ok), (x, y), "keeps all limits", BLUE, "circle")
    line = front.sort_values(_column(x))
    _dots(figure, result, line, (x, y), "Pareto front", VERMILION, "diamond", size=11)
    if len(result.objectives) == 2 and len(line):
        down = result.objectives.get(y) == "minimize"
        figure.data[-1].mode = "lines+markers"
        figure.data[-1].line = {"shape": "hv" if down else "vh", "width": 1.5}
    figure.update_layout(height=460)
    for update, name in ((figure.update_xaxes, x), (figure.update_yaxes, y)):
        values = points[_column(name)].dropna().tolist()
        scale = log_axis(values) if values and min(values) > 0 and name != "number" else {}
        update(title=headed(name), **scale)
    counts = {"front": len(front), "points": len(points), "of": ", ".join(result.objectives)}
    notes = [text("front", **counts)]
    if len(ok) + len(broken) > MOST_DRAWN:
        notes.append(text("front", "drawn", most=MOST_DRAWN))
    return Plot(" ".join(notes), figure, _table(result, front))


def _dots(
    figure: go.Figure,
    result: SweepResult,
    rows: pd.DataFrame,
    axes: tuple[str, str],
    name: str,
    colour: str,
    symbol: str,
    size: int = 7,
) -> None:
    style = {"color": colour, "symbol": symbol, "size": size}
    texts = [_named(result, row) for row in rows.to_dict("records")]
    xs, ys = (rows[_column(axis)].tolist() for axis in axes)
    marks(figure, xs, ys, name, style, "%{text}<br>%{x:,.4~r}, %{y:,.4~r}", text=texts)


def _named(result: SweepResult, row: dict[Any, Any]) -> str:
    values = (f"{name} = {_short(row[PARAMETER + name])}" for name in result.parameters)
    return "<br>".join(map(html.escape, (f"point {row['number']}", *values)))


def _spread(rows: pd.DataFrame) -> pd.DataFrame:
    if len(rows) <= MOST_DRAWN:
        return rows
    return rows.iloc[np.linspace(0, len(rows) - 1, MOST_DRAWN).astype(int)]


def _importance_card(result: SweepResult) -> Card:
    plots: dict[tuple[str, ...], Plot] = {}
    for objective in result.objectives:
        shares = importance(result, objective)
        figure = go.Figure()
        bar(figure, "share of the variance", shares.index, shares.tolist(), ORANGE)
        figure.update_layout(height=height_px(len(shares)), showlegend=False)
        figure.update_xaxes(title=f"share of the variance of {headed(objective)}", range=[0, 1])
        upside_down(figure)
        rest = max(0.0, 1.0 - float(shares.sum()))
        note = text("importance", of=headed(objective), rest=f"{rest:.0%}")
        table = pd.DataFrame({"parameter": [*shares.index], "share of variance": shares.tolist()})
        plots[(headed(objective),)] = Plot(note, figure, table)
    return Card("importance", text("importance", "title"), SEARCH, (OBJECTIVE,), plots)


def importance(result: SweepResult, objective: str) -> pd.Series:
    """Return the share of an objective's variance by parameter, over ok points, largest first."""
    ok = result.points[result.points["status"] == "ok"]
    values = ok[METRIC + objective].to_numpy(np.float64)
    spread = float(((values - values.mean()) ** 2).sum())
    shares = {}
    for name in result.parameters:
        groups = pd.Series(values).groupby(_levels(ok[PARAMETER + name]))
        between = float((groups.size() * (groups.mean() - values.mean()) ** 2).sum())
        shares[name] = between / spread if spread > 0 else 0.0
    return pd.Series(shares, dtype=float).sort_values(ascending=False, kind="stable")


def _levels(column: pd.Series) -> npt.NDArray[Any]:
    """The values as they are if few, else the number of the part of the range."""
    values = column.to_numpy()
    if column.nunique() <= 2 * PARTS_OF_A_RANGE or column.dtype == object:
        return pd.factorize(values)[0]
    ranks = column.rank(method="first").to_numpy() - 1
    return (ranks * PARTS_OF_A_RANGE / len(column)).astype(int)


def _effects_card(result: SweepResult) -> Card:
    """An objective over each parameter, a dot a point."""
    plots: Plots = {
        (headed(objective), name): _effect(result, objective, name)
        for objective in result.objectives
        for name in importance(result, objective).index
    }
    return Card("effects", text("effects", "title"), SEARCH, (OBJECTIVE, VARIED), plots)


def _effect(result: SweepResult, objective: str, name: str) -> Plot:
    ok = result.points[result.points["status"] == "ok"]
    x, y = ok[PARAMETER + name], ok[METRIC + objective]
    figure = go.Figure()
    shown = _spread(ok)
    style = {"color": BLUE, "size": 6, "opacity": 0.6}
    xs = map(_short, shown[PARAMETER + name])
    marks(figure, xs, shown[METRIC + objective].tolist(), "points", style, "%{x}: %{y:,.4~r}")
    levels = _levels(x)
    means = pd.DataFrame({"x": x.to_numpy(), "y": y.to_numpy(), "level": levels}).groupby("level")
    numeric = pd.api.types.is_numeric_dtype(x)
    at = means["x"].median() if numeric else means["x"].first()
    facts = pd.DataFrame({"x": at, "mean": means["y"].mean(), "points": means.size()})
    facts = facts.sort_values("x") if numeric else facts
    figure.add_scatter(
        x=[_short(value) for value in facts["x"]],
        y=facts["mean"].tolist(),
        name="mean",
        mode="lines+markers" if numeric else "markers",
        line={"color": ORANGE, "width": 2},
        marker={"color": ORANGE, "symbol": "diamond", "size": 10},
        hovertemplate="mean at %{x}: %{y:,.4~r}<extra></extra>",
    )
    figure.update_layout(height=380)
    figure.update_xaxes(title=html.escape(name), **({} if numeric else {"type": "category"}))
    figure.update_yaxes(title=headed(objective))
    table = facts.rename(columns={"x": name, "mean": f"mean {objective}"}).reset_index(drop=True)
    return Plot(text("effects"), figure, table)


def _points_card(result: SweepResult) -> Card:
    """All points as a table, and the first of the front relative to its median."""
    front = result.front()
    figure = go.Figure()
    names = [*result.objectives]
    for place, row in enumerate(front.head(len(PALETTE) + 1).to_dict("records")):
        figure.add_bar(
            x=[headed(name) for name in names],
            y=[_relative(front, name, row[METRIC + name]) for name in names],
            name=f"point {row['number']}",
            marker={"color": PALETTE[place] if place < len(PALETTE) else GREY},
            hovertemplate="%{x}: %{y:,.3~r} x the front's median<extra>%{fullData.name}</extra>",
        )
    figure.update_layout(height=340, barmode="group")
    figure.update_yaxes(title="of the front's median")
    held = text("points", "many" if len(result.points) > MOST_LISTED else "all", most=MOST_LISTED)
    note = text("points", first=min(len(front), len(PALETTE) + 1), held=held)
    listed = _table(result, result.points.head(MOST_LISTED))
    return single("points", SEARCH, Plot(note, figure, listed))


def _relative(front: pd.DataFrame, name: str, value: float) -> float:
    median = float(front[METRIC + name].median())
    return value / median if median else float("nan")


def _failures_card(result: SweepResult) -> Card:
    """What became of the points, and why some are no designs."""
    points = result.points
    figure = go.Figure()
    for place, status in enumerate(("ok", "infeasible", "failed")):
        count = int((points["status"] == status).sum())
        bar(figure, status, ["points"], [count], (BLUE, GREY, VERMILION)[place])
    figure.update_layout(barmode="stack", height=height_px(1))
    figure.update_xaxes(title="points")
    bad = points[points["status"] != "ok"]
    rows = [
        (status, message, len(group), int(group["number"].iloc[0]))
        for (status, message), group in bad.groupby(["status", "message"], sort=False)
    ]
    table = pd.DataFrame(rows, columns=["status", "why", "points", "for example point"])
    repriced = int((points["replay"] == "repriced").sum())
    note = text("outcomes", points=len(points), repriced=repriced)
    return single("outcomes", SEARCH, Plot(note, figure, table))


def _table(result: SweepResult, rows: pd.DataFrame) -> pd.DataFrame:
    """Points with plain headings, the objectives before the other metrics."""
    columns = map(str, result.points.columns)
    metrics = [name[len(METRIC) :] for name in columns if name.startswith(METRIC)]
    metrics = [name for name in metrics if name not in result.objectives]
    heading = {"number": "point", "status": "status"}
    heading |= {FINDINGS: FINDINGS} if FINDINGS in rows.columns else {}
    heading |= {PARAMETER + name: name for name in result.parameters}
    heading |= {METRIC + name: headed(name) for name in (*result.objectives, *metrics)}
    facts = rows[[*heading]].rename(columns=heading).reset_index(drop=True)
    return facts.assign(**{"as YAML": [as_yaml(result, row) for row in rows.to_dict("records")]})


def as_yaml(result: SweepResult, row: dict[Any, Any]) -> str:
    """Return the fields that a point sets, as one line of YAML to copy."""
    varied = result.provenance["space"]["parameters"]
    values = {}
    for name in result.parameters:
        value = row[PARAMETER + name]
        if isinstance(value, str):  # the table holds what is no number and no text as JSON
            choices = varied.get(name, {}).get("choices") or ()
            stored = {json.dumps(c, sort_keys=True): c for c in choices if not isinstance(c, str)}
            value = stored.get(value, value)
        values[name] = value
    return json.dumps(values, default=str)


def _column(name: str) -> str:
    return name if name == "number" else METRIC + name


def _short(value: Any) -> Any:
    """A text that fits a label; numbers stay numbers."""
    if not isinstance(value, str):
        return value
    return value if len(value) <= _LONGEST else value[: _LONGEST - 3] + "..."
