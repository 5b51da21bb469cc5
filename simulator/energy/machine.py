"""What a machine's actions cost and what it draws all the time: its prices, looked up once."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from simulator.architecture import Architecture
from simulator.components.base import Action
from simulator.config.arrays import Ints
from simulator.energy.derived import action_energy_pj, latency_ms, leakage_energy_pj, sums_pj
from simulator.energy.logic import Price
from simulator.energy.pricing import EnergyTable
from simulator.energy.spans import Span, price_causes, sram_cells, total
from simulator.energy.terms import Term, dram_part, terms_of
from simulator.errors import PricingError

ALWAYS_ON = "always on"
"""The action of power that a part draws as long as the machine is on."""
SRAM_LEAKAGE = "sram_leakage"
_OF_A_CORE = re.compile(r"^cores\.\d+\.")


class ActionPrice(NamedTuple):
    """Hold the energy of an action done once: nominal, its bounds, by cause, and its source."""

    energy_pj: float
    low_pj: float
    high_pj: float
    causes: Mapping[str, Span]
    source: str


NOT_PRICED = ActionPrice(0.0, 0.0, 0.0, {}, "not priced")


class Power(NamedTuple):
    """Hold what a part draws as long as the machine is on, by cause."""

    part: str
    cause: str
    power_uw: Span
    source: str


class MachinePrices:
    """Hold the prices of a machine's actions and its power, with bounds and sources.

    `actions`: price by "part.action"; `price_pj`: the bare number by (part, action); `meanings`:
    each action in words; `always_on`: power x time. Raises PricingError if the table is of another
    node, an action has no price in it, or a term cannot be applied.
    """

    def __init__(self, architecture: Architecture, *, time_only: bool = False) -> None:
        """Look all prices up; `time_only`: of a machine with a part that has none, all are 0."""
        self.time_only = time_only
        self.table = energy_table(architecture)
        self.clock_mhz = architecture.clock_mhz
        self.technology = architecture.technology
        actions = {
            f"{path}.{name}": action
            for path, part in architecture.parts()
            for name, action in part.actions().items()
        }
        self.table = _for_all_cores(self.table, actions)
        self.table.check_overrides(actions)
        self.actions = dict.fromkeys(actions, NOT_PRICED)
        self.always_on: tuple[Power, ...] = ()
        if not time_only:
            # First, as it names all actions without a price: a term may ask for one's area.
            listed = self.table.prices(actions)
            found = terms_of(architecture, self.table)
            self.actions = _priced(self.table, actions, listed, found)
            self.always_on = (*self._sram(architecture), *_drawn(found))
        self.dram_part = dram_part(architecture)
        self.price_pj = {
            (name.rpartition(".")[0], name.rpartition(".")[2]): price.energy_pj
            for name, price in self.actions.items()
        }
        self.meanings = {name: action.meaning for name, action in actions.items()}

    def _sram(self, architecture: Architecture) -> tuple[Power, ...]:
        """Return the leakage of all SRAM banks, of the machine's cells."""
        cells = sram_cells()[self.technology.sram_cells]
        powers = []
        for path, part in architecture.parts():
            if part.leakage():
                leak = self.table.total_leakage(part.leakage())
                source = f"{leak.source}; {self.technology.sram_cells}: {cells.source}"
                powers.append(Power(path, SRAM_LEAKAGE, cells.factor.times(leak.power_uw), source))
        return tuple(powers)

    @property
    def switches(self) -> dict[str, Any]:
        """What was chosen beyond the table, for a result to name."""
        return {
            "terms": list(self.technology.terms),
            "sram_cells": self.technology.sram_cells,
            "dram_power": self.dram_part or "table",
        }

    def layer_energies_pj(self, actions: Sequence[tuple[str, str]], counts: Ints) -> list[float]:
        """Return the dynamic energy of each layer from counts (layer, action)."""
        each_pj = np.array([self.price_pj[key] for key in actions], np.float64)
        of_layer = np.repeat(np.arange(len(counts)), len(actions))
        energies = action_energy_pj(counts, each_pj).ravel()
        by_layer: list[float] = sums_pj(energies, of_layer, len(counts)).tolist()
        return by_layer

    @property
    def power_uw(self) -> float:
        """Power of all parts as long as the machine is on."""
        return sum(each.power_uw.nominal for each in self.always_on)

    def leakage_pj(self, latency_cycles: int) -> float:
        """Return the always-on energy of some cycles."""
        return float(leakage_energy_pj(self.power_uw, latency_ms(latency_cycles, self.clock_mhz)))


def _for_all_cores(table: EnergyTable, actions: Iterable[str]) -> EnergyTable:
    """Return the table with overrides that name no core given to the part of every core.

    An override of one core's part comes before that of all.
    """
    if not table.overrides:
        return table
    full: dict[str, list[str]] = {}
    for name in actions:
        full.setdefault(_OF_A_CORE.sub("", name), []).append(name)
    spread = {
        name: override
        for given, override in table.overrides.items()
        for name in full.get(given, ())
    }
    # Those that no part has stay, for their error.
    kept = {name: each for name, each in table.overrides.items() if name not in full}
    return dataclasses.replace(table, overrides=spread | kept)


def _priced(
    table: EnergyTable,
    actions: Mapping[str, Action],
    listed: Mapping[str, Price],
    found: Mapping[str, Term],
) -> dict[str, ActionPrice]:
    """Return the price of each action under all terms; none touches a price of the user's own.

    `listed`: the table's own prices.
    """
    prices = {}
    for name, price in listed.items():
        causes = price_causes(table, actions[name], name)
        nominal, sources = price.energy_pj, [price.source]
        own = {} if name in table.overrides else found
        for term_name, term in own.items():
            if name in term.replaced_pj:
                causes, sources = {term_name: term.replaced_pj[name]}, [term.source]
                nominal = term.replaced_pj[name].nominal
        for term_name, term in own.items():
            if name in term.added_pj:
                causes[term_name] = term.added_pj[name]
                nominal += term.added_pj[name].nominal
                sources.append(f"{term_name}: {term.source}")
        span = total(causes.values())
        source = "; ".join(filter(None, sources))
        prices[name] = ActionPrice(nominal, span.low, span.high, causes, source)
    return prices


def _drawn(found: Mapping[str, Term]) -> list[Power]:
    return [
        Power(path, name, power, term.source)
        for name, term in found.items()
        for path, power in term.power_uw.items()
    ]


def energy_table(architecture: Architecture) -> EnergyTable:
    """Return the table that a machine names, for the node that the machine states."""
    name = architecture.technology.energy_table
    path = architecture.folder / name
    table = EnergyTable.load(path) if name.endswith((".yaml", ".yml")) else _built_in(name)
    if table.node_nm != architecture.technology.node_nm:
        raise PricingError(
            f"{architecture.name}: technology.energy_table: {name} is for {table.node_nm} nm: must "
            f"be for technology.node_nm, {architecture.technology.node_nm}"
        )
    if architecture.technology.voltage_v not in (None, table.voltage_v):
        raise PricingError(
            f"{architecture.name}: technology.voltage_v: {architecture.technology.voltage_v:g}: "
            f"must be {table.voltage_v:g}, that of the energy table {name}, or be left out: prices "
            "are carried to no other voltage, nor is the clock that goes with one"
        )
    return table


@cache
def _built_in(name: str) -> EnergyTable:
    """A table that comes with the simulator; a search asks for it at every point."""
    return EnergyTable.load(name)
