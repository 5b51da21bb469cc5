"""The energy of a finished result between its bounds: by part, action and cause, as one design."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import ValidationError

from simulator.architecture import Architecture
from simulator.energy.break_even import Design
from simulator.energy.machine import ALWAYS_ON
from simulator.energy.pricing import EnergyTable, table_names
from simulator.energy.spans import Span, total
from simulator.errors import ResultError
from simulator.results.columns import Table, numbers, rows_of, words
from simulator.results.priced import BOUNDS
from simulator.results.repricing import reprice
from simulator.results.result import Result

DRAM = "memories.dram"
FIRST_SWITCHES = {"terms": [], "sram_cells": "lstp_300k", "dram_power": "table"}
"""How machines were priced before these were fields of `technology`."""


class IntervalEntry(NamedTuple):
    """Mean energy of an image in pJ, of a part's action or of what it draws all the time."""

    part: str
    action: str
    cause: str
    energy_pj: Span


class Intervals(NamedTuple):
    """Hold the entries of a result, and the mean latency of an image that is alone."""

    entries: tuple[IntervalEntry, ...]
    latency_ms: float

    @property
    def total_pj(self) -> Span:
        """Return the energy of an image."""
        return total(entry.energy_pj for entry in self.entries)

    @property
    def power_mw(self) -> Span:
        """Return the power of the machine while it runs, its DRAM included: pJ / ms = nW."""
        return self.total_pj.times(1e-6 / self.latency_ms)

    @property
    def chip_power_mw(self) -> Span:
        """Return the power of the chip while it runs, without DRAM."""
        on_chip = total(entry.energy_pj for entry in self.entries if entry.part != DRAM)
        return on_chip.times(1e-6 / self.latency_ms)

    def by_part(self) -> dict[str, Span]:
        """Return each part's energy, the largest nominal one first."""
        return self._by(lambda entry: entry.part)

    def by_cause(self) -> dict[str, Span]:
        """Return the energy by cause, the largest nominal one first."""
        return self._by(lambda entry: entry.cause)

    def _by(self, key: Callable[[IntervalEntry], str]) -> dict[str, Span]:
        groups: dict[str, list[Span]] = {}
        for entry in self.entries:
            groups.setdefault(key(entry), []).append(entry.energy_pj)
        sums = {name: total(each) for name, each in groups.items()}
        return dict(sorted(sums.items(), key=lambda item: -item[1].nominal))


def has_bounds(result: Result) -> bool:
    """Return whether a result holds its energies with their bounds: not if it is an old one."""
    return rows_of(result.columns("energies")) > 0


def intervals(result: Result) -> Intervals:
    """Return a result's energy with its bounds. Raises ResultError for one without."""
    if not has_bounds(result):
        raise ResultError("energies", "holds no bounds: price the result again (simulator.reprice)")
    return intervals_of(result.columns("energies"), result.columns("images"))


def intervals_of(table: Table, images: Table) -> Intervals:
    """Return the energies of a table `energies` of these images."""
    count = rows_of(images)
    columns = {name: words(table, name).tolist() for name in ("part", "action", "cause")}
    named = list(zip(*columns.values(), strict=True))
    places: dict[tuple[str, str, str], int] = {}
    row = np.array([places.setdefault(name, len(places)) for name in named], np.int64)
    means = [np.bincount(row, numbers(table, name)) / count for name in BOUNDS]
    entries = [
        IntervalEntry(*name, Span(*(float(each[place]) for each in means)))
        for name, place in places.items()
    ]
    alone = numbers(images, "latency_ms") / numbers(images, "images_together")
    return Intervals(tuple(entries), math.fsum(alone.tolist()) / count)


def design_of(result: Result, found: Intervals | None = None) -> Design:
    """Return a result's mean image as a design to compare with others."""
    own = found or intervals(result)
    dram = [entry for entry in own.entries if entry.part == DRAM]
    bits = 8 * float(numbers(result.columns("images"), "dram_bytes").mean())
    always = [entry.energy_pj for entry in own.entries if entry.action == ALWAYS_ON]
    return Design(
        causes=own.by_cause(),
        chip=total(
            entry.energy_pj
            for entry in own.entries
            if entry.part != DRAM and entry.action != ALWAYS_ON
        ),
        dram=total(entry.energy_pj for entry in dram if entry.action != ALWAYS_ON),
        power=total(always),
        dram_bits=bits,
        latency_ms=own.latency_ms,
    )


def with_prices(result: Result, switches: Mapping[str, Any]) -> Result:
    """Return the result under other fields of `technology`; the rest stays its own."""
    return reprice(result, machine_of(result, switches))


def node_of(table: str) -> dict[str, Any]:
    """Return the field of `technology` that a table of another node sets with itself."""
    return {"node_nm": EnergyTable.load(table).node_nm}


def with_bounds(result: Result) -> Result:
    """Return a result that holds bounds: an old one is priced again as it was."""
    return result if has_bounds(result) else with_prices(result, {})


def machine_of(result: Result, switches: Mapping[str, Any]) -> Architecture:
    """Return the machine that a result holds, with other fields of `technology`.

    Raises ResultError for an energy table that is neither built in nor among `switches`.
    """
    facts = result.provenance["architecture"]
    if "technology" not in facts["document"]:
        raise ResultError("architecture.document", "is missing", "simulate with this version")
    document: dict[str, Any] = dict(facts["document"])
    own = document["technology"]["energy_table"]
    changed = dict(switches)
    if "energy_table" not in changed and own not in table_names():
        raise ResultError(f"energy table {own}: is not built in: name its file (--table)")
    if "energy_table" in changed and changed["energy_table"] not in table_names():
        changed["energy_table"] = str(Path(changed["energy_table"]).resolve())
    technology = {**FIRST_SWITCHES, **document["technology"], **changed}
    # A result of before may state any voltage: prices are those of the table.
    document["technology"] = technology | {"voltage_v": None}
    try:
        return Architecture.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(each) for each in first["loc"])
        raise ResultError("architecture.document", place, first["msg"]) from None
