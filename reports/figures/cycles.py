"""Where the time goes: busy cycles and stalls by layer and cause, occupancy of the units."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from reports.figures.base import (
    BLACK,
    BLUE,
    DESIGN,
    GREY,
    INDIGO,
    OLIVE,
    PALETTE,
    SYMBOLS,
    TEAL,
    WINE,
    WORKLOAD,
    Card,
    Plot,
    Plots,
    Run,
    escaped,
    grouped,
    many_rows,
    marks,
    per_workload,
    single,
    stacked,
    table,
    upside_down,
    with_sums,
)
from reports.texts import text
from simulator.results.result import CAUSES, Result

ARRAY = "The PE array: utilization, occupancy, stalls"
_OF_CAUSES = (*PALETTE[1:], GREY, WINE, TEAL, OLIVE, INDIGO, BLACK)
COLOURS = {"busy": BLUE, **dict(zip(CAUSES, _OF_CAUSES, strict=True))}


def cycles_card(result: Result) -> Card:
    """Mean cycles of the PE array by layer: busy, and idle by cause."""
    return single("cycles", ARRAY, _cycles_plot(result))


def _cycles_plot(result: Result) -> Plot:
    grid = cycles_by_layer(result)
    figure = stacked(grid, "cycles of the PE array per image", COLOURS)
    many_rows(figure, len(grid))
    return with_sums(text("cycles"), figure, grid, "layer", "cycles")


def cycles_by_layer(result: Result) -> pd.DataFrame:
    """Mean cycles, layers x (busy and all causes), in the order of the layers."""
    layers, stalls = result.tables["layers"], result.tables["layer_stalls"]
    busy = layers.groupby("layer", sort=False)["pe_busy_cycles"].sum()
    by_cause = stalls.groupby(["layer", "cause"])["stall_cycles"].sum().unstack(fill_value=0)
    order = [*busy.index, *(layer for layer in by_cause.index if layer not in busy.index)]
    grid = by_cause.reindex(index=order, columns=[*CAUSES], fill_value=0)
    grid.insert(0, "busy", busy.reindex(order, fill_value=0))
    return grid / result.images


def cycles_cards(runs: Sequence[Run]) -> list[Card]:
    """Draw designs side by side: occupancy, stalls, cycles by layer; and each by itself."""
    own: Plots = {(run.workload, run.design): _cycles_plot(run.result) for run in runs}
    return [
        per_workload("occupancy", ARRAY, runs, _occupancy_plot),
        per_workload("stalls", ARRAY, runs, _stalls_plot),
        per_workload("layers", ARRAY, runs, _layers_plot),
        Card("cycles", text("cycles", "one"), ARRAY, (WORKLOAD, DESIGN), own),
    ]


def _occupancy_plot(group: Sequence[Run]) -> Plot:
    rows = {
        run.design: {"utilization": run.facts["utilization"]}
        | {f"occupancy of {unit}": share for unit, share in run.facts["occupancy"].items()}
        for run in group
    }
    frame = pd.DataFrame.from_dict(rows, orient="index").fillna(0.0)
    frame = frame.loc[:, frame.any()]
    figure = grouped(frame, "share of the latency")
    figure.update_xaxes(tickformat=".0%")
    return Plot(text("occupancy"), figure, table(frame, "design"))


def _stalls_plot(group: Sequence[Run]) -> Plot:
    rows = {}
    for run in group:
        shares = {entry["cause"]: entry["share"] for entry in run.facts["stalls"]}
        rows[run.design] = {"busy": 1 - sum(shares.values())} | shares
    frame = pd.DataFrame.from_dict(rows, orient="index")[["busy", *CAUSES]]
    figure = stacked(frame, "share of the latency", COLOURS)
    figure.update_xaxes(tickformat=".0%", range=[0, 1])
    return Plot(text("stalls"), figure, table(frame, "design"))


def _layers_plot(group: Sequence[Run]) -> Plot:
    """A row a layer, a marker a design."""
    frame = pd.DataFrame({run.design: cycles_by_layer(run.result).sum(axis=1) for run in group})
    first = [*cycles_by_layer(group[0].result).index]
    order = [*first, *(layer for layer in frame.index if layer not in first)]
    frame = frame.reindex(order)
    figure = go.Figure()
    for place, design in enumerate(frame.columns):
        kept = frame[design].dropna()
        hover = f"%{{y}}: %{{x:,.0f}} cycles<extra>{escaped([design])[0]}</extra>"
        marks(figure, kept.tolist(), escaped(kept.index), design, marker(place, 8), hover)
    many_rows(figure, len(frame))
    upside_down(figure)
    figure.update_xaxes(title="cycles per image, busy and waited for")
    return Plot(text("layers"), figure, table(frame, "layer", " (cycles)"))


def marker(place: int, size: int) -> dict[str, object]:
    """Return colour and symbol of the design at a place; no two of the first 56 are alike."""
    line = {"width": 1, "color": GREY}
    colour = PALETTE[place % len(PALETTE)]
    return {"color": colour, "symbol": SYMBOLS[place % len(SYMBOLS)], "size": size, "line": line}
