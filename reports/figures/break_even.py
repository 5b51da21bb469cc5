"""The map of a pair: energy ratio over always-on power and DRAM price, and where it is 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from reports.break_evens import MOST_PAIRS, Pair
from reports.figures.base import VERMILION, Card, Plot, Plots, escaped, log_axis
from simulator.energy.break_even import equal_line, map_axes, ratio_map
from simulator.energy.spans import Span

TITLE = "Where the order by energy turns"
POINTS = 33


def break_even_cards(found: Sequence[Pair]) -> list[Card]:
    """Return a card whose reader chooses the pair; none where there is no pair."""
    plots: Plots = {(_name(pair),): _map(pair) for pair in found[:MOST_PAIRS]}
    return [Card("break-even", TITLE, "Energy", ("pair",), plots)] if plots else []


def _name(pair: Pair) -> str:
    return " against ".join(pair.names)


def _map(pair: Pair) -> Plot:
    one, other = pair.one, pair.other
    powers, prices = map_axes(POINTS)
    ratio = ratio_map(one, other, powers, prices)
    figure = go.Figure()
    # Coloured by the logarithm, so that half and twice are equally far from 1.
    figure.add_heatmap(
        x=powers.tolist(),
        y=prices.tolist(),
        z=np.round(np.log2(ratio), 3).tolist(),
        customdata=np.round(ratio, 3).tolist(),
        zmid=0.0,
        colorscale="RdBu_r",
        colorbar={
            "title": "ratio",
            "thickness": 12,
            "tickvals": [-3, -2, -1, 0, 1, 2, 3],
            "ticktext": ["1/8", "1/4", "1/2", "1", "2", "4", "8"],
        },
        hovertemplate="%{x:.3~g} W, %{y:.3~g} pJ/bit: %{customdata:.3~g}<extra></extra>",
    )
    line = equal_line(one, other, powers, prices)
    if line:
        figure.add_scatter(
            x=[point[0] for point in line],
            y=[point[1] for point in line],
            mode="lines",
            line={"color": "black", "width": 2},
            name="equal",
            hovertemplate="equal at %{x:.3~g} W, %{y:.3~g} pJ/bit<extra></extra>",
        )
    power, price = one.power_w, one.dram_pj_per_bit
    figure.add_scatter(
        x=[power.nominal],
        y=[price.nominal],
        mode="markers",
        marker={"color": VERMILION, "size": 10, "symbol": "x"},
        error_x=_error(power),
        error_y=_error(price),
        name=escaped([pair.names[0]])[0],
        hovertemplate="here: %{x:.3~g} W, %{y:.3~g} pJ/bit<extra></extra>",
    )
    figure.update_xaxes(title="always-on power (W)", **log_axis(powers.tolist()))
    figure.update_yaxes(title="DRAM price (pJ/bit)", **log_axis(prices.tolist()))
    figure.update_layout(height=460, legend={"orientation": "h", "y": 1.12})
    note = ". ".join(pair.lines) + (
        f". Shown: energy of {pair.names[0]} over that of {pair.names[1]}, all other prices "
        "nominal; red is dearer, blue cheaper; the cross is where the first one is, with bounds."
    )
    return Plot(note, figure, _table(pair))


def _error(span: Span) -> dict[str, object]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [span.high - span.nominal],
        "arrayminus": [span.nominal - span.low],
        "color": VERMILION,
    }


def _table(pair: Pair) -> pd.DataFrame:
    """Return the turns, and the energies of both between their bounds."""
    rows: list[dict[str, object]] = []
    for name, design in zip(pair.names, (pair.one, pair.other), strict=True):
        low, nominal, high = design.energy.times(1e-6)
        rows.append(
            {"quantity": f"energy of {name} (µJ)", "value": nominal, "low": low, "high": high}
        )
    for turn in pair.found.turns:
        if turn.unit:
            facts = f"{turn.quantity} at which the order turns ({turn.unit})"
            value = float("nan") if turn.value is None else turn.value
            low, _, high = turn.bounds
            rows.append({"quantity": facts, "value": value, "low": low, "high": high})
    return pd.DataFrame(rows)
