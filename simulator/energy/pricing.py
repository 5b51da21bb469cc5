"""Prices counted actions: energy = counts x table, applied once, after the simulation.

Every price says where it comes from. What a table does not hold is an error, never a guess: logic
is priced at a listed width (adds also between listed widths) or by a rule that the table names,
SRAM inside CACTI's grid, DRAM by its standard. See README.md for the tables and their sources.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from simulator.config.wording import shown, suggestion
from simulator.energy.logic import LogicPrices, Price
from simulator.energy.sram_grid import SramBank, SramGrid, read_sram_grid
from simulator.energy.table_file import (
    CompleteTable,
    DramPrice,
    Override,
    TableOnBase,
    read_table_file,
)
from simulator.errors import PricingError

if TYPE_CHECKING:
    from simulator.components.base import Action, Primitive

TABLES = Path(__file__).parent / "tables"
SRAM_OPERATIONS = ("sram_read", "sram_write")
DRAM_OPERATIONS = ("dram_read", "dram_write")
LEAKAGE_OPERATION = "sram_leakage"


class Leakage(NamedTuple):
    """Hold power that is drawn as long as the machine is on, and its source."""

    power_uw: float
    source: str


@dataclasses.dataclass(frozen=True, eq=False)
class EnergyTable:
    """Hold prices of one family of sources at one node and voltage; never scaled silently.

    Equal to itself alone, so that what follows from it can be kept.

    `dram` is keyed by standard, `overrides` by "component.action".
    """

    name: str
    summary: str
    family: str
    node_nm: int
    voltage_v: float
    logic: LogicPrices
    sram: SramGrid
    sram_source: str
    dram: Mapping[str, DramPrice]
    overrides: Mapping[str, Override]

    @classmethod
    def load(cls, name_or_path: str | Path) -> EnergyTable:
        """Return a table that comes with the simulator, by name, or one of the user's, by path.

        A text that ends in .yaml or .yml is a path. Raises PricingError for an unknown name, an
        unreadable file, and, all at once with their lines, for everything wrong in the file.
        """
        path = Path(name_or_path)
        if path.suffix not in (".yaml", ".yml"):
            if str(name_or_path) not in table_names():
                known = suggestion(name_or_path, table_names())
                raise PricingError(f"energy table {shown(str(name_or_path))}", f"unknown {known}")
            path = TABLES / f"{name_or_path}.yaml"
        written = read_table_file(path)
        if isinstance(written, CompleteTable):
            table = cls._complete(written, path.parent)
        else:
            if written.base not in table_names():
                known = suggestion(written.base, table_names())
                raise PricingError(path, "base", shown(written.base), f"unknown {known}")
            base = cls.load(written.base)
            table = dataclasses.replace(base, name=written.name, summary=written.summary)
        return table._overridden(written, path)

    @classmethod
    def _complete(cls, written: CompleteTable, folder: Path) -> EnergyTable:
        beside = folder / written.sram.csv
        grid = beside if beside.is_file() else TABLES / written.sram.csv
        voltage = written.sram.voltage_v
        supply = "supply not stated" if voltage is None else f"{voltage:g} V"
        logic = (each.price(written.scaling) for each in written.logic)
        listed = {(price.operation, price.bits): price for price in logic}
        return cls(
            name=written.name,
            summary=written.summary,
            family=written.family,
            node_nm=written.node_nm,
            voltage_v=written.voltage_v,
            logic=LogicPrices(written.name, listed, tuple(written.derived)),
            sram=read_sram_grid(grid, written.sram.node_nm, written.name),
            sram_source=f"{written.sram.source} [{written.sram.node_nm} nm, {supply}]",
            dram={each.technology: each for each in written.dram},
            overrides={},
        )

    def _overridden(self, written: TableOnBase | CompleteTable, path: Path) -> EnergyTable:
        given = written.overrides
        if given is None:
            return self
        if given.node_nm not in (None, self.node_nm):
            raise PricingError(
                f"{path}: overrides.node_nm: {given.node_nm}: must be the "
                f"table's {self.node_nm}: numbers of different nodes are never mixed"
            )
        overrides = {name: override for _, name, override in given.named()}
        return dataclasses.replace(self, overrides=overrides)

    def check_overrides(self, names: Iterable[str]) -> None:
        """Raise PricingError if an override names an action that is not among `names`."""
        known = set(names)
        unknown = sorted(set(self.overrides) - known)
        if unknown:
            lines = (f"{name} {suggestion(name, known)}" for name in unknown)
            raise PricingError(self.name, "overrides", "unknown action", "; ".join(lines))

    def price(self, primitive: Primitive) -> Price:
        """Return the energy of doing a primitive once; its `times` belong to the action.

        Raises PricingError if the table does not hold it.
        """
        found = self._known.get(primitive)
        if found is None:
            found = self._known[primitive] = self._looked_up(primitive)
        return found

    @cached_property
    def _known(self) -> dict[Primitive, Price]:
        """Prices that were looked up: those of a search's machines are mostly the same."""
        return {}

    def _looked_up(self, primitive: Primitive) -> Price:
        operation = primitive.operation
        if operation in SRAM_OPERATIONS:
            bank = self.sram_bank(primitive.size_kib, primitive.width_bits)
            energy_pj = bank.read_pj if operation == "sram_read" else bank.write_pj
            return Price(energy_pj, self._sram_provenance(primitive))
        if operation in DRAM_OPERATIONS:
            return self._dram_price(primitive)
        if operation == LEAKAGE_OPERATION:
            raise PricingError(f"{self.name}: {operation} is power, not energy: see leakage_uw")
        price = self.logic.price(operation, primitive.bits)
        return price._replace(source=f"{price.source} [{self.node_nm} nm, {self.voltage_v:g} V]")

    def leakage_uw(self, primitive: Primitive) -> Leakage:
        """Return the power at rest of one SRAM bank; the caller counts its `times`, the banks."""
        if primitive.operation != LEAKAGE_OPERATION:
            raise PricingError(
                f"{self.name}: {primitive.operation} has no leakage: only {LEAKAGE_OPERATION} has"
            )
        bank = self.sram_bank(primitive.size_kib, primitive.width_bits)
        return Leakage(bank.leakage_uw, self._sram_provenance(primitive))

    def total_leakage(self, primitives: Iterable[Primitive]) -> Leakage:
        """Return the power at rest of all these banks, each as often as its `times` says."""
        parts = [(primitive.times, self.leakage_uw(primitive)) for primitive in primitives]
        power_uw = math.fsum(times * part.power_uw for times, part in parts)
        return Leakage(power_uw, _joined(part.source for _, part in parts))

    def sram_bank(self, size_kib: float, width_bits: int) -> SramBank:
        """Return a bank's energy, leakage and area; PricingError outside CACTI's grid."""
        return self.sram.bank(size_kib, width_bits)

    def price_action(self, action: Action, name: str = "") -> Price:
        """Return the energy of an action: the override of `name`, else the sum of its parts."""
        if name in self.overrides:
            override = self.overrides[name]
            return Price(override.energy_pj, f"{override.source} [override of {name}]")
        parts = [(primitive.times, self.price(primitive)) for primitive in action.primitives]
        energy_pj = math.fsum(times * part.energy_pj for times, part in parts)
        return Price(energy_pj, _joined(part.source for _, part in parts))

    def prices(self, actions: Mapping[str, Action]) -> dict[str, Price]:
        """Return the price of each action by name; one PricingError for all actions without one."""
        prices: dict[str, Price] = {}
        problems = []
        for name, action in actions.items():
            try:
                prices[name] = self.price_action(action, name)
            except PricingError as error:
                problems.append(f"{name}: {error}")
        if problems:
            raise PricingError("\n".join(problems))
        return prices

    def _sram_provenance(self, primitive: Primitive) -> str:
        if self.sram.is_listed(primitive.size_kib, primitive.width_bits):
            return self.sram_source
        bank = f"{primitive.size_kib:g} KiB, {primitive.width_bits:g} bits"
        return f"{self.sram_source}, interpolated for {bank}"

    def _dram_price(self, primitive: Primitive) -> Price:
        if primitive.technology not in self.dram:
            known = suggestion(primitive.technology, self.dram)
            raise PricingError(self.name, f"unknown DRAM {shown(primitive.technology)} {known}")
        if primitive.bits < 1:
            raise PricingError(self.name, f"{primitive.operation} of {primitive.bits} bits", "none")
        price = self.dram[primitive.technology]
        return Price(price.energy_pj_per_bit * primitive.bits, price.source)


def table_names() -> tuple[str, ...]:
    """Return the names of the tables that come with the simulator."""
    return tuple(sorted(path.stem for path in TABLES.glob("*.yaml")))


def _joined(sources: Iterable[str]) -> str:
    """The sources, each once, in the order they came."""
    return "; ".join(dict.fromkeys(sources))
