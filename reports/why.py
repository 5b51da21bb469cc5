"""Why one design takes more than another: layer by layer, and as a waterfall between two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from reports.figures.base import DESIGN, WORKLOAD, Card, Plot, Plots, Run, by_workload, words
from reports.figures.cycles import cycles_by_layer
from reports.figures.roofline import layer_points
from reports.texts import text, texts
from simulator.results.summary import short
from simulator.results.units import ENERGY, TIME, TRAFFIC
from simulator.streams.statistics import Estimate, independent_mean

ARRAY, ENERGY_DEFINED = "The PE array: utilization, occupancy, stalls", "Energy"
VIEWS = ("waterfall-time", "waterfall-energy")


def layer_card(runs: Sequence[Run]) -> Card:
    """Return a table of the layers of each design on each workload."""
    plots: Plots = {
        (run.workload, run.design): Plot(_roofs(run), None, layer_table(run)) for run in runs
    }
    return Card("why", text("why", "title"), ARRAY, (WORKLOAD, DESIGN), plots, open=True)


def _roofs(run: Run) -> str:
    roof = run.facts["roofline"]
    return text(
        "why",
        peak=f"{roof['peak_accumulations_per_cycle']:,}",
        bandwidth=f"{roof['dram_bytes_per_cycle']:.4g}",
    )


def layer_table(run: Run) -> pd.DataFrame:
    """Return a row a layer: its inputs, costs, waits, and its place under the roofs."""
    result = run.result
    cycles = cycles_by_layer(result)
    facts = {entry["layer"]: entry for entry in run.facts["layers"]}
    layers = result.tables["layers"].set_index(["image", "layer"])
    waited = result.tables["layer_stalls"].groupby(["image", "layer"])["stall_cycles"].sum()
    each = layers.assign(waited=waited.reindex(layers.index, fill_value=0)).groupby("layer")
    points = layer_points(result)
    rows = []
    for name, entry in facts.items():
        own, stalls = each.get_group(name), cycles.loc[name].drop("busy")
        most = stalls.idxmax() if stalls.any() else ""
        rate = points["intensity"].get(name)
        rows.append(
            {
                "layer": name,
                "kind": words(entry["kind"]),
                "inputs that are not zero": entry["input_rate"],
                "rows": own["rows"].mean(),
                "live rows": own["live_rows"].mean(),
                "busy (cycles)": _mean(own["pe_busy_cycles"]),
                "waited for (cycles)": _mean(own["waited"]),
                "mostly for": words(str(most)),
                TRAFFIC.head("DRAM"): _mean(TRAFFIC.of(own["dram_bytes"])),
                ENERGY.head("energy"): _mean(ENERGY.of(own["energy_pj"])),
                "share of energy": entry["energy_share"],
                "accumulations per byte": None if rate is None else float(rate),
                "accumulations per cycle": points["achieved"].get(name),
            }
        )
    return pd.DataFrame(rows).dropna(axis="columns", how="all")


def _mean(values: pd.Series) -> Estimate:
    """A mean of what is never negative, and neither is its interval."""
    value, low, high = independent_mean(values.to_numpy(float))
    return Estimate(value, None if low is None else max(low, 0.0), high)


def waterfall_cards(runs: Sequence[Run]) -> list[Card]:
    """Return the pieces by cause and by part from which the page draws the chosen pair."""
    groups = {name: group for name, group in by_workload(runs).items() if len(group) > 1}
    if not groups:
        return []
    definitions = dict(zip(VIEWS, (ARRAY, ENERGY_DEFINED), strict=True))
    return [
        Card(
            name,
            text(name, "title"),
            definition,
            (WORKLOAD,),
            {(workload,): _waterfall(name, group) for workload, group in groups.items()},
        )
        for name, definition in definitions.items()
    ]


def _waterfall(name: str, group: Sequence[Run]) -> Plot:
    """The pieces of each design, from which every pair's steps follow."""
    frame = pd.DataFrame({run.design: pieces(run, name) for run in group}).T.fillna(0.0)
    frame.insert(0, "design", [*frame.index])
    return Plot(text(name), None, frame.reset_index(drop=True))


def pieces(run: Run, view: str) -> dict[str, float]:
    """Return what a mean image takes, taken apart: time by cause, or energy by part."""
    if view == "waterfall-time":
        sums = cycles_by_layer(run.result).sum()
        cores = run.result.provenance["architecture"].get("cores", 1)
        per_ms = run.result.provenance["architecture"]["clock_mhz"] * 1e3 * cores
        return {words(str(cause)): float(cycles) / per_ms for cause, cycles in sums.items()}
    return {short(part["part"]): part["energy_uj"] for part in run.facts["energy_by_part"]}


def waterfall_data() -> dict[str, Any]:
    """Return what the page needs beside the tables: its words, and the unit of each view."""
    named = {name: texts()[name] for name in VIEWS}
    shared = {"picks": texts()["waterfall"], "moved": text("waterfall", "moved")}
    return {"texts": named | shared, "units": [TIME.symbol, ENERGY.symbol]}
