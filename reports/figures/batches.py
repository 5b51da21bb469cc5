"""What batches are made of: images that pass the machine together."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from reports.figures.base import PALETTE, Card, Plot, single
from reports.texts import text
from simulator.results.result import Result
from simulator.results.units import ENERGY, TIME

STREAMS = "Streams"


def has_batches(result: Result) -> bool:
    """Return whether some images of the result pass the machine together."""
    return bool((result.tables["images"]["images_together"] > 1).any())


def batches(result: Result) -> list[range]:
    """Return the rows of `images` that pass the machine together, in order."""
    sizes, found, at = result.tables["images"]["images_together"].tolist(), [], 0
    while at < len(sizes):
        found.append(range(at, at + sizes[at]))
        at += sizes[at]
    return found


def batch_cards(result: Result) -> list[Card]:
    """Return what each batch is made of, where images pass the machine together."""
    if not has_batches(result):
        return []
    images, groups = result.tables["images"], batches(result)
    rows = [_batch_row(images, place, group) for place, group in enumerate(groups)]
    figure = go.Figure()
    for place in range(max(map(len, groups))):
        here = [(number, group[place]) for number, group in enumerate(groups) if place < len(group)]
        figure.add_bar(
            x=[str(number) for number, _ in here],
            y=[int(images["additions"].iloc[row]) for _, row in here],
            text=[f"image {images['image'].iloc[row]}" for _, row in here],
            textposition="none",
            marker={"color": PALETTE[place % len(PALETTE)], "line": {"width": 0}},
            hovertemplate="%{text}: %{y:,} additions<extra></extra>",
            showlegend=False,
        )
    figure.update_layout(barmode="stack", height=380)
    figure.update_xaxes(title=text("batches", "across"), type="category")
    figure.update_yaxes(title=text("batches", "up"))
    plot = Plot(text("batches"), figure, pd.DataFrame(rows))
    return [single("batches", STREAMS, plot)]


def _batch_row(images: pd.DataFrame, place: int, group: range) -> dict[str, Any]:
    own = images.iloc[group.start : group.stop]
    added = own["additions"]
    return {
        "batch": place,
        "images": f"{own['image'].iloc[0]} to {own['image'].iloc[-1]}",
        "n": len(own),
        TIME.head("latency"): float(own["latency_ms"].iloc[0]),
        "additions": int(added.sum()),
        "least of an image": int(added.min()),
        "most of an image": int(added.max()),
        "active tokens, mean": float(own["active_tokens"].mean()),
        ENERGY.head("energy, mean"): ENERGY.of(float(own["energy_pj"].mean())),
    }
