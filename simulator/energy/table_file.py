"""Reads an energy table's YAML into checked records; README.md says what the keys mean.

Nothing is priced here. All problems of a file are reported at once, each with its line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, ValidationError, model_validator

from simulator.config.explain import report_errors
from simulator.config.located_yaml import Location, dotted, read_document
from simulator.config.wording import shown, suggestion
from simulator.energy.logic import LINEAR_IN_BITS, Bits, Derivation, LogicPrice, Record, Text
from simulator.errors import PricingError

Node = Annotated[int, Field(ge=1, le=1000)]
Positive = Annotated[float, Field(gt=0, le=1e12)]


class Factor(Record):
    """Hold the ratio of two prices that carries a price to another node."""

    numerator_pj: Positive
    denominator_pj: Positive
    source: Text


class ListedLogic(Record):
    """Hold the price of an operation at a width, or its base and the factor that scales it."""

    operation: Text
    bits: Bits
    energy_pj: Positive | None = None
    base_pj: Positive | None = None
    factor: Factor | None = None
    source: Text

    @model_validator(mode="after")
    def _has_one_energy(self) -> ListedLogic:
        if (self.energy_pj is None) != (self.factor is not None) or (
            (self.base_pj is None) != (self.factor is None)
        ):
            raise ValueError("needs either energy_pj, or base_pj and factor")
        return self

    def price(self, scaling: Scaling | None) -> LogicPrice:
        """Return the price as base x numerator / denominator, with its derivation as source."""
        factor = self.factor
        if factor is None or scaling is None:
            return LogicPrice(self.operation, self.bits, self.energy_pj or 0.0, self.source)
        base_pj, above, below = self.base_pj or 0.0, factor.numerator_pj, factor.denominator_pj
        how = f"scaling {scaling.name} from {scaling.from_table} at {scaling.from_node_nm} nm"
        source = f"{self.source} {base_pj:g} pJ x {above:g}/{below:g} ({how}: {factor.source})"
        return LogicPrice(self.operation, self.bits, base_pj * above / below, source)


class Scaling(Record):
    """Name the scaling of the prices that have a factor."""

    name: Text
    from_table: Text
    from_node_nm: Node
    source: Text
    not_scaled: Text | None = None


class SramReference(Record):
    """Name the rows of a grid that price SRAM; `voltage_v`: None where the source has none."""

    csv: Text
    node_nm: Node
    voltage_v: Positive | None
    source: Text


class DramPrice(Record):
    """Hold the energy to move one bit to or from DRAM, and where it comes from."""

    technology: Text
    energy_pj_per_bit: Positive
    source: Text


class Override(NamedTuple):
    """Hold the energy of one action, in place of the sum over its primitives."""

    energy_pj: float
    source: str


class ErtAction(Record):
    """Hold the energy of an action; its arguments do not tell it from another."""

    name: Text
    energy: Annotated[float, Field(ge=0, le=1e12)]
    arguments: object = None


class ErtTable(Record):
    """Hold the energies of a component's actions."""

    name: Text
    actions: list[ErtAction] = Field(min_length=1)


class Ert(Record):
    """Hold an energy reference table (ERT) in the form of Accelergy."""

    tables: list[ErtTable] = Field(min_length=1)
    version: object = None


class Overrides(Record):
    """Hold prices of actions in the form of an ERT, with or without its outer keys."""

    source: Text
    node_nm: Node | None = None
    ert: Ert | None = Field(default=None, alias="ERT")
    tables: list[ErtTable] = Field(default=[], min_length=1)

    @model_validator(mode="after")
    def _has_one_form(self) -> Overrides:
        if (self.ert is None) != bool(self.tables):
            raise ValueError("needs either ERT or tables")
        return self

    def named(self) -> Iterator[tuple[Location, str, Override]]:
        """Yield the place, "component.action" and price of each action."""
        tables, where = (self.tables, ()) if self.ert is None else (self.ert.tables, ("ERT",))
        for number, table in enumerate(tables):
            for place, action in enumerate(table.actions):
                at: Location = ("overrides", *where, "tables", number, "actions", place)
                yield at, f"{table.name}.{action.name}", Override(action.energy, self.source)


class TableOnBase(Record):
    """Hold a table that changes some prices of a shipped one, its `base`."""

    schema_: Literal["stasim-energy/1"] = Field(alias="schema")
    name: Text
    summary: Text
    base: Text
    overrides: Overrides


class CompleteTable(Record):
    """Hold a table as written."""

    schema_: Literal["stasim-energy/1"] = Field(alias="schema")
    name: Text
    summary: Text
    family: Text
    node_nm: Node
    voltage_v: Positive
    scaling: Scaling | None = None
    logic: list[ListedLogic] = Field(min_length=1)
    derived: list[Derivation] = Field(default=[], min_length=1)
    sram: SramReference
    dram: list[DramPrice] = Field(min_length=1)
    overrides: Overrides | None = None


def read_table_file(path: Path) -> TableOnBase | CompleteTable:
    """Read and check one file. Raises one PricingError that lists everything wrong with it."""
    document = read_document(path)
    data = document.data
    model = TableOnBase if isinstance(data, dict) and "base" in data else CompleteTable
    table: TableOnBase | CompleteTable | None = None
    if not document.problems:
        try:
            table = model.model_validate(data)
        except ValidationError as error:
            report_errors(document, error, model)
    for where, value, rule in _conflicts(table) if table else ():
        document.report(document.place(where), f"{dotted(where)}: {shown(value)}: {rule}", where)
    if table is None or document.problems:
        raise PricingError(document.message())
    return table


def _conflicts(table: TableOnBase | CompleteTable) -> Iterator[tuple[Location, object, str]]:
    """Yield place, value and rule of entries that do not go with each other."""
    if table.overrides:
        yield from _repeated((at, name) for at, name, _ in table.overrides.named())
    if isinstance(table, TableOnBase):
        return
    listed = [(each.operation, each.bits) for each in table.logic]
    names = [f"{operation} {bits} bits" for operation, bits in listed]
    yield from _repeated((("logic", place), name) for place, name in enumerate(names))
    yield from _repeated((("dram", n), each.technology) for n, each in enumerate(table.dram))
    for number, each in enumerate(table.logic):
        if each.factor and table.scaling is None:
            where: Location = ("logic", number)
            yield where, each.factor.source, "a factor needs the table's key scaling"
    operations = {operation for operation, _ in listed}
    for number, rule in enumerate(table.derived):
        where = ("derived", number)
        if rule.rule == LINEAR_IN_BITS:
            if (rule.operation, rule.from_bits) not in listed:
                text = f"{rule.operation} {rule.from_bits} bits"
                yield (*where, "from_bits"), text, "is not listed under logic"
        elif rule.of not in operations:
            known = suggestion(rule.of, operations)
            yield (*where, "of"), rule.of, f"is not listed under logic {known}"
    if table.sram.node_nm != table.node_nm:
        text = f"must be the table's node_nm ({table.node_nm}): nodes are never mixed"
        yield ("sram", "node_nm"), table.sram.node_nm, text


def _repeated(named: Iterator[tuple[Location, str]]) -> Iterator[tuple[Location, object, str]]:
    known: set[str] = set()
    for where, name in named:
        if name in known:
            yield where, name, "is listed twice"
        known.add(name)
