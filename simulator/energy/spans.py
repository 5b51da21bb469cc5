"""Low, nominal and high energies: what is known of each price, and terms that tables leave out.

A table's price is the nominal one. `Bounds` says how far other sources are from it. A term is
power or energy that no count of the simulation holds (logic leakage, clock, wires, standby): a
named switch, off by default, with its own low, nominal and high.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from simulator.components.base import Action, Primitive
from simulator.config.wording import suggestion
from simulator.energy.pricing import TABLES, EnergyTable
from simulator.errors import PricingError

SRAM_CELLS = "lstp_300k"
"""Cells and temperature of the tables' own SRAM leakage."""


class Span(NamedTuple):
    """A quantity with what bounds it; each of its own unit."""

    low: float
    nominal: float
    high: float

    def plus(self, other: Span) -> Span:
        """Return the sum: low with low, high with high."""
        return Span(*(one + two for one, two in zip(self, other, strict=True)))

    def times(self, factor: float) -> Span:
        """Return the span of a multiple, of 0 or more."""
        return Span(*(factor * each for each in self))


NOTHING = Span(0.0, 0.0, 0.0)


class Bound(NamedTuple):
    """Lowest and highest over nominal, and where both are from."""

    low: float
    high: float
    low_source: str
    high_source: str


class DramPower(NamedTuple):
    """A channel by its state, from IDD currents: pJ a bit, pJ a row, mW."""

    technology: str
    read_pj_per_bit: float
    write_pj_per_bit: float
    activate_pj: float
    refresh_mw: float
    active_mw: float
    precharged_mw: float
    power_down_mw: float
    source: str


@lru_cache(maxsize=1)
def bounds() -> dict[tuple[str, str, str], Bound]:
    """Return the bounds by (operation, technology, family); an empty text is any."""
    return {
        (row["operation"], row["technology"], row["family"]): Bound(
            float(row["low"]), float(row["high"]), row["low_source"], row["high_source"]
        )
        for row in _rows("bounds.csv")
    }


@lru_cache(maxsize=1)
def dram_parts() -> dict[str, DramPower]:
    """Return the named DRAM parts."""
    return {row["part"]: _dram_power(row) for row in _rows("dram_power.csv")}


def _dram_power(row: Mapping[str, str]) -> DramPower:
    return DramPower(
        technology=row["technology"],
        read_pj_per_bit=float(row["read_pj_per_bit"]),
        write_pj_per_bit=float(row["write_pj_per_bit"]),
        activate_pj=float(row["activate_pj"]),
        refresh_mw=float(row["refresh_mw"]),
        active_mw=float(row["active_mw"]),
        precharged_mw=float(row["precharged_mw"]),
        power_down_mw=float(row["power_down_mw"]),
        source=row["source"],
    )


@lru_cache(maxsize=1)
def sram_cells() -> dict[str, float]:
    """Return the leakage by cells and temperature, over that of the tables' own cells."""
    return {row["cells"]: float(row["factor"]) for row in _rows("sram_cells.csv")}


def bound_of(primitive: Primitive, family: str) -> Bound:
    """Return the bound of a primitive's price. Raises PricingError where none is listed."""
    listed = bounds()
    for technology in (primitive.technology, ""):
        for of_family in (family, ""):
            found = listed.get((primitive.operation, technology, of_family))
            if found:
                return found
    name = " ".join(filter(None, (primitive.operation, primitive.technology)))
    raise PricingError(f"bounds.csv: {name}: has no bounds for the family {family}")


def price_span(table: EnergyTable, action: Action, name: str) -> Span:
    """Return the energy of doing an action once; a price of the user's own is exact."""
    if name in table.overrides:
        return Span(*[table.overrides[name].energy_pj] * 3)
    total = NOTHING
    for primitive in action.primitives:
        energy_pj = primitive.times * table.price(primitive).energy_pj
        bound = bound_of(primitive, table.family)
        total = total.plus(Span(bound.low * energy_pj, energy_pj, bound.high * energy_pj))
    return total


def leakage_span(table: EnergyTable, banks: Iterable[Primitive], cells: str) -> Span:
    """Return the power at rest of SRAM banks in uW, of these cells at this temperature.

    The bounds are those of the table's own cells; cells that were chosen are their own bound.
    Raises PricingError for cells that are not listed.
    """
    known = sram_cells()
    if cells not in known:
        raise PricingError(f"cells {cells}: unknown {suggestion(cells, known)}")
    power_uw = table.total_leakage(banks).power_uw
    if cells != SRAM_CELLS:
        return Span(*[power_uw * known[cells]] * 3)
    bound = bound_of(Primitive("sram_leakage"), table.family)
    return Span(bound.low * power_uw, power_uw, bound.high * power_uw)


def _rows(name: str) -> list[dict[str, str]]:
    lines = (TABLES / name).read_text("utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))
