"""Layers and whole runs under the machine's two roofs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from reports.figures.base import (
    BLUE,
    GREY,
    ORANGE,
    VERMILION,
    WORKLOAD,
    Card,
    Plot,
    Run,
    by_workload,
    group_marks,
    line,
    log_axis,
    table,
)
from reports.figures.cycles import cycles_by_layer, marker
from reports.figures.joules import efficiency, joules_plot
from reports.texts import text
from simulator.results.result import Result
from simulator.results.units import number

ROOFLINE = "Roofline"
ROOFS, CYCLES, JOULES = "roofs", "in cycles", "in joules"
HOVER = "%{text}: %{x:,.3~r} acc/B, %{y:,.3~r} acc/cycle"
HEADING = {
    "added": "additions",
    "bytes": "DRAM bytes",
    "cycles": "cycles",
    "intensity": "additions per byte",
    "achieved": "additions per cycle",
}


def roofline_card(result: Result, facts: dict[str, Any]) -> Card:
    """Return the machine's two roofs, the layers and the whole run; in cycles and in joules."""
    roof, layers = facts["roofline"], layer_points(result)
    figure = go.Figure()
    low, high = _span([(roof, layers)])
    _add_roofs(figure, roof, low, high, "roofs", {"color": BLUE, "width": 2.5})
    style = {"color": ORANGE, "size": 8, "line": {"width": 1, "color": GREY}}
    group_marks(figure, layers, "layers", style, HOVER)
    _add_entire(figure, roof, "whole run", {"symbol": "star", "size": 17, "color": VERMILION})
    _axes(figure, [(roof, layers)])
    peak, bandwidth = roof["peak_accumulations_per_cycle"], roof["dram_bytes_per_cycle"]
    share = f"{roof['achieved_share']:.1%}"
    roofs = {"peak": number(peak), "bandwidth": number(bandwidth)}
    note = text("roofline", bound=roof["bound_by"], share=share, **roofs)
    plots: dict[tuple[str, ...], Plot] = {(CYCLES,): Plot(note, figure, _table(layers))}
    if found := efficiency(result):
        plots[JOULES,] = joules_plot([found])
    return Card("roofline", "Roofline", ROOFLINE, (ROOFS,), plots)


def _table(layers: pd.DataFrame) -> pd.DataFrame:
    return table(layers, "layer", HEADING)


def roofline_cards(runs: Sequence[Run]) -> list[Card]:
    """Return all designs under their roofs, each layer a point."""
    plots: dict[tuple[str, ...], Plot] = {}
    for workload, group in by_workload(runs).items():
        plots[workload, CYCLES] = _together(group)
        found = [each for run in group if (each := efficiency(run.result, run.design))]
        if found:
            plots[workload, JOULES] = joules_plot(found)
    return [Card("roofline", "Roofline", ROOFLINE, (WORKLOAD, ROOFS), plots)]


def _together(group: Sequence[Run]) -> Plot:
    points = [(run.facts["roofline"], layer_points(run.result)) for run in group]
    low, high = _span(points)
    figure, tables = go.Figure(), []
    drawn = set()
    for place, (run, (roof, layers)) in enumerate(zip(group, points, strict=True)):
        style = marker(place, 7)
        entire = marker(place, 16) | {"line": {"width": 2, "color": VERMILION}}
        group_marks(figure, layers, run.design, style, HOVER)
        _add_entire(figure, roof, run.design, entire, legend=False)
        roofs = (roof["peak_accumulations_per_cycle"], roof["dram_bytes_per_cycle"])
        if roofs not in drawn:
            drawn.add(roofs)
            name = f"roofs: {number(roofs[0])} acc/cycle, {number(roofs[1])} B/cycle"
            dash = ("solid", "dash", "dot", "dashdot")[(len(drawn) - 1) % 4]
            _add_roofs(figure, roof, low, high, name, {"color": GREY, "width": 2, "dash": dash})
        tables.append(_table(layers).assign(design=run.design))
    _axes(figure, points)
    facts = pd.concat(tables, ignore_index=True)
    facts.insert(0, "design", facts.pop("design"))
    return Plot(text("roofline", "together"), figure, facts)


def _span(points: Sequence[tuple[dict[str, Any], pd.DataFrame]]) -> tuple[float, float]:
    """From left of everything to right of everything."""
    xs = []
    for roof, layers in points:
        entire = roof["operational_intensity_accumulations_per_byte"]
        ridge = roof["ridge_accumulations_per_byte"]
        xs += [*layers["intensity"].tolist(), ridge, entire or ridge]
    return min(xs) / 3, max(xs) * 3


def _add_roofs(
    figure: go.Figure, roof: dict[str, Any], low: float, high: float, name: str, style: Any
) -> None:
    peak, bandwidth = roof["peak_accumulations_per_cycle"], roof["dram_bytes_per_cycle"]
    xs = [low, roof["ridge_accumulations_per_byte"], high]
    ys = [low * bandwidth, peak, peak]
    line(figure, xs, ys, name, style)


def _add_entire(
    figure: go.Figure, roof: dict[str, Any], name: str, style: Any, *, legend: bool = True
) -> None:
    intensity = roof["operational_intensity_accumulations_per_byte"]
    if intensity is None:
        return
    achieved = roof["achieved_accumulations_per_cycle"]
    run = pd.DataFrame({"intensity": [intensity], "achieved": [achieved]}, ["whole run"])
    group_marks(figure, run, name, style, HOVER, legend=legend)


def _axes(figure: go.Figure, points: Sequence[tuple[dict[str, Any], pd.DataFrame]]) -> None:
    rates = [roof["peak_accumulations_per_cycle"] for roof, _ in points]
    rates += [roof["achieved_accumulations_per_cycle"] for roof, _ in points]
    for _, layers in points:
        rates += layers["achieved"].tolist()
    figure.update_xaxes(**log_axis(_span(points)), title="additions per DRAM byte")
    figure.update_yaxes(**log_axis(rates), title="additions per cycle")
    figure.update_layout(height=480)


def layer_points(result: Result) -> pd.DataFrame:
    """Return intensity and rate of the layers with useful work and DRAM traffic."""
    layers = result.tables["layers"].groupby("layer", sort=False)
    frame = layers[["additions", "dram_bytes"]].sum().set_axis(["added", "bytes"], axis=1)
    cycles = cycles_by_layer(result).sum(axis=1) * result.images
    frame["cycles"] = cycles.reindex(frame.index)
    frame = frame[(frame > 0).all(axis=1)]
    frame = frame.assign(
        intensity=frame["added"] / frame["bytes"], achieved=frame["added"] / frame["cycles"]
    )
    return frame[frame["intensity"].map(math.isfinite)]
