"""Which tokens were computed: by block and timestep, and patch by patch over the picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup

from reports.figures.base import (
    IMAGE,
    WORKLOAD,
    Card,
    Plot,
    Plots,
    Run,
    by_workload,
    per_workload,
    single,
)
from reports.texts import template, text
from simulator.results.result import Result
from simulator.results.units import number

TOKENS = "Traffic and tokens"
Masks = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def token_cards(facts: dict[str, Any]) -> list[Card]:
    """Draw mean active tokens by block and timestep; none for a network without blocks."""
    if not facts["active_tokens"]["by_timestep_and_block"]:
        return []
    return [single("tokens", TOKENS, _tokens_plot(facts))]


def tokens_cards(runs: Sequence[Run]) -> list[Card]:
    """Draw active tokens, and pictures if there are, of each workload: all machines see them."""
    runs = [run for run in runs if run.facts["active_tokens"]["by_timestep_and_block"]]
    firsts = {workload: group[0] for workload, group in by_workload(runs).items()}
    if not firsts:
        return []
    cards = [per_workload("tokens", TOKENS, runs, lambda group: _tokens_plot(group[0].facts))]
    drawn: Plots = {
        (workload, image): plot
        for workload, run in firsts.items()
        for image, plot in _halting_plots(run.result).items()
    }
    if drawn:
        cards.append(Card("halting", text("halting", "title"), TOKENS, (WORKLOAD, IMAGE), drawn))
    return cards


def halting_cards(result: Result) -> list[Card]:
    """Return the pictures of a result, if it kept any."""
    plots: Plots = {(image,): plot for image, plot in _halting_plots(result).items()}
    return [Card("halting", text("halting", "title"), TOKENS, (IMAGE,), plots)] if plots else []


def _tokens_plot(facts: dict[str, Any]) -> Plot:
    tokens = facts["active_tokens"]
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
    figure.update_layout(yaxis_autorange="reversed", height=150 + 44 * len(grid))
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(showgrid=False)
    counts = {"mean": number(tokens["mean"]), "slots": number(tokens["slots"])}
    note = text("tokens", share=f"{tokens['share']:.1%}", **counts)
    frame = pd.DataFrame(grid, columns=[f"{block} (tokens)" for block in blocks])
    frame.insert(0, "timestep", range(len(grid)))
    return Plot(note, figure, frame)


def _halting_plots(result: Result) -> dict[str, Plot]:
    """A plot for each image of which the result kept masks, by the image's name."""
    rows, columns = result.provenance["trace"]["model"].get("token_grid", (0, 0))
    pictures = result.tables["pictures"].set_index("image")["png_base64"].to_dict()
    images = result.tables["images"].set_index("image")
    plots = {}
    for image, masks in result.tables["token_masks"].groupby("image"):
        if rows * columns == 0:
            break
        steps = masks["timestep"].nunique(), masks["block"].nunique()
        active = _unpacked(masks, rows * columns).reshape(*steps, rows, columns)
        facts = images.loc[image]
        label = f"image {image}: {facts['image_id']}"
        source = pictures.get(image, "")
        figure, table = _halting_figure(active, source), _halting_table(active)
        plots[label] = Plot(_note(facts, active), figure, table, _mosaic(active, source))
    return plots


def _unpacked(masks: pd.DataFrame, tokens: int) -> Masks:
    """Bool (timestep x block, token), in order of timestep and block."""
    ordered = masks.sort_values(["timestep", "block"])
    packed = [bytes.fromhex(text) for text in ordered["active_hex"]]
    bits = np.frombuffer(b"".join(packed), np.uint8).reshape(len(packed), -1)
    return np.unpackbits(bits, axis=1, count=tokens, bitorder="little").view(np.bool_)


def _note(facts: Any, active: Masks) -> str:
    seen = f"class {facts['label']}" if facts["label"] >= 0 else "class unknown"
    answered = f", answered {facts['prediction']}" if facts["prediction"] >= 0 else ""
    steps, blocks = active.shape[:2]
    computed, slots = f"{int(active.sum()):,}", f"{active.size:,}"
    shape = {"timesteps": steps, "blocks": blocks, "steps": steps * blocks}
    return text("halting", seen=f"{seen}{answered}", computed=computed, slots=slots, **shape)


def _steps(active: Masks) -> tuple[Ints, Ints]:
    """In how many steps each patch was computed, and in which one last; -1: in none."""
    flat = active.reshape(-1, *active.shape[2:])
    count = flat.sum(axis=0)
    return count, np.where(count > 0, len(flat) - 1 - flat[::-1].argmax(axis=0), -1)


def _halting_figure(active: Masks, source: str) -> go.Figure:
    """In how many steps each patch was computed, over the picture."""
    steps, blocks, rows, columns = active.shape
    count, last = _steps(active)
    names = [f"last in timestep {t}, block {b}" for t in range(steps) for b in range(blocks)]
    # The last of the names belongs to -1, a patch that was never computed.
    where = np.array([*names, "never"], dtype=object)[last].tolist()
    figure = go.Figure(
        go.Heatmap(
            z=count.tolist(),
            text=where,
            zmin=0,
            zmax=steps * blocks,
            colorscale="Cividis",
            opacity=0.55 if source else 1.0,
            xgap=1,
            ygap=1,
            hovertemplate="row %{y}, column %{x}: computed in %{z} steps, %{text}<extra></extra>",
            colorbar={"title": "steps", "thickness": 12},
        )
    )
    if source:
        place = {"xref": "x", "yref": "y", "x": -0.5, "y": -0.5, "sizex": columns, "sizey": rows}
        picture = f"data:image/png;base64,{source}"
        figure.add_layout_image(source=picture, sizing="stretch", layer="below", **place)
    hidden = {"showgrid": False, "zeroline": False, "showticklabels": False, "ticks": ""}
    figure.update_xaxes(range=[-0.5, columns - 0.5], constrain="domain", **hidden)
    figure.update_yaxes(range=[rows - 0.5, -0.5], scaleanchor="x", constrain="domain", **hidden)
    figure.update_layout(height=340)
    return figure


def _halting_table(active: Masks) -> pd.DataFrame:
    """A row a patch."""
    blocks, rows, columns = active.shape[1:]
    count, last = _steps(active)
    at = np.indices((rows, columns)).reshape(2, -1)
    return pd.DataFrame(
        {
            "row": at[0],
            "column": at[1],
            "computed (steps)": count.reshape(-1),
            "last timestep": np.where(last >= 0, last // blocks, -1).reshape(-1),
            "last block": np.where(last >= 0, last % blocks, -1).reshape(-1),
        }
    )


def _mosaic(active: Masks, source: str) -> Markup:
    """The picture as each step saw it; SVG, which holds it once and takes the page's colours."""
    timesteps, blocks, rows, columns = active.shape
    gap, left, top = 0.08 * columns, 0.42 * columns, 0.28 * rows
    size = 0.16 * min(rows, columns)
    xs = [left + block * (columns + gap) for block in range(blocks)]
    ys = [top + step * (rows + gap) for step in range(timesteps)]
    labels = [
        *((x + columns / 2, top - 0.08 * rows, "middle", f"block {i}") for i, x in enumerate(xs)),
        *((left - gap, y + rows / 2 + size / 3, "end", f"t = {i}") for i, y in enumerate(ys)),
    ]
    steps = []
    for step, block in np.ndindex(timesteps, blocks):
        mask = active[step, block]
        title = f"timestep {step}, block {block}: {mask.sum()} of {mask.size} tokens"
        steps.append((xs[block], ys[step], title, np.argwhere(~mask).tolist()))
    width, height = left + blocks * (columns + gap), top + timesteps * (rows + gap)
    shape = {"rows": rows, "columns": columns, "width": width, "height": height, "size": size}
    drawn = template("mosaic.svg.j2").render(source=source, labels=labels, steps=steps, **shape)
    return Markup(drawn)
