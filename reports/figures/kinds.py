"""What each kind of layer costs, where networks differ and their layers have no names in common."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from reports.figures.base import (
    BLUE,
    DESIGN,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    Card,
    Plot,
    Plots,
    Run,
    by_workload,
    stacked,
)
from reports.figures.cycles import cycles_by_layer
from reports.texts import text
from simulator.results.units import ENERGY, TRAFFIC

LAYERS = "Layers"
CONVOLUTION, LINEAR, ATTENTION, OTHER = "convolution", "linear", "attention", "halting and others"
_KINDS = {"conv2d": CONVOLUTION, "linear": LINEAR, "head": LINEAR}
_ATTENTION = ("attention_", "product_of_", "spike_driven_attention", "token_qk_attention")
COLOURS = {CONVOLUTION: BLUE, LINEAR: ORANGE, ATTENTION: GREEN, OTHER: PURPLE, "idle at ends": GREY}


def kind_of(kind: str) -> str:
    """Return the kind under which a layer's operation is compared."""
    return ATTENTION if kind.startswith(_ATTENTION) else _KINDS.get(kind, OTHER)


def kind_cards(runs: Sequence[Run]) -> list[Card]:
    """Draw kinds of layers side by side, for each design that ran several workloads."""
    designs: dict[str, list[Run]] = {}
    for run in runs:
        designs.setdefault(run.design, []).append(run)
    if len(by_workload(runs)) < 2:
        return []
    plots: Plots = {(name,): _plot(group) for name, group in designs.items() if len(group) > 1}
    if not plots:
        return []
    return [Card("kinds", text("kinds", "title"), LAYERS, (DESIGN,), plots)]


def _plot(group: Sequence[Run]) -> Plot:
    frames = {run.workload: kind_table(run) for run in group}
    cycles = pd.DataFrame({name: each["cycles"] for name, each in frames.items()}).T
    columns = [kind for kind in COLOURS if kind in cycles.columns]
    figure = stacked(cycles[columns].fillna(0.0), "cycles per image", COLOURS)
    rows = [each.reset_index(names="kind").assign(workload=name) for name, each in frames.items()]
    every = pd.concat(rows, ignore_index=True)
    order = [*columns, *(kind for kind in every["kind"] if kind not in columns)]
    places = every["kind"].map({kind: place for place, kind in enumerate(order)})
    every = every.assign(place=places).sort_values("place", kind="stable")
    first = ["kind", "workload"]
    rest = [name for name in every.columns if name not in (*first, "place")]
    return Plot(text("kinds"), figure, every[[*first, *rest]].reset_index(drop=True))


def kind_table(run: Run) -> pd.DataFrame:
    """Return what the layers of each kind took of an image of one run, and what their work was."""
    result = run.result
    layers = result.tables["layers"]
    waited = cycles_by_layer(result).sum(axis=1)
    kinds = layers.drop_duplicates("layer").set_index("layer")["kind"].map(kind_of)
    columns = ["useful_accumulations", "energy_pj", "dram_bytes"]
    sums = layers.groupby(layers["kind"].map(kind_of), sort=False)[columns].sum() / result.images
    of_layer = waited.index.to_series().map(kinds).fillna("idle at ends")
    cycles = waited.groupby(of_layer, sort=False).sum()
    accumulations = sums["useful_accumulations"]
    found = pd.DataFrame(
        {
            "layers": kinds.value_counts(),
            "accumulations": accumulations,
            "cycles": cycles,
            ENERGY.head("energy"): ENERGY.of(sums["energy_pj"]),
            TRAFFIC.head("DRAM"): TRAFFIC.of(sums["dram_bytes"]),
            "energy per accumulation (pJ)": (sums["energy_pj"] / accumulations).where(
                accumulations > 0
            ),
            "cycles per thousand accumulations": (1000 * cycles / accumulations).where(
                accumulations > 0
            ),
        }
    )
    return found.loc[[kind for kind in COLOURS if kind in found.index]]
