"""A result's energies with a few prices moved by hand: what `simulator.reprice` and pages offer.

Energy is counts times prices, so a moved price changes entries of `Intervals` and nothing else. The
page does the same steps in the same order (reports/templates/prices.js), to the last digit.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from simulator.architecture import Architecture
from simulator.energy.derived import action_energy_pj, leakage_energy_pj
from simulator.energy.machine import ALWAYS_ON, SRAM_LEAKAGE, MachinePrices
from simulator.energy.spans import Span, sram_cells
from simulator.errors import PricingError
from simulator.results.columns import numbers, words
from simulator.results.intervals import DRAM, IntervalEntry, Intervals, intervals_of
from simulator.results.priced import energies, kinds_of
from simulator.results.result import Result

DRAM_BITS = ("read_bit", "write_bit")
SRAM_CAUSES = ("sram_read", "sram_write")
CHIP, BY_HAND = "chip", "by hand"
"""Part and cause of power that is set by hand."""
UW_PER_MW = 1e3


class PriceSetting(NamedTuple):
    """Hold prices that are set by hand; the defaults leave everything as its sources say.

    `dram_pj_per_bit`: of every bit that the DRAM reads or writes, its rows included, None for the
    machine's own.
    `dram_standby_mw`, `always_on_mw`: drawn by the DRAM and by the chip as long as the machine is
    on, beside what is priced already. `sram_factor`: of every SRAM access. `pe_factor`: of all
    logic of the PE arrays.
    """

    dram_pj_per_bit: float | None = None
    dram_standby_mw: float = 0.0
    always_on_mw: float = 0.0
    sram_factor: float = 1.0
    pe_factor: float = 1.0

    def checked(self) -> PriceSetting:
        """Return the setting. Raises PricingError for a value that is no number of 0 or more."""
        for name, value in self._asdict().items():
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise PricingError(name, value, "must be a number of 0 or more")
        return self


def dram_bits(result: Result) -> dict[str, float]:
    """Return the bits that a mean image reads from DRAM and writes to it."""
    actions = result.columns("actions")
    part, action = words(actions, "part"), words(actions, "action")
    counts, images = numbers(actions, "count"), result.images
    here = part.where(DRAM)
    return {name: int(counts[here & action.where(name)].sum()) / images for name in DRAM_BITS}


def moved(found: Intervals, bits: dict[str, float], setting: PriceSetting) -> Intervals:
    """Return the energies under a setting; `bits`: of the DRAM, by action."""
    entries = [_moved(entry, bits, setting) for entry in _once(found.entries, setting)]
    for part, power_mw in ((DRAM, setting.dram_standby_mw), (CHIP, setting.always_on_mw)):
        if power_mw:
            energy = float(leakage_energy_pj(UW_PER_MW * power_mw, found.latency_ms))
            entries.append(IntervalEntry(part, ALWAYS_ON, BY_HAND, Span(energy, energy, energy)))
    return found._replace(entries=tuple(entries))


def _once(entries: tuple[IntervalEntry, ...], setting: PriceSetting) -> list[IntervalEntry]:
    """Leave what is still paid where a bit has a set price: an entry for reads, one for writes.

    Their other causes, and the rows that they open, are in the price of the bit.
    """
    if setting.dram_pj_per_bit is None:
        return list(entries)
    kept: list[IntervalEntry] = []
    seen: set[str] = set()
    for entry in entries:
        is_dram = entry.part == DRAM and entry.action != ALWAYS_ON
        if not is_dram or (entry.action in DRAM_BITS and entry.action not in seen):
            kept.append(entry)
        if is_dram:
            seen.add(entry.action)
    return kept


def _moved(entry: IntervalEntry, bits: dict[str, float], setting: PriceSetting) -> IntervalEntry:
    price = setting.dram_pj_per_bit
    if price is not None and entry.part == DRAM and entry.action in DRAM_BITS:
        energy = float(action_energy_pj(bits[entry.action], price))
        return entry._replace(energy_pj=Span(energy, energy, energy))
    if entry.cause in SRAM_CAUSES:
        return entry._replace(energy_pj=entry.energy_pj.times(setting.sram_factor))
    if is_pe_logic(entry):
        return entry._replace(energy_pj=entry.energy_pj.times(setting.pe_factor))
    return entry


def is_pe_logic(entry: IntervalEntry) -> bool:
    """Return whether an entry is of the logic of a PE array: neither SRAM nor power."""
    place = entry.part.rpartition(".")[2] == "pe_array" or ".engines." in entry.part
    return place and entry.action != ALWAYS_ON and entry.cause not in SRAM_CAUSES


def under(result: Result, machine: Architecture) -> Intervals:
    """Return the energies that pricing a result as this machine would give."""
    prices, images = MachinePrices(machine), result.columns("images")
    counted = result.columns("actions")
    times_ms = numbers(images, "latency_ms") / numbers(images, "images_together")
    table = energies(images, counted, kinds_of(counted, prices), prices, times_ms)
    return intervals_of(table, images)


def leakage_by_cells(result: Result, machine: Architecture) -> dict[str, list[IntervalEntry]]:
    """Return the entries of the SRAM's leakage for each kind of cells."""
    table, images = MachinePrices(machine).table, result.columns("images")
    times_ms = numbers(images, "latency_ms") / numbers(images, "images_together")
    amounts, count = leakage_energy_pj(1.0, times_ms), result.images
    found: dict[str, list[IntervalEntry]] = {name: [] for name in sram_cells()}
    for path, part in machine.parts():
        if part.leakage():
            power_uw = table.total_leakage(part.leakage()).power_uw
            for name, cells in sram_cells().items():
                spans = cells.factor.times(power_uw)
                means = (
                    np.bincount(np.zeros(len(amounts), np.int64), action_energy_pj(amounts, each))
                    for each in spans
                )
                span = Span(*(float(each[0] / count) for each in means))
                found[name].append(IntervalEntry(path, ALWAYS_ON, SRAM_LEAKAGE, span))
    return found
