"""Where the energy goes: by part, by action, by section of the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
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
    per_workload,
    single,
    stacked,
    table,
)
from simulator.results.result import CONVENTIONS, Result
from simulator.results.summary import short

AT_REST = "at rest"
ENERGY = "Energy"
LAYERS = "Energy by layer and part"


def energy_card(result: Result, facts: dict[str, Any]) -> Card:
    """Mean energy per image by section of the network, stacked by part."""
    grid = _dynamic(result, section_of_layers(result, blocks=True))
    grid.loc[AT_REST] = 0.0
    for part in facts["energy_by_part"]:
        name = part["part"]
        grid[name] = grid.get(name, 0.0)
        grid.loc[AT_REST, name] = part["leakage_uj"]
    grid = grid[[part["part"] for part in facts["energy_by_part"]]].rename(columns=short)
    note = (
        "Mean per image. Sections are the patch splitting, the Transformer blocks with their "
        "halting decisions, and the head; “at rest” is leakage over the whole latency."
    )
    rows = grid.T
    rows["all"] = rows.sum(axis=1)
    rows["share"] = rows["all"] / rows["all"].sum()
    heading = {name: f"{name} (µJ)" for name in rows.columns if name != "share"}
    figure = stacked(grid, "energy per image (µJ)")
    return single(
        "energy", "Energy by part", ENERGY, Plot(note, figure, table(rows, "part", heading))
    )


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
    """Designs side by side: energy by part, by action, by stage, and by the field's habit."""
    views = (
        ("part", "Energy by part", _by_part, "Dynamic energy and leakage of each part."),
        (
            "action",
            "Energy by action",
            _by_action,
            "Count times price of each action; leakage is one entry. The largest have colours "
            "here, all of them are in the table.",
        ),
        (
            "stage",
            "Energy by stage",
            _by_stage,
            "Patch splitting (sps), blocks, halting decisions, head; leakage over the whole "
            "latency.",
        ),
    )
    own: Plots = {(run.workload, run.design): _by_layer_and_part(run.result) for run in runs}
    title = f"{LAYERS}, one design"
    return [
        *(
            per_workload(f"energy-by-{name}", head, ENERGY, runs, partial(_energies, measure, note))
            for name, head, measure, note in views
        ),
        Card("energy-by-layer", title, ENERGY, (WORKLOAD, DESIGN), own),
    ]


def layer_energy_card(result: Result) -> Card:
    """Mean dynamic energy by layer, stacked by part."""
    return single("energy-by-layer", LAYERS, ENERGY, _by_layer_and_part(result))


def _by_layer_and_part(result: Result) -> Plot:
    grid = _dynamic(result, {layer: layer for layer in section_of_layers(result, blocks=False)})
    grid = grid[grid.sum().sort_values(ascending=False, kind="stable").index].rename(columns=short)
    figure = stacked(grid, "dynamic energy per image (µJ)")
    many_rows(figure, len(grid))
    facts = table(grid.assign(all=grid.sum(axis=1)), "layer", " (µJ)")
    return Plot("Mean per image. What is drawn all the time belongs to no layer.", figure, facts)


def _energies(measure: Callable[[Run], dict[str, float]], note: str, group: Sequence[Run]) -> Plot:
    frame = _side_by_side({run.design: measure(run) for run in group})
    figure = stacked(frame, "energy per image (µJ)")
    facts = table(frame.assign(all=frame.sum(axis=1)), "design", " (µJ)")
    return Plot(f"Mean per image. {note}", figure, facts)


def _by_part(run: Run) -> dict[str, float]:
    return {short(part["part"]): part["energy_uj"] for part in run.facts["energy_by_part"]}


def _by_action(run: Run) -> dict[str, float]:
    actions = run.result.tables["actions"]
    names = actions["part"].map(short) + "." + actions["action"]
    sums = actions.groupby(names)["energy_pj"].sum() / (1e6 * run.result.images)
    return {str(name): float(value) for name, value in sums.items()} | _leakage(run)


def _by_stage(run: Run) -> dict[str, float]:
    sections = section_of_layers(run.result, blocks=False)
    actions = run.result.tables["actions"]
    stages = actions["layer"].map(sections).fillna("other")
    sums = actions.groupby(stages)["energy_pj"].sum() / (1e6 * run.result.images)
    order = [stage for stage in dict.fromkeys([*sections.values(), "other"]) if stage in sums]
    return {stage: float(sums[stage]) for stage in order} | _leakage(run)


def _leakage(run: Run) -> dict[str, float]:
    return {AT_REST: run.facts["leakage_energy_uj"]}


def _side_by_side(columns: dict[str, dict[str, float]]) -> pd.DataFrame:
    """Designs x entries, the entry that is largest over all designs first."""
    frame = pd.DataFrame.from_dict(columns, orient="index").fillna(0.0)
    return frame[frame.sum().sort_values(ascending=False, kind="stable").index]


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
    note = (
        "4.6 pJ a MAC and 0.9 pJ an AC (fp32, 45 nm), memory and neurons free. It prices no "
        "machine and depends on the trace only; layers that read integers are counted in two ways."
    )
    figure = grouped(frame, "energy per image by the field’s habit (µJ)")
    facts = table(frame, "workload", " (µJ)")
    return single("field", "By the field’s habit", "The field's habit", Plot(note, figure, facts))
