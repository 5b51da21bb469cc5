"""Energy of logic: listed widths, adds between listed widths, and rules that a table names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from simulator.config.wording import shown, suggestion
from simulator.errors import PricingError

INTERPOLATED_OPERATIONS = ("add", "multiply")
"""Between listed widths an adder's energy is taken as linear, a multiplier's as a power of them."""
SAME_AS = "same_as"
LINEAR_IN_BITS = "linear_in_bits"


class Price(NamedTuple):
    """Hold the energy of one event and where the number comes from."""

    energy_pj: float
    source: str


class LogicPrice(NamedTuple):
    """Hold the energy of a logic operation on operands of `bits` bits, and its source."""

    operation: str
    bits: int
    energy_pj: float
    source: str


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Bits = Annotated[int, Field(ge=1, le=4096)]


class Record(BaseModel):
    """Describe a mapping of a table's file: frozen, no unknown keys, numbers strict and finite."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True
    )


class Derivation(Record):
    """Name a rule by which a table prices an operation, or a width, that its family lacks.

    same_as: `operation` on n bits costs `of` on n bits. linear_in_bits: from the listed price at
    `from_bits` in proportion to the width, inside `min_bits` to `max_bits`.
    """

    operation: Text
    rule: Literal["same_as", "linear_in_bits"]
    of: Text = ""
    from_bits: Bits = 0
    min_bits: Bits = 0
    max_bits: Bits = 0
    reason: Text

    @model_validator(mode="after")
    def _has_the_keys_of_its_rule(self) -> Derivation:
        keys = ("of",) if self.rule == SAME_AS else ("from_bits", "min_bits", "max_bits")
        if self.model_fields_set != {"operation", "rule", "reason", *keys}:
            raise ValueError(f"the rule {self.rule} needs the keys {', '.join(keys)}, and no other")
        if self.max_bits < self.min_bits:
            raise ValueError(f"max_bits must be at least min_bits ({self.min_bits})")
        return self


class LogicPrices(NamedTuple):
    """Hold a table's logic, listed by (operation, bits); `label` begins its error messages."""

    label: str
    listed: Mapping[tuple[str, int], LogicPrice]
    derived: tuple[Derivation, ...]

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations that have a price at some width."""
        names = {operation for operation, _ in self.listed}
        return tuple(sorted(names | {rule.operation for rule in self.derived}))

    def price(self, operation: str, bits: int) -> Price:
        """Return the energy of one operation; PricingError, with what is held, if there is none."""
        for price in (self._at_width(operation, bits), self._by_rule(operation, bits)):
            if price is not None:
                return price
        raise PricingError(self.label, f"no price for {self._missing(operation, bits)}")

    def _at_width(self, operation: str, bits: int) -> Price | None:
        """The price at a listed width, or between two of them if the operation allows it."""
        exact = self.listed.get((operation, bits))
        if exact is not None:
            return Price(exact.energy_pj, exact.source)
        widths = self._widths(operation)
        if operation not in INTERPOLATED_OPERATIONS or not widths:
            return None
        if not widths[0] < bits < widths[-1]:
            return None
        low = self.listed[operation, max(width for width in widths if width < bits)]
        high = self.listed[operation, min(width for width in widths if width > bits)]
        if operation == "multiply":
            power = math.log(high.energy_pj / low.energy_pj) / math.log(high.bits / low.bits)
            energy_pj = low.energy_pj * (bits / low.bits) ** power
            law = f"to the power {power:.2f}"
        else:
            share = (bits - low.bits) / (high.bits - low.bits)
            energy_pj = low.energy_pj + share * (high.energy_pj - low.energy_pj)
            law = "linear"
        how = f"{bits} bits, {law} between {low.bits} and {high.bits}"
        return Price(energy_pj, f"{how}: {low.source} and {high.source}")

    def _by_rule(self, operation: str, bits: int) -> Price | None:
        """The price by a rule that the table names."""
        for rule in self.derived:
            if rule.operation != operation:
                continue
            if rule.rule == SAME_AS:
                price = self._at_width(rule.of, bits)
                if price is not None:
                    how = f"{operation} priced as {rule.of} ({rule.reason})"
                    return price._replace(source=f"{how}: {price.source}")
            elif rule.min_bits <= bits <= rule.max_bits:
                origin = self.listed[operation, rule.from_bits]
                energy_pj = origin.energy_pj * bits / origin.bits
                how = f"{bits}/{origin.bits} of the price at {origin.bits} bits ({rule.reason})"
                return Price(energy_pj, f"{how}: {origin.source}")
        return None

    def _widths(self, operation: str) -> list[int]:
        return sorted(bits for listed, bits in self.listed if listed == operation)

    def _missing(self, operation: str, bits: int) -> str:
        """What was asked for, and what the table holds of it."""
        if operation not in self.operations:
            return f"the operation {shown(operation)} {suggestion(operation, self.operations)}"
        rules = [rule for rule in self.derived if rule.operation == operation]
        held = []
        for listed in (operation, *(rule.of for rule in rules)):
            widths = self._widths(listed)
            if len(widths) > 1 and listed in INTERPOLATED_OPERATIONS:
                held.append(f"{listed} from {widths[0]} to {widths[-1]} bits")
            elif widths:
                held.append(f"{listed} of {', '.join(map(str, widths))} bits")
        for rule in rules:
            if rule.rule == LINEAR_IN_BITS:
                held.append(f"{operation} from {rule.min_bits} to {rule.max_bits} bits")
        return (
            f"{operation} of {bits} bits: it holds {', '.join(held)}; "
            f"{' and '.join(INTERPOLATED_OPERATIONS)} are interpolated, nothing is extrapolated"
        )
