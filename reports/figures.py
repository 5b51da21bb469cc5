"""The plots of a page, each with the table of its numbers.

Colours are those of Okabe and Ito (2008), told apart by colour-blind readers too. Nothing here
sets a colour of text or paper: the page does, for light and for dark screens.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd
import plotly.graph_objects as go

from simulator.result import CAUSES, Result
from simulator.summary import number, short

BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, YELLOW, GREY = "#56B4E9", "#CC79A7", "#F0E442", "#999999"
PALETTE = (BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE, YELLOW)
AT_REST = "at rest"
OTHERS = "other parts"

_ROW_PX = 17
"""Height of a layer's bar."""


class Plot(NamedTuple):
    """A figure, what it says, and its numbers as rows of text under a heading."""

    name: str
    title: str
    note: str
    figure: go.Figure
    heading: Sequence[str]
    rows: Sequence[Sequence[str]]


def plots(result: Result, told: dict[str, Any]) -> list[Plot]:
    """All plots of a result, in the order of the page; `told` is its summary."""
    return [
        energy_plot(result, told),
        cycles_plot(result),
        tokens_plot(told),
        latency_plot(result, told),
        roofline_plot(result, told),
    ]


def energy_plot(result: Result, told: dict[str, Any]) -> Plot:
    """Mean energy per image by section of the network, stacked by part."""
    grid = _energy_by_section(result)
    grid.loc[AT_REST] = 0.0
    for part in told["energy_by_part"]:
        name = part["part"]
        grid[name] = grid.get(name, 0.0)
        grid.loc[AT_REST, name] = part["leakage_uj"]
    order = [part["part"] for part in told["energy_by_part"]]
    kept, rest = order[: len(PALETTE)], order[len(PALETTE) :]
    figure = go.Figure()
    for part, colour in zip(kept, PALETTE, strict=False):
        _bar(figure, short(part), grid.index, grid[part], colour)
    if rest:
        _bar(figure, OTHERS, grid.index, grid[rest].sum(axis=1), GREY)
    figure.update_layout(barmode="stack", yaxis_title="energy per image (µJ)", height=420)
    rows = []
    for entry in told["energy_by_part"]:
        values = [*grid[entry["part"]].tolist(), entry["energy_uj"]]
        rows.append([short(entry["part"]), *map(number, values), f"{entry['share']:.2%}"])
    note = (
        "Mean per image. Sections are the patch splitting, the Transformer blocks with their "
        "halting decisions, and the head; “at rest” is leakage over the whole latency."
    )
    heading = ["part", *(f"{section} (µJ)" for section in grid.index), "all (µJ)", "share"]
    return Plot("energy", "Energy by part", note, figure, heading, rows)


def _energy_by_section(result: Result) -> pd.DataFrame:
    """Mean dynamic energy in uJ, sections x parts, sections in the order of the layers."""
    layers = result.tables["layers"].drop_duplicates("layer")
    named = {
        layer: stage if block < 0 else f"block {block}"
        for layer, stage, block in zip(
            layers["layer"], layers["stage"], layers["block"].tolist(), strict=True
        )
    }
    actions = result.tables["actions"]
    sections = actions["layer"].map(named).fillna("other")
    grouped = actions.groupby([sections, actions["part"]])["energy_pj"].sum()
    grid = grouped.unstack(fill_value=0) / (1e6 * result.images)
    order = [*dict.fromkeys(named.values()), "other"]
    return grid.reindex([section for section in order if section in grid.index])


def cycles_plot(result: Result) -> Plot:
    """Mean cycles of the PE array by layer: busy, and idle by cause."""
    grid = _cycles_by_layer(result)
    causes = [cause for cause in CAUSES if grid[cause].any()]
    colours = {"busy": BLUE, **dict(zip(CAUSES, [*PALETTE[1:], GREY], strict=False))}
    figure = go.Figure()
    for column in ["busy", *causes]:
        _bar(figure, column.replace("_", " "), grid.index, grid[column], colours[column], "h")
    figure.update_layout(
        barmode="stack",
        xaxis_title="cycles of the PE array per image",
        yaxis_autorange="reversed",
        height=190 + _ROW_PX * len(grid),
    )
    figure.update_yaxes(dtick=1, tickfont_size=10)
    rows = [
        [str(layer), *(number(value) for value in values), number(sum(values))]
        for layer, values in zip(grid.index, grid.to_numpy().tolist(), strict=True)
    ]
    note = (
        "Mean per image. Busy cycles, and idle cycles by the layer that was waited for and what it "
        "was busy with; all bars together are the latency."
    )
    heading = ["layer", "busy", *(cause.replace("_", " ") for cause in CAUSES), "all"]
    return Plot("cycles", "Cycles by layer and cause", note, figure, heading, rows)


def _cycles_by_layer(result: Result) -> pd.DataFrame:
    """Mean cycles, layers x (busy and all causes), in the order of the layers."""
    layers, stalls = result.tables["layers"], result.tables["layer_stalls"]
    busy = layers.groupby("layer", sort=False)["pe_busy_cycles"].sum()
    by_cause = stalls.groupby(["layer", "cause"])["stall_cycles"].sum().unstack(fill_value=0)
    order = [*busy.index, *(layer for layer in by_cause.index if layer not in busy.index)]
    grid = by_cause.reindex(index=order, columns=[*CAUSES], fill_value=0)
    grid.insert(0, "busy", busy.reindex(order, fill_value=0))
    return grid / result.images


def tokens_plot(told: dict[str, Any]) -> Plot:
    """Mean active tokens by block and timestep."""
    tokens = told["active_tokens"]
    grid, full = tokens["by_timestep_and_block"], tokens["tokens_by_timestep_and_block"]
    blocks = [f"block {block}" for block in range(len(grid[0]))] if grid else []
    steps = [f"timestep {step}" for step in range(len(grid))]
    figure = go.Figure(
        go.Heatmap(
            z=grid,
            x=blocks,
            y=steps,
            zmin=0,
            zmax=max((max(row) for row in full), default=1),
            colorscale="Cividis",
            texttemplate="%{z:.1f}",
            hovertemplate="%{y}, %{x}: %{z:.2f} tokens<extra></extra>",
            xgap=2,
            ygap=2,
            colorbar={"title": "tokens", "thickness": 12},
        )
    )
    figure.update_layout(yaxis_autorange="reversed", height=190 + 44 * len(grid))
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(showgrid=False)
    note = (
        f"Mean per image. {number(tokens['mean'])} of {number(tokens['slots'])} tokens are "
        f"computed ({tokens['share']:.1%}); the others are halted."
    )
    rows = [[str(step), *(f"{value:.2f}" for value in row)] for step, row in enumerate(grid)]
    return Plot("tokens", "Active tokens", note, figure, ["timestep", *blocks], rows)


def latency_plot(result: Result, told: dict[str, Any]) -> Plot:
    """Latency of every image, with its percentiles."""
    images = result.tables["images"]
    ordered = images.sort_values("latency_cycles", kind="stable")
    shares = [100 * (rank + 1) / len(images) for rank in range(len(images))]
    figure = go.Figure()
    figure.add_scatter(
        x=ordered["latency_ms"].tolist(),
        y=shares,
        text=[html.escape(name) for name in ordered["image_id"]],
        mode="lines+markers" if len(images) <= 200 else "lines",
        line={"shape": "hv", "color": BLUE, "width": 2},
        marker={"color": BLUE, "size": 7},
        hovertemplate="%{text}: %{x:.4g} ms<extra></extra>",
    )
    # Of few images several percentiles are the same image: one line with all their names.
    lines: dict[float, list[str]] = {}
    for name in ("mean", "p50", "p95", "p99"):
        lines.setdefault(told["latency_ms"][name], []).append(name)
    for value, same in lines.items():
        colour = ORANGE if "mean" in same else GREY
        figure.add_vline(value, line_dash="dot", line_color=colour, line_width=1.5)
        figure.add_annotation(
            x=value, y=1.0, yref="paper", yanchor="bottom", text=", ".join(same), showarrow=False
        )
    low, high = told["latency_ms"]["min"], told["latency_ms"]["max"]
    margin = 0.08 * (high - low) or 0.1 * high
    figure.update_layout(height=320, showlegend=False)
    figure.update_xaxes(title="latency (ms)", range=[low - margin, high + margin])
    figure.update_yaxes(title="images at most so slow (%)", range=[0, 104])
    rows = [
        [str(row["image"]), row["image_id"], f"{row['latency_cycles']:,}"]
        + [number(row[name]) for name in ("latency_ms", "floor_cycles", "ceiling_cycles")]
        for row in images.to_dict("records")
    ]
    note = (
        "Each point is an image, run alone; percentiles are latencies of images (nearest rank). "
        "The floor is below any schedule's latency, the ceiling is one operation after another."
    )
    heading = ["image", "name", "cycles", "ms", "floor (cycles)", "ceiling (cycles)"]
    return Plot("latency", "Latency of the images", note, figure, heading, rows)


def roofline_plot(result: Result, told: dict[str, Any]) -> Plot:
    """The machine's two roofs, the layers and the whole run."""
    roof = told["roofline"]
    peak, bandwidth = roof["peak_accumulations_per_cycle"], roof["dram_bytes_per_cycle"]
    layers = _layer_points(result)
    whole = roof["operational_intensity_accumulations_per_byte"]
    xs = [*layers["intensity"].tolist(), roof["ridge_accumulations_per_byte"], whole or 1.0]
    low, high = min(xs) / 3, max(xs) * 3
    ridge = roof["ridge_accumulations_per_byte"]
    figure = go.Figure()
    line = {"color": BLUE, "width": 2.5}
    roofs = {"x": [low, ridge, high], "y": [low * bandwidth, peak, peak], "name": "roofs"}
    figure.add_scatter(**roofs, mode="lines", line=line, hoverinfo="skip")
    hover = "%{text}: %{x:.3g} acc/B, %{y:.3g} acc/cycle<extra></extra>"
    points = {"mode": "markers", "hovertemplate": hover}
    names = [html.escape(name) for name in layers.index]
    marker = {"color": ORANGE, "size": 8, "line": {"width": 1, "color": GREY}}
    x, y = layers["intensity"].tolist(), layers["achieved"].tolist()
    figure.add_scatter(x=x, y=y, text=names, name="layers", marker=marker, **points)
    if whole:
        star = {"symbol": "star", "size": 17, "color": VERMILION}
        y = [roof["achieved_accumulations_per_cycle"]]
        figure.add_scatter(x=[whole], y=y, text=["all"], name="whole run", marker=star, **points)
    ticks = [mantissa * 10.0**power for power in range(-6, 13) for mantissa in (1, 2, 5)]
    axis = {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:,.10g}" for tick in ticks]}
    figure.update_xaxes(**axis, title="useful accumulations per DRAM byte")
    figure.update_yaxes(**axis, title="useful accumulations per cycle")
    figure.update_layout(height=460)
    rows = [
        [str(layer), *(number(value) for value in values)]
        for layer, values in zip(layers.index, layers.to_numpy().tolist(), strict=True)
    ]
    note = (
        f"Roofs: {number(peak)} accumulations a cycle and {number(bandwidth)} bytes a cycle from "
        f"DRAM. The whole run is {roof['bound_by']}-bound and reaches {roof['achieved_share']:.1%} "
        "of what is attainable there. A layer whose data came while another was computing may "
        "stand above the slanted roof; layers without DRAM traffic are not shown."
    )
    heading = ["layer", "useful accumulations", "DRAM bytes", "cycles", "acc/B", "acc/cycle"]
    return Plot("roofline", "Roofline", note, figure, heading, rows)


def _layer_points(result: Result) -> pd.DataFrame:
    """Layers with work and traffic: totals of all images, accumulations per byte and per cycle."""
    layers = result.tables["layers"].groupby("layer", sort=False)
    frame = pd.DataFrame(
        {
            "useful": layers["useful_accumulations"].sum(),
            "bytes": layers["dram_bytes"].sum(),
        }
    )
    cycles = _cycles_by_layer(result).sum(axis=1) * result.images
    frame["cycles"] = cycles.reindex(frame.index)
    frame = frame[(frame["useful"] > 0) & (frame["bytes"] > 0) & (frame["cycles"] > 0)]
    frame = frame.assign(
        intensity=frame["useful"] / frame["bytes"], achieved=frame["useful"] / frame["cycles"]
    )
    return frame[frame["intensity"].map(math.isfinite)]


def _bar(
    figure: go.Figure, name: str, labels: Any, values: Any, colour: str, orientation: str = "v"
) -> None:
    """One colour of a stacked bar chart."""
    names, amounts = [html.escape(str(label)) for label in labels], values.tolist()
    across = {"x": names, "y": amounts} if orientation == "v" else {"x": amounts, "y": names}
    value = "%{y:.4g}" if orientation == "v" else "%{x:,.0f}"
    figure.add_bar(
        **across,
        name=html.escape(name),
        orientation=orientation,
        marker={"color": colour, "line": {"width": 0}},
        hovertemplate=f"{html.escape(name)}: {value}<extra></extra>",
    )
