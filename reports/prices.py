"""Counts and prices for a page whose prices can be dragged, and the cards that follow them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from reports.break_evens import MOST_PAIRS, Pair, pairs
from reports.figures.base import PALETTE, WORKLOAD, Card, Plot, Plots, Run, by_workload
from reports.figures.roofline import JOULES
from reports.texts import text, texts
from simulator.energy.break_even import ratio_span
from simulator.energy.pricing import table_names
from simulator.energy.spans import sram_cells
from simulator.errors import SimulatorError
from simulator.results.intervals import IntervalEntry, machine_of, node_of
from simulator.results.moved import DRAM_BITS, dram_bits, is_pe_logic, leakage_by_cells, under
from simulator.results.result import Result
from simulator.results.units import ENERGY
from simulator.streams.statistics import Estimate

ENERGIES = "Energy"
_Places = dict[tuple[str, str, str], int]
"""Of each part, action and cause, its place in a list that all runs share."""


def price_data(runs: Sequence[Run]) -> dict[str, Any]:
    """Return each run's entries under each energy table: the page computes energies of them.

    An entry is the place of its part, action and cause among `names`, its low, nominal and high
    mean energy in pJ, and whether it is logic of a PE array. "same": a table that changes nothing.
    """
    kept = [run for run in runs if run.priced and _says_its_machine(run)]
    names = table_names() if kept else ()
    images = [run.image_ids for run in kept]
    switches = {name: {"energy_table": name, **node_of(name)} for name in names}
    places: _Places = {}
    runs_data = [
        _run_data(run, switches, places) | {"images": images.index(own)}
        for run, own in zip(kept, images, strict=True)
    ]
    return {
        "tables": [*names],
        "cells": [*sram_cells()] if kept else [],
        "bits": DRAM_BITS,
        "palette": PALETTE,
        "texts": texts()["prices"] | {"axis": text("ranking", "axis"), "joules": JOULES},
        "names": [*places],
        # Runs of one number hold the same images.
        "runs": runs_data,
    }


def _says_its_machine(run: Run) -> bool:
    """Whether a result holds the machine whose prices could be moved: not if it is an old one."""
    try:
        machine_of(run.result, {})
    except SimulatorError:
        return False
    return True


def _run_data(run: Run, tables: Mapping[str, Mapping[str, Any]], places: _Places) -> dict[str, Any]:
    result, own = run.result, run.result.provenance["architecture"]["document"]["technology"]
    priced: dict[str, Any] = {"": _entries(result, {}, places)}
    for name, switches in tables.items():
        try:
            found = _entries(result, switches, places)
            priced[name] = "same" if found == priced[""] else found
        except SimulatorError:
            # A term or a bank has no figure there: the page says so when the table is chosen.
            continue
    design = run.priced
    return {
        "design": run.design,
        "workload": run.workload,
        "cells": own.get("sram_cells", "lstp_300k"),
        "latency_ms": design.latency_ms if design else None,
        "dram_pj_per_bit": design.dram_pj_per_bit.nominal if design else None,
        "bits": [*dram_bits(result).values()],
        "priced": priced,
    }


def _entries(result: Result, switches: Mapping[str, Any], places: _Places) -> dict[str, Any]:
    machine = machine_of(result, switches)
    cells = leakage_by_cells(result, machine)

    def short(entry: IntervalEntry) -> list[Any]:
        name = (entry.part, entry.action, entry.cause)
        return [places.setdefault(name, len(places)), *entry.energy_pj]

    return {
        "entries": [
            [*short(each), int(is_pe_logic(each))] for each in under(result, machine).entries
        ],
        "cells": {name: [short(entry) for entry in each] for name, each in cells.items()},
    }


def price_cards(runs: Sequence[Run]) -> list[Card]:
    """Return ranking, break-evens and map of a ratio, drawn at the prices that the page shows."""
    priced = [run for run in runs if run.priced]
    groups = {name: group for name, group in by_workload(priced).items() if len(group) > 1}
    found = pairs(priced)
    if not found:
        return []
    within = {name: [p for p in found if p.workloads == (name, name)] for name in groups}
    if twins := [p for p in found if p.designs[0] == p.designs[1]]:
        within[text("prices", "across")] = twins
    ranked: Plots = {(name,): _plot("ranking", _ranking(group)) for name, group in groups.items()}
    turns: Plots = {(name,): _plot("break-evens", _turns(own)) for name, own in within.items()}
    ratios: Plots = {(): _plot("ratio-map", _ratios(found))}
    cards = (("ranking", ranked), ("break-evens", turns), ("ratio-map", ratios))
    return [
        Card(name, text(name, "title"), ENERGIES, (WORKLOAD,) if () not in plots else (), plots)
        for name, plots in cards
        if plots
    ]


def _plot(name: str, table: pd.DataFrame) -> Plot:
    return Plot(text(name), None, table)


def _ranking(group: Sequence[Run]) -> pd.DataFrame:
    priced = [(run.design, run.priced.energy) for run in group if run.priced]
    ordered = sorted(priced, key=lambda each: each[1].nominal)
    rows = [
        (name, place, Estimate(*map(ENERGY.of, (span.nominal, span.low, span.high))))
        for place, (name, span) in enumerate(ordered, 1)
    ]
    return pd.DataFrame(rows, columns=["design", "rank", ENERGY.head("energy")])


def _turns(found: Sequence[Pair]) -> pd.DataFrame:
    """A row a pair; what turns no order has no value."""
    rows = []
    for pair in found:
        values = {turn.quantity: turn.value for turn in pair.found.turns if turn.unit}
        robust = "yes" if pair.found.is_robust else "no"
        rows.append((*pair.names, values["always-on power"], values["DRAM price"], robust))
    heading = ["design", "other", "turns at always-on power (mW)", "turns at DRAM price (pJ/bit)"]
    return pd.DataFrame(rows, columns=[*heading, "same order over all bounds"], dtype=object)


def _ratios(found: Sequence[Pair]) -> pd.DataFrame:
    rows = []
    for pair in found[:MOST_PAIRS]:
        low, nominal, high = ratio_span(pair.one, pair.other)
        rows.append((*pair.names, Estimate(nominal, low, high)))
    return pd.DataFrame(rows, columns=["energy of", "over that of", "ratio"])
