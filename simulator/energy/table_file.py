"""Reads an energy table's YAML into checked records; README.md says what the keys mean.

Nothing is priced here. All problems of a file are reported at once, each with its line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from simulator.config.located_yaml import Document, Location, dotted, read_document
from simulator.config.wording import shown, suggestion
from simulator.energy.logic import DERIVATIONS, LINEAR_IN_BITS, SAME_AS, Derivation, LogicPrice
from simulator.errors import PricingError

WIDEST_BITS = 4096


class Reader:
    """Take values out of a document; a value that breaks a rule is reported and replaced."""

    def __init__(self, document: Document) -> None:
        self.document = document

    def report(self, where: Location, value: object, rule: str) -> None:
        text = f"{dotted(where) or 'the file'}: {shown(value)}: {rule}"
        self.document.report(self.document.place(where), text, where)

    def mapping(
        self, value: Any, where: Location, required: Iterable[str], optional: Iterable[str] = ()
    ) -> dict[str, Any]:
        """Return the value if it is a mapping with these keys and no other; else an empty one."""
        if not isinstance(value, dict):
            self.report(where, value, "must be a mapping")
            return {}
        needed = tuple(required)
        known = (*needed, *optional)
        for key in value:
            if key not in known:
                rule = f"unknown key {suggestion(key, known)}"
                self.report((*where, key), value[key], rule)
        missing = [key for key in needed if key not in value]
        if missing:
            self.report(where, "a mapping", f"needs the key {', '.join(missing)}")
        return {key: value[key] for key in known if key in value}

    def items(self, fields: Mapping[str, Any], key: str, where: Location) -> list[Any]:
        value = fields.get(key, [])
        if isinstance(value, list) and (value or key not in fields):
            return value
        self.report((*where, key), value, "must be a list with at least one entry")
        return []

    def text(self, fields: Mapping[str, Any], key: str, where: Location) -> str:
        value = fields.get(key, "")
        if isinstance(value, str) and (value.strip() or key not in fields):
            return value.strip()
        self.report((*where, key), value, "must be text that says something")
        return ""

    def number(
        self, fields: Mapping[str, Any], key: str, where: Location, *, zero: bool = False
    ) -> float:
        value = fields.get(key, 1.0)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and (0 < value <= 1e12 or (zero and value == 0)):  # also refuses NaN
            return float(value)
        bound = "a number of 0 or more" if zero else "a number above 0"
        self.report((*where, key), value, f"must be {bound}, at most 1e12")
        return 1.0

    def bits(self, fields: Mapping[str, Any], key: str, where: Location) -> int:
        return self.integer(fields, key, where, WIDEST_BITS)

    def integer(self, fields: Mapping[str, Any], key: str, where: Location, most: int) -> int:
        value = fields.get(key, 1)
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most:
            return value
        self.report((*where, key), value, f"must be a whole number from 1 to {most}")
        return 1


SCHEMA = "stasim-energy/1"


class SramReference(NamedTuple):
    """Name the rows of a grid that price SRAM; `voltage_v`: None where the source has none."""

    csv: str
    node_nm: int
    voltage_v: float | None
    source: str


class DramPrice(NamedTuple):
    """Hold the energy to move one bit to or from DRAM, and where it comes from."""

    energy_pj_per_bit: float
    source: str


class Override(NamedTuple):
    """Hold the energy of one action, in place of the sum over its primitives."""

    energy_pj: float
    source: str


class TableFile(NamedTuple):
    """Hold a table as written. With a `base`, only name, summary and overrides are set."""

    path: Path
    name: str
    summary: str
    base: str
    family: str
    node_nm: int
    voltage_v: float
    logic: tuple[LogicPrice, ...]
    derived: tuple[Derivation, ...]
    sram: SramReference
    dram: Mapping[str, DramPrice]
    overrides: Mapping[str, Override]
    overrides_node_nm: int


def read_table_file(path: Path) -> TableFile:
    """Read and check one file. Raises one PricingError that lists everything wrong with it."""
    reader = Reader(read_document(path))
    table = _table(reader, path) if not reader.document.problems else None
    problems = sorted(reader.document.problems, key=lambda problem: problem.place.line)
    if problems or table is None:
        raise PricingError(
            "\n".join(f"{problem.place.text}: {problem.text}" for problem in problems)
        )
    return table


_ALWAYS = ("schema", "name", "summary")
_ON_BASE = (*_ALWAYS, "base", "overrides")
_COMPLETE = (*_ALWAYS, "family", "node_nm", "voltage_v", "logic", "sram", "dram")


def _table(reader: Reader, path: Path) -> TableFile:
    data = reader.document.data
    has_base = isinstance(data, dict) and "base" in data
    if has_base:
        fields = reader.mapping(data, (), _ON_BASE)
    else:
        fields = reader.mapping(data, (), _COMPLETE, ("scaling", "derived", "overrides"))
    if fields.get("schema", SCHEMA) != SCHEMA:
        reader.report(("schema",), fields["schema"], f"must be {SCHEMA}")
    logic = _logic(reader, fields)
    overrides, overrides_node_nm = _overrides(reader, fields)
    return TableFile(
        path=path,
        name=reader.text(fields, "name", ()),
        summary=reader.text(fields, "summary", ()),
        base=reader.text(fields, "base", ()),
        family=reader.text(fields, "family", ()),
        node_nm=reader.integer(fields, "node_nm", (), 1000),
        voltage_v=reader.number(fields, "voltage_v", ()),
        logic=logic,
        derived=_derived(reader, fields, logic),
        sram=_sram(reader, fields),
        dram=_dram(reader, fields),
        overrides=overrides,
        overrides_node_nm=overrides_node_nm,
    )


def _logic(reader: Reader, fields: Mapping[str, Any]) -> tuple[LogicPrice, ...]:
    scaling = _scaling(reader, fields)
    prices: dict[tuple[str, int], LogicPrice] = {}
    for number, value in enumerate(reader.items(fields, "logic", ())):
        where: Location = ("logic", number)
        is_scaled = isinstance(value, dict) and "factor" in value
        energy = ("base_pj", "factor") if is_scaled else ("energy_pj",)
        entry = reader.mapping(value, where, ("operation", "bits", *energy, "source"))
        price = LogicPrice(
            reader.text(entry, "operation", where),
            reader.bits(entry, "bits", where),
            reader.number(entry, "energy_pj", where),
            reader.text(entry, "source", where),
        )
        if "factor" in entry:
            price = _scaled(reader, entry, where, price, scaling)
        if (price.operation, price.bits) in prices:
            reader.report(where, f"{price.operation} {price.bits} bits", "is listed twice")
        prices[price.operation, price.bits] = price
    return tuple(prices.values())


def _scaling(reader: Reader, fields: Mapping[str, Any]) -> str:
    """The words for a scaled price, or nothing when the table scales none."""
    if "scaling" not in fields:
        return ""
    where: Location = ("scaling",)
    required = ("name", "from_table", "from_node_nm", "source")
    entry = reader.mapping(fields["scaling"], where, required, ("not_scaled",))
    reader.text(entry, "source", where)
    reader.text(entry, "not_scaled", where)
    node_nm = reader.integer(entry, "from_node_nm", where, 1000)
    base = reader.text(entry, "from_table", where)
    return f"scaling {reader.text(entry, 'name', where)} from {base} at {node_nm} nm"


def _scaled(
    reader: Reader, entry: Mapping[str, Any], where: Location, price: LogicPrice, scaling: str
) -> LogicPrice:
    """The price as base x numerator / denominator, with the whole derivation in its source."""
    if not scaling:
        reader.report(where, entry["factor"], "a factor needs the table's key scaling")
    inside = (*where, "factor")
    factor = reader.mapping(entry["factor"], inside, ("numerator_pj", "denominator_pj", "source"))
    base = reader.number(entry, "base_pj", where)
    numerator = reader.number(factor, "numerator_pj", inside)
    denominator = reader.number(factor, "denominator_pj", inside)
    why = reader.text(factor, "source", inside)
    return price._replace(
        energy_pj=base * numerator / denominator,
        source=f"{price.source} {base:g} pJ x {numerator:g}/{denominator:g} ({scaling}: {why})",
    )


def _derived(
    reader: Reader, fields: Mapping[str, Any], logic: Iterable[LogicPrice]
) -> tuple[Derivation, ...]:
    listed = {(price.operation, price.bits) for price in logic}
    operations = sorted({operation for operation, _ in listed})
    rules = []
    for number, value in enumerate(reader.items(fields, "derived", ())):
        where: Location = ("derived", number)
        rule = value.get("rule") if isinstance(value, dict) else None
        is_linear = rule == LINEAR_IN_BITS
        keys = ("from_bits", "min_bits", "max_bits") if is_linear else ("of",)
        entry = reader.mapping(value, where, ("operation", "rule", *keys, "reason"))
        if entry and rule not in DERIVATIONS:
            reader.report((*where, "rule"), rule, f"unknown rule {suggestion(rule, DERIVATIONS)}")
        derivation = Derivation(
            operation=reader.text(entry, "operation", where),
            rule=reader.text(entry, "rule", where),
            of=reader.text(entry, "of", where),
            from_bits=reader.bits(entry, "from_bits", where),
            min_bits=reader.bits(entry, "min_bits", where),
            max_bits=reader.bits(entry, "max_bits", where),
            reason=reader.text(entry, "reason", where),
        )
        if derivation.max_bits < derivation.min_bits:
            rule_text = f"must be at least min_bits ({derivation.min_bits})"
            reader.report((*where, "max_bits"), derivation.max_bits, rule_text)
        if rule == SAME_AS and "of" in entry and derivation.of not in operations:
            known = suggestion(derivation.of, operations)
            reader.report((*where, "of"), derivation.of, f"is not listed under logic {known}")
        origin = (derivation.operation, derivation.from_bits)
        if rule == LINEAR_IN_BITS and "from_bits" in entry and origin not in listed:
            text = f"{origin[0]} {origin[1]} bits"
            reader.report((*where, "from_bits"), text, "is not listed under logic")
        rules.append(derivation)
    return tuple(rules)


def _sram(reader: Reader, fields: Mapping[str, Any]) -> SramReference:
    where: Location = ("sram",)
    required = ("csv", "node_nm", "voltage_v", "source")
    entry = reader.mapping(fields["sram"], where, required) if "sram" in fields else {}
    node_nm = reader.integer(entry, "node_nm", where, 1000)
    if "node_nm" in entry and "node_nm" in fields and node_nm != fields["node_nm"]:
        rule = f"must be the table's node_nm ({shown(fields['node_nm'])}): nodes are never mixed"
        reader.report((*where, "node_nm"), node_nm, rule)
    stated = entry.get("voltage_v") is not None
    return SramReference(
        csv=reader.text(entry, "csv", where),
        node_nm=node_nm,
        voltage_v=reader.number(entry, "voltage_v", where) if stated else None,
        source=reader.text(entry, "source", where),
    )


def _dram(reader: Reader, fields: Mapping[str, Any]) -> dict[str, DramPrice]:
    prices: dict[str, DramPrice] = {}
    for number, value in enumerate(reader.items(fields, "dram", ())):
        where: Location = ("dram", number)
        entry = reader.mapping(value, where, ("technology", "energy_pj_per_bit", "source"))
        technology = reader.text(entry, "technology", where)
        if technology in prices:
            reader.report(where, technology, "is listed twice")
        prices[technology] = DramPrice(
            reader.number(entry, "energy_pj_per_bit", where), reader.text(entry, "source", where)
        )
    return prices


def _overrides(reader: Reader, fields: Mapping[str, Any]) -> tuple[dict[str, Override], int]:
    """Prices of whole actions in the form of Accelergy's energy reference table (ERT)."""
    if "overrides" not in fields:
        return {}, 0
    where: Location = ("overrides",)
    value = fields["overrides"]
    form = "ERT" if isinstance(value, dict) and "ERT" in value else "tables"
    entry = reader.mapping(value, where, ("source", form), ("node_nm",))
    source = reader.text(entry, "source", where)
    node_nm = reader.integer(entry, "node_nm", where, 1000) if "node_nm" in entry else 0
    if "ERT" in entry:
        where = (*where, "ERT")
        entry = reader.mapping(entry["ERT"], where, ("tables",), ("version",))
    prices: dict[str, Override] = {}
    for number, table in enumerate(reader.items(entry, "tables", where)):
        _ert_table(reader, table, (*where, "tables", number), source, prices)
    return prices, node_nm


def _ert_table(
    reader: Reader, value: Any, where: Location, source: str, prices: dict[str, Override]
) -> None:
    table = reader.mapping(value, where, ("name", "actions"))
    component = reader.text(table, "name", where)
    for number, value in enumerate(reader.items(table, "actions", where)):
        here = (*where, "actions", number)
        action = reader.mapping(value, here, ("name", "energy"), ("arguments",))
        name = f"{component}.{reader.text(action, 'name', here)}"
        if name in prices:
            reader.report(here, name, "is given twice; arguments do not tell actions apart here")
        prices[name] = Override(reader.number(action, "energy", here, zero=True), source)
