"""The energy of a finished result between low and high prices, by part and action.

Follows from the counts and the machine that a result holds, so older results have it too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from simulator.architecture import Architecture
from simulator.energy.derived import action_energy_pj, leakage_energy_pj
from simulator.energy.machine import MachinePrices
from simulator.energy.pricing import table_names
from simulator.energy.spans import NOTHING, SRAM_CELLS, Span, leakage_span, price_span
from simulator.energy.terms import Setting, Term, added, terms
from simulator.errors import ResultError
from simulator.results.result import Result

AT_REST = "at rest"
"""The action of power that is drawn as long as the machine is on."""
DRAM = "memories.dram"


class Entry(NamedTuple):
    """Mean energy of an image in pJ: of a part's action, or of a part at rest."""

    part: str
    action: str
    energy_pj: Span
    term: str = ""
    """The term that it is of; empty for what the result's own energies hold."""


class Intervals(NamedTuple):
    """Entries with the switches that they were made under."""

    entries: tuple[Entry, ...]
    table: str
    cells: str
    terms: tuple[str, ...]
    latency_ms: float

    @property
    def total_pj(self) -> Span:
        """The energy of an image."""
        return _total([entry.energy_pj for entry in self.entries])

    @property
    def power_mw(self) -> Span:
        """The power of the machine while it runs, its DRAM included: pJ / ms = nW."""
        return self.total_pj.times(1e-6 / self.latency_ms)

    @property
    def chip_power_mw(self) -> Span:
        """The power of the chip while it runs, without DRAM."""
        on_chip = [entry.energy_pj for entry in self.entries if entry.part != DRAM]
        return _total(on_chip).times(1e-6 / self.latency_ms)

    def by_part(self) -> dict[str, Span]:
        """Each part's energy, the largest nominal one first."""
        parts: dict[str, Span] = {}
        for entry in self.entries:
            parts[entry.part] = parts.get(entry.part, NOTHING).plus(entry.energy_pj)
        return dict(sorted(parts.items(), key=lambda item: -item[1].nominal))


def intervals(
    result: Result, names: Sequence[str] = (), cells: str = SRAM_CELLS, table: str = ""
) -> Intervals:
    """Return a result's energy with its bounds.

    `names`: terms beyond actions and SRAM leakage; `cells`: of the SRAM's leakage; `table`: another
    energy table, by name or path. Raises PricingError, or ResultError for a table that is neither
    built in nor given.
    """
    architecture = machine_of(result, table)
    prices = MachinePrices(architecture)
    images = result.tables["images"]
    mean_ms = float(images["latency_ms"].mean())
    setting = Setting(architecture, prices.table, _dram_busy(result))
    found = terms(tuple(names), setting)
    entries = _counted(result, architecture, prices, found)
    for path, part in architecture.parts():
        if part.leakage():
            power = leakage_span(prices.table, part.leakage(), cells)
            entries.append(Entry(path, AT_REST, _drawn(power, mean_ms)))
    for name, term in found.items():
        for path, power in term.power_uw.items():
            entries.append(Entry(path, AT_REST, _drawn(power, mean_ms), name))
    return Intervals(tuple(entries), prices.table.name, cells, tuple(names), mean_ms)


def _counted(
    result: Result, architecture: Architecture, prices: MachinePrices, found: Mapping[str, Term]
) -> list[Entry]:
    """Return the entries of all counted actions that have a price."""
    parts, entries = dict(architecture.parts()), []
    table = result.tables["actions"]
    totals: dict[tuple[str, str], int] = {}
    keys = zip(table["part"].tolist(), table["action"].tolist(), strict=True)
    for key, count in zip(keys, table["count"].tolist(), strict=True):
        totals[key] = totals.get(key, 0) + count
    for (part, action), total in totals.items():
        name = f"{part}.{action}"
        if part not in parts or action not in parts[part].actions():
            raise ResultError(f"actions: {name}: must be an action of the result's machine")
        own = price_span(prices.table, parts[part].actions()[action], name).plus(added(found, name))
        mean = total / result.images
        energy = Span(*(float(action_energy_pj(mean, each)) for each in own))
        if energy != NOTHING:
            entries.append(Entry(part, action, energy))
    return entries


def machine_of(result: Result, table: str = "") -> Architecture:
    """Return the machine that a result holds, with another energy table if one is named."""
    told = result.provenance["architecture"]
    if "document" not in told:
        raise ResultError("architecture.document: is missing: simulate with this version")
    name = table or str(told["document"]["technology"]["energy_table"])
    if not table and name not in table_names():
        raise ResultError(f"energy table {name}: is not built in: name its file (--table)")
    if table and table not in table_names():
        name = str(Path(table).resolve())
    document: dict[str, Any] = dict(told["document"])
    document["technology"] = document["technology"] | {"energy_table": name}
    try:
        return Architecture.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(each) for each in first["loc"])
        raise ResultError(f"architecture.document: {place}: {first['msg']}") from None


def _dram_busy(result: Result) -> float:
    """Return the share of the time in which the DRAM is busy."""
    units, images = result.tables["units"], result.tables["images"]
    own = units[units["unit"] == "dram"]
    servers = own["servers"].max() if len(own) else 1
    return float(own["busy_cycles"].sum() / (servers * images["latency_cycles"].sum()))


def _drawn(power_uw: Span, latency_ms: float) -> Span:
    return Span(*(float(leakage_energy_pj(each, latency_ms)) for each in power_uw))


def _total(spans: Sequence[Span]) -> Span:
    return Span(*(math.fsum(each) for each in zip(*spans, strict=True))) if spans else NOTHING


class Side(NamedTuple):
    """A design's mean image as a line over always-on power and DRAM price."""

    rest_pj: Span
    """What depends on neither."""
    dram_bits: float
    latency_ms: float


def side_of(result: Result, found: Intervals) -> Side:
    """Return the energy of a result without DRAM, and what a DRAM price and a power multiply."""
    rest = [entry.energy_pj for entry in found.entries if entry.part != DRAM]
    bits = 8 * float(result.tables["images"]["dram_bytes"].mean())
    return Side(_total(rest), bits, found.latency_ms)


class BreakEven(NamedTuple):
    """Where the order of two designs turns: nominal else; None where it does not, above 0.

    `first_below`: whether the first is the cheaper one below the value.
    """

    quantity: str
    unit: str
    value: float | None
    first_below: bool


def break_evens(one: Side, other: Side, dram_pj_per_bit: float) -> tuple[BreakEven, BreakEven]:
    """Return the always-on power at this DRAM price, and the DRAM price without such a power."""
    rest_pj = one.rest_pj.nominal - other.rest_pj.nominal
    bits, ms = one.dram_bits - other.dram_bits, one.latency_ms - other.latency_ms
    total_pj = rest_pj + dram_pj_per_bit * bits
    # 1 W for 1 ms is 1e9 pJ.
    return (
        _turn("always-on power", "W", total_pj, 1e9 * ms),
        _turn("DRAM price", "pJ/bit", rest_pj, bits),
    )


def _turn(quantity: str, unit: str, at_zero: float, slope: float) -> BreakEven:
    value = -at_zero / slope if slope else 0.0
    turns = slope != 0 and value > 0
    return BreakEven(quantity, unit, value if turns else None, at_zero < 0)


def is_robust(one: Intervals, other: Intervals) -> bool:
    """Return whether one design is cheaper at low, nominal and high prices alike.

    Both take the same prices, so low is compared with low. Prices that move against each other
    can still turn the order: see `break_evens`.
    """
    pairs = zip(one.total_pj, other.total_pj, strict=True)
    return len({first < second for first, second in pairs}) == 1
