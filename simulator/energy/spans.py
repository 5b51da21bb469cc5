"""Low, nominal and high energies: a table's price is nominal, its bounds are other sources'.

A price is kept by cause: the operation, DRAM standard or term that it is due to. Two designs pay
for a cause at the same place between its bounds, so what turns their order can be named.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from simulator.components.base import Action, Primitive
from simulator.config.shipped import records
from simulator.energy.pricing import DRAM_OPERATIONS, TABLES, EnergyTable
from simulator.errors import PricingError

OVERRIDE = "override"
"""The cause of a price of the user's own, which has no bounds."""


class Span(NamedTuple):
    """Hold a quantity with what bounds it; each of its own unit."""

    low: float
    nominal: float
    high: float

    def times(self, factor: float) -> Span:
        """Return the span of a multiple, of 0 or more."""
        return Span(*(factor * each for each in self))


NOTHING = Span(0.0, 0.0, 0.0)


def total(spans: Iterable[Span]) -> Span:
    """Return the sum of spans; each of its three is rounded once."""
    found = list(spans)
    return Span(*(math.fsum(each) for each in zip(*found, strict=True))) if found else NOTHING


class Bound(NamedTuple):
    """Hold lowest and highest over nominal, and where both are from."""

    low: float
    high: float
    low_source: str
    high_source: str


class DramPower(NamedTuple):
    """Describe a channel by its state, from IDD currents: pJ a bit, pJ a row, mW."""

    technology: str
    read_pj_per_bit: float
    write_pj_per_bit: float
    activate_pj: float
    refresh_mw: float
    active_mw: float
    precharged_mw: float
    power_down_mw: float
    source: str


class SramCells(NamedTuple):
    """Hold the leakage of SRAM cells over that of the tables' own, with its bounds."""

    low: float
    nominal: float
    high: float
    source: str

    @property
    def factor(self) -> Span:
        """What the tables' leakage is multiplied by."""
        return Span(self.low, self.nominal, self.high)


@lru_cache(maxsize=1)
def bounds() -> dict[tuple[str, str, str], Bound]:
    """Return the bounds by (operation, technology, family); an empty text is any."""
    return records(TABLES / "bounds.csv", Bound, "operation", "technology", "family")


@lru_cache(maxsize=1)
def dram_parts() -> dict[str, DramPower]:
    """Return the named DRAM parts; the first of a standard is its default."""
    return records(TABLES / "dram_power.csv", DramPower, "part")


@lru_cache(maxsize=1)
def sram_cells() -> dict[str, SramCells]:
    """Return the leakage of each kind of cells."""
    return records(TABLES / "sram_cells.csv", SramCells, "cells")


def bound_of(primitive: Primitive, family: str) -> Bound:
    """Return the bound of a primitive's price. Raises PricingError where none is listed."""
    listed = bounds()
    for technology in (primitive.technology, ""):
        for of_family in (family, ""):
            found = listed.get((primitive.operation, technology, of_family))
            if found:
                return found
    name = " ".join(filter(None, (primitive.operation, primitive.technology)))
    raise PricingError("bounds.csv", name, f"has no bounds for the family {family}")


def cause_of(primitive: Primitive) -> str:
    """Return the cause of a primitive's price: reads and writes of a DRAM share theirs."""
    if primitive.operation in DRAM_OPERATIONS:
        return f"dram {primitive.technology}"
    return primitive.operation


def price_causes(table: EnergyTable, action: Action, name: str) -> dict[str, Span]:
    """Return what doing an action once costs, by cause."""
    if name in table.overrides:
        return {OVERRIDE: Span(*[table.overrides[name].energy_pj] * 3)}
    found: dict[str, list[Span]] = {}
    for primitive in action.primitives:
        energy_pj = primitive.times * table.price(primitive).energy_pj
        bound = bound_of(primitive, table.family)
        span = Span(bound.low * energy_pj, energy_pj, bound.high * energy_pj)
        found.setdefault(cause_of(primitive), []).append(span)
    return {cause: total(each) for cause, each in found.items()}
