"""Where the energy goes: by part, by action, by section of the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from reports.figures.base import (
    DESIGN,
    WORKLOAD,
    Card,
    Plot,
    Plots,
    Run,
    by_workload,
    grouped,
    many_rows,
    single,
    stacked,
    stacked_by_design,
    table,
    with_sums,
)
from reports.texts import text
from simulator.results.result import CONVENTIONS, Result
from simulator.results.summary import short

AT_REST = "at rest"
ENERGY = "Energy"


def energy_card(result: Result, facts: dict[str, Any]) -> Card:
    """Mean energy per image by section of the network, stacked by part."""
    grid = _dynamic(result, section_of_layers(result, blocks=True))
    grid.loc[AT_REST] = 0.0
    for part in facts["energy_by_part"]:
        name = part["part"]
        grid[name] = grid.get(name, 0.0)
        grid.loc[AT_REST, name] = part["leakage_uj"]
    grid = grid[[part["part"] for part in facts["energy_by_part"]]].rename(columns=short)
    rows = grid.T
    rows["all"] = rows.sum(axis=1)
    rows["share"] = rows["all"] / rows["all"].sum()
    heading = {name: f"{name} (µJ)" for name in rows.columns if name != "share"}
    figure = stacked(grid, "energy per image (µJ)")
    return single("energy", ENERGY, Plot(text("energy"), figure, table(rows, "part", heading)))


def section_of_layers(result: Result, *, blocks: bool) -> dict[str, str]:
    """Return the section of each layer: its stage, or its block where `blocks`."""
    layers = result.tables["layers"].drop_duplicates("layer")
    columns = (layers["layer"], layers["stage"], layers["block"].tolist())
    return {
        layer: f"block {block}" if blocks and block >= 0 else stage
        for layer, stage, block in zip(*columns, strict=True)
    }


def _dynamic(result: Result, named: Mapping[str, str]) -> pd.DataFrame:
    """Mean dynamic energy in uJ, sections x parts, sections in the order of the layers.

    `named`: the section of each layer.
    """
    actions = result.tables["actions"]
    sections = actions["layer"].map(named).fillna("other")
    sums = actions.groupby([sections, actions["part"]])["energy_pj"].sum()
    grid = sums.unstack(fill_value=0) / (1e6 * result.images)
    order = [*dict.fromkeys(named.values()), "other"]
    return grid.reindex([section for section in order if section in grid.index])


def energy_cards(runs: Sequence[Run]) -> list[Card]:
    """Draw designs side by side: energy by part, by action, by stage, and layer by layer."""
    views = {"part": _by_part, "action": _by_action, "stage": _by_stage}
    own: Plots = {(run.workload, run.design): _by_layer_and_part(run.result) for run in runs}
    axis = "energy per image"
    return [
        *(
            stacked_by_design(f"energy-by-{name}", ENERGY, runs, measure, axis, "µJ", True)
            for name, measure in views.items()
        ),
        Card("energy-by-layer", text("energy-by-layer", "one"), ENERGY, (WORKLOAD, DESIGN), own),
    ]


def layer_energy_card(result: Result) -> Card:
    """Mean dynamic energy by layer, stacked by part."""
    return single("energy-by-layer", ENERGY, _by_layer_and_part(result))


def _by_layer_and_part(result: Result) -> Plot:
    grid = _dynamic(result, {layer: layer for layer in section_of_layers(result, blocks=False)})
    grid = grid[grid.sum().sort_values(ascending=False, kind="stable").index].rename(columns=short)
    figure = stacked(grid, "dynamic energy per image (µJ)")
    many_rows(figure, len(grid))
    return with_sums(text("energy-by-layer"), figure, grid, "layer", "µJ")


def _by_part(run: Run) -> dict[str, float]:
    return {short(part["part"]): part["energy_uj"] for part in run.facts["energy_by_part"]}


def _by_action(run: Run) -> dict[str, float]:
    return {**by_action(run.result).sort_index(), **_leakage(run)}


def by_action(result: Result) -> pd.Series:
    """Return the mean energy of an image in µJ by part and action."""
    actions = result.tables["actions"]
    names = actions["part"].map(short) + "." + actions["action"]
    return actions.groupby(names, sort=False)["energy_pj"].sum() / (1e6 * result.images)


def _by_stage(run: Run) -> dict[str, float]:
    stages = section_of_layers(run.result, blocks=False)
    return {**_dynamic(run.result, stages).sum(axis=1), **_leakage(run)}


def _leakage(run: Run) -> dict[str, float]:
    return {AT_REST: run.facts["leakage_energy_uj"]}


def field_card(runs: Sequence[Run]) -> Card:
    """Return what papers of this field would print for the workloads."""
    firsts = {workload: group[0] for workload, group in by_workload(runs).items()}
    frame = pd.DataFrame.from_dict(
        {
            workload: {
                entry["convention"]: entry["energy_uj"] for entry in run.facts["field_energy"]
            }
            for workload, run in firsts.items()
        },
        orient="index",
    )[[*CONVENTIONS]]
    figure = grouped(frame, text("field", "axis"))
    plot = Plot(text("field"), figure, table(frame, "workload", " (µJ)"))
    return single("field", "The field's habit", plot)
