"""Counts and prices for a page whose prices can be dragged, and the cards that follow them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from reports.figures.base import PALETTE, WORKLOAD, Card, Plot, Plots, Run, by_workload
from reports.texts import text, texts
from simulator.energy.break_even import compare, ratio_span
from simulator.energy.pricing import table_names
from simulator.energy.spans import sram_cells
from simulator.errors import SimulatorError
from simulator.results.intervals import IntervalEntry, machine_of, node_of
from simulator.results.moved import DRAM_BITS, dram_bits, is_pe_logic, leakage_by_cells, under
from simulator.results.result import Result
from simulator.results.units import ENERGY
from simulator.streams.statistics import Estimate

ENERGIES = "Energy"


def price_data(runs: Sequence[Run]) -> dict[str, Any]:
    """What the page computes energies from: for each run its entries under each energy table.

    An entry is part, action, cause, whether it is logic of a PE array, and its low, nominal and
    high mean energy in pJ.
    """
    kept = [run for run in runs if run.priced and _says_its_machine(run)]
    names = table_names() if kept else ()
    switches = {name: {"energy_table": name, **node_of(name)} for name in names}
    return {
        "tables": [*names],
        "cells": [*sram_cells()] if kept else [],
        "bits": DRAM_BITS,
        "palette": PALETTE,
        "texts": texts()["prices"] | {"axis": text("ranking", "axis")},
        "runs": [_run_data(run, switches) for run in kept],
    }


def _says_its_machine(run: Run) -> bool:
    """Whether a result holds the machine whose prices could be moved: not if it is an old one."""
    try:
        machine_of(run.result, {})
    except SimulatorError:
        return False
    return True


def _run_data(run: Run, tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    result, own = run.result, run.result.provenance["architecture"]["document"]["technology"]
    priced = {"": _entries(result, {})}
    for name, switches in tables.items():
        try:
            priced[name] = _entries(result, switches)
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


def _entries(result: Result, switches: Mapping[str, Any]) -> dict[str, Any]:
    machine = machine_of(result, switches)
    found = under(result, machine)
    cells = leakage_by_cells(result, machine)
    return {
        "entries": [[*_named(entry), is_pe_logic(entry)] for entry in found.entries],
        "cells": {name: [_named(entry) for entry in each] for name, each in cells.items()},
    }


def _named(entry: IntervalEntry) -> list[Any]:
    return [entry.part, entry.action, entry.cause, *entry.energy_pj]


def price_cards(runs: Sequence[Run]) -> list[Card]:
    """Ranking, break-evens and the map of a ratio; the page draws them at the prices it shows."""
    kept = by_workload([run for run in runs if run.priced])
    groups = {workload: group for workload, group in kept.items() if len(group) > 1}
    if not groups:
        return []
    makers = (("ranking", _ranking), ("break-evens", _break_evens), ("ratio-map", _ratios))
    cards = []
    for name, make in makers:
        plots: Plots = {
            (workload,): Plot(text(name), None, make(group)) for workload, group in groups.items()
        }
        cards.append(Card(name, text(name, "title"), ENERGIES, (WORKLOAD,), plots))
    return cards


def _ranking(group: Sequence[Run]) -> pd.DataFrame:
    priced = [(run.design, run.priced.energy) for run in group if run.priced]
    ordered = sorted(priced, key=lambda each: each[1].nominal)
    rows = [
        (name, place, Estimate(*map(ENERGY.of, (span.nominal, span.low, span.high))))
        for place, (name, span) in enumerate(ordered, 1)
    ]
    return pd.DataFrame(rows, columns=["design", "rank", ENERGY.head("energy")])


def _break_evens(group: Sequence[Run]) -> pd.DataFrame:
    rows = []
    for place, one in enumerate(group):
        for other in group[:place]:
            if one.priced and other.priced:
                found = compare(other.priced, one.priced)
                values = {turn.quantity: turn.value for turn in found.turns if turn.unit}
                power_w = values["always-on power"]
                rows.append(
                    (
                        other.design,
                        one.design,
                        None if power_w is None else 1e3 * power_w,
                        values["DRAM price"],
                        "yes" if found.is_robust else "no",
                    )
                )
    heading = ["design", "other", "turns at always-on power (mW)", "turns at DRAM price (pJ/bit)"]
    return pd.DataFrame(rows, columns=[*heading, "same order over all bounds"], dtype=object)


def _ratios(group: Sequence[Run]) -> pd.DataFrame:
    first = group[0]
    rows = []
    for run in group[1:]:
        if first.priced and run.priced:
            low, nominal, high = ratio_span(first.priced, run.priced)
            rows.append((first.design, run.design, Estimate(nominal, low, high)))
    return pd.DataFrame(rows, columns=["energy of", "over that of", "ratio"])
