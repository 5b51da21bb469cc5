"""Figures of results as functions: `stasim.plots.energy(result).show()`.

Each takes one result or several and returns a plotly figure, that of STASim's pages: of several
results the designs side by side, on the workload of the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from stasim.house import require

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from simulator.results.result import Result
    from stasim.comparison import Comparison

    Drawn: TypeAlias = Result | Iterable[Result] | Mapping[str, Result] | Comparison


def energy(results: Drawn) -> go.Figure:
    """Draw the energy of an image by part."""
    return figure(results, "energy", "energy-by-part")


def cycles(results: Drawn) -> go.Figure:
    """Draw the cycles of each layer and what they were spent on; of several, layer by layer."""
    return figure(results, "cycles", "layers")


def stalls(results: Drawn) -> go.Figure:
    """Draw why the array waited."""
    return figure(results, "cycles", "stalls")


def latency(results: Drawn) -> go.Figure:
    """Draw how long images take."""
    return figure(results, "latency", "latency")


def tokens(results: Drawn) -> go.Figure:
    """Draw the active tokens by block and timestep."""
    return figure(results, "tokens", "tokens")


def roofline(results: Drawn) -> go.Figure:
    """Draw the layers between the array's peak and the DRAM's bandwidth."""
    return figure(results, "roofline", "roofline")


def pareto(results: Drawn) -> go.Figure:
    """Draw latency against energy."""
    return figure(results, "pareto", "pareto")


def traffic(results: Drawn) -> go.Figure:
    """Draw the DRAM traffic by stage."""
    return figure(results, "dram", "dram")


def figure(results: Drawn, alone: str, together: str) -> go.Figure:
    """Return one figure by its name on the page of a result, or on that of a comparison."""
    from stasim.comparison import Comparison

    require("simulator", "reports")
    from reports.page import result_cards
    from simulator.results.result import Result
    from simulator.results.summary import summary

    if isinstance(results, Result):
        drawn = first_figures(result_cards(results, summary(results)))
        if alone in drawn:
            return drawn[alone]
        results = [results]
    compared = results if isinstance(results, Comparison) else Comparison.of(results)
    return compared.figures()[together]


def first_figures(cards: Sequence[Any]) -> dict[str, go.Figure]:
    """Return the figure of each card, as its page shows it at first."""
    plots = {card.name: next(iter(card.plots.values())).figure for card in cards}
    return {name: drawn for name, drawn in plots.items() if drawn is not None}
