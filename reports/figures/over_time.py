"""What the PE arrays do over time: an image of a result, replayed from its trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import plotly.graph_objects as go

from reports.figures.base import DESIGN, WORKLOAD, Card, Plot, Plots, Run, escaped, single, words
from reports.figures.cycles import ARRAY, COLOURS
from reports.texts import text
from simulator.errors import SimulatorError
from simulator.results.result import Result
from simulator.results.units import TIME

if TYPE_CHECKING:
    from simulator.replayed import StateWindows

WINDOWS = 120
"""Parts of the latency, so that a page holds as much of a long run as of a short one."""


def over_time_cards(runs: Sequence[Run]) -> list[Card]:
    """Return the card of each design on each workload."""
    plots: Plots = {(run.workload, run.design): _plot(run.result) for run in runs}
    title = text("over-time", "title")
    return [Card("over-time", title, ARRAY, (WORKLOAD, DESIGN), plots)]


def over_time_card(result: Result) -> Card:
    """Return the card of a single result."""
    return single("over-time", ARRAY, _plot(result))


def _plot(result: Result) -> Plot:
    """The replay, or why there is none."""
    from simulator.replayed import replayed  # imports the engine

    try:
        found = replayed(result, WINDOWS)
    except SimulatorError as error:
        return Plot(
            text("over-time", "absent", why=error), None, pd.DataFrame({"not drawn": [str(error)]})
        )
    cycles = {name: found.cycles[name] for name in COLOURS if name in found.cycles}
    found = found._replace(cycles=cycles)
    image = result.tables["images"]["image"].iloc[0]
    note = text("over-time", image=image, windows=len(found.widths))
    per_ms = result.provenance["architecture"]["clock_mhz"] * 1e3
    frame = pd.DataFrame({f"{words(name)} (cycles)": each for name, each in found.cycles.items()})
    frame.insert(0, TIME.head("from"), found.edges[:-1] / per_ms)
    return Plot(note, _figure(found, per_ms), frame.assign(mostly=found.places))


def _figure(found: StateWindows, per_ms: float) -> go.Figure:
    """A bar a window, a colour a state, as shares of the window."""
    figure = go.Figure()
    step = found.edges[-1] / per_ms / len(found.widths)
    for name, cycles in found.cycles.items():
        shown = words(name)
        figure.add_bar(
            x0=step / 2,
            dx=step,
            y=(cycles / found.widths / found.arrays).round(4).tolist(),
            name=shown,
            marker={"color": COLOURS[name], "line": {"width": 0}},
            customdata=escaped(found.places) if name == "busy" else None,
            hovertemplate=f"{shown} %{{y:.1%}}"
            + ("; mostly %{customdata}" if name == "busy" else "")
            + "<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0, height=380, hovermode="x unified")
    figure.update_xaxes(title=TIME.head("from the start of the image"), hoverformat=",.4~r")
    figure.update_yaxes(title=text("over-time", "up"), tickformat=".0%", range=[0, 1])
    return figure
