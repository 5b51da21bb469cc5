"""Where the order of two designs by energy turns, and whether any bound turns it.

    for line in sentences(("STAS", "T = 4"), one, other):
        print(line)

Powers are in mW, as everywhere that prints one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from simulator.energy.spans import NOTHING, Span, total

PJ_PER_MW_MS = 1e6
"""1 mW for 1 ms."""


class Design(NamedTuple):
    """Hold a design's mean image. Energies in pJ with their bounds.

    `causes`: all of it by cause, so that two designs pay for a cause at the same price.
    `chip`: actions on chip; `dram`: those of the DRAM; `power`: always-on power times latency.
    """

    causes: Mapping[str, Span]
    chip: Span
    dram: Span
    power: Span
    dram_bits: float
    latency_ms: float

    @property
    def energy(self) -> Span:
        """All of the energy."""
        return total((self.chip, self.dram, self.power))

    @property
    def power_mw(self) -> Span:
        """The power that is drawn all the time."""
        return self.power.times(1 / (PJ_PER_MW_MS * self.latency_ms))

    @property
    def dram_pj_per_bit(self) -> Span:
        """What a DRAM bit costs, rows included; nothing where none is moved."""
        return self.dram.times(1 / self.dram_bits) if self.dram_bits else NOTHING


class Turn(NamedTuple):
    """Hold the value of a quantity at which two designs cost the same, all else nominal.

    `value` is None where it lies at no value above 0; `bounds`: what is known of the quantity.
    `first_below`: the first design is the cheaper one below the value.
    """

    quantity: str
    unit: str
    value: float | None
    bounds: Span
    first_below: bool

    @property
    def is_within(self) -> bool:
        """Whether a value between the bounds turns the order."""
        return self.value is not None and self.bounds.low <= self.value <= self.bounds.high


class BreakEven(NamedTuple):
    """Compare two designs by energy: `difference` of first over second between all bounds."""

    difference_pj: Span
    turns: tuple[Turn, ...]

    @property
    def is_tie(self) -> bool:
        """Whether both cost the same at all bounds."""
        return not any(self.difference_pj)

    @property
    def is_robust(self) -> bool:
        """Whether no prices within their bounds, the same for both, turn the order."""
        return self.is_tie or self.difference_pj.low > 0 or self.difference_pj.high < 0


def compare(one: Design, other: Design) -> BreakEven:
    """Return how two designs differ, and what turns their order: power, DRAM price, causes."""
    # Between the prices of a cause the difference is linear, so its extremes are among them.
    differences = {
        cause: tuple(first - second for first, second in zip(*pair, strict=True))
        for cause, pair in _by_cause(one, other).items()
    }
    nominal = one.energy.nominal - other.energy.nominal
    span = Span(
        sum(min(each) for each in differences.values()),
        nominal,
        sum(max(each) for each in differences.values()),
    )
    by_cause = (_cause_turn(cause, each, nominal) for cause, each in differences.items())
    turns = (_power_turn(one, other), _dram_turn(one, other), *filter(None, by_cause))
    return BreakEven(span, turns)


def ratio_span(one: Design, other: Design) -> Span:
    """Return the energy of the first over the second: lowest, nominal, highest.

    A cause costs both the same, anywhere between its bounds. Between two of low, nominal and high
    the ratio's parts are linear, so its extremes are among them, by Dinkelbach's iteration.
    """
    pairs = [*_by_cause(one, other).values()]
    nominal = one.energy.nominal / other.energy.nominal
    return Span(_extreme_ratio(pairs, nominal, -1), nominal, _extreme_ratio(pairs, nominal, 1))


def _extreme_ratio(pairs: Sequence[tuple[Span, Span]], start: float, sign: int) -> float:
    """Return the largest ratio (sign 1) or the smallest (sign -1)."""
    ratio, last = start, math.nan
    while ratio != last:
        last = ratio
        chosen = [
            max(zip(one, other, strict=True), key=lambda each: sign * (each[0] - last * each[1]))
            for one, other in pairs
        ]
        found = math.fsum(x for x, _ in chosen) / math.fsum(y for _, y in chosen)
        # Rounding must not make it turn round for ever.
        ratio = max(found, last) if sign > 0 else min(found, last)
    return ratio


def _by_cause(one: Design, other: Design) -> dict[str, tuple[Span, Span]]:
    """Return what both pay for each cause of either."""
    causes = sorted(one.causes.keys() | other.causes.keys())
    return {
        cause: (one.causes.get(cause, NOTHING), other.causes.get(cause, NOTHING))
        for cause in causes
    }


def _power_turn(one: Design, other: Design) -> Turn:
    """Return the always-on power of the first; the second keeps its difference to it."""
    apart_mw = other.power_mw.nominal - one.power_mw.nominal
    at_zero = (one.chip.nominal + one.dram.nominal) - (other.chip.nominal + other.dram.nominal)
    at_zero -= apart_mw * PJ_PER_MW_MS * other.latency_ms
    slope = PJ_PER_MW_MS * (one.latency_ms - other.latency_ms)
    return _turn("always-on power", "mW", at_zero, slope, one.power_mw)


def _dram_turn(one: Design, other: Design) -> Turn:
    rest = (one.chip.nominal + one.power.nominal) - (other.chip.nominal + other.power.nominal)
    spans = [each.dram_pj_per_bit for each in (one, other) if each.dram_bits]
    bounds = NOTHING
    if spans:
        low, high = min(each.low for each in spans), max(each.high for each in spans)
        bounds = Span(low, sum(each.nominal for each in spans) / len(spans), high)
    return _turn("DRAM price", "pJ/bit", rest, one.dram_bits - other.dram_bits, bounds)


def _turn(quantity: str, unit: str, at_zero: float, slope: float, bounds: Span) -> Turn:
    value = -at_zero / slope if slope else 0.0
    turns = slope != 0 and value > 0
    first_below = at_zero < 0 or (at_zero == 0 and slope < 0)
    return Turn(quantity, unit, value if turns else None, bounds, first_below)


def _cause_turn(cause: str, each: tuple[float, ...], nominal: float) -> Turn | None:
    """Return at which place between its bounds a cause alone turns the order; None if at none.

    The place is -1 at the low, 0 at the nominal, 1 at the high price.
    """
    for place, moved in ((-1.0, each[0] - each[1]), (1.0, each[2] - each[1])):
        if nominal * (nominal + moved) < 0:
            value = place * nominal / -moved
            return Turn(cause, "", value, Span(-1, 0, 1), (nominal < 0) == (place > 0))
    return None


def sentences(
    names: tuple[str, str], one: Design, other: Design, number: Callable[[float], str]
) -> list[str]:
    """Return what a pair's order depends on, in words: a heading, then a line a turn."""
    found = compare(one, other)
    if found.is_tie:
        return [f"{names[0]} and {names[1]} take the same energy, whatever the prices"]
    cheaper, dearer = names if found.difference_pj.nominal < 0 else names[::-1]
    less, more = sorted((one.energy.nominal, other.energy.nominal))
    verdict = "robust over all bounds" if found.is_robust else "not robust: bounds turn it"
    lines = [f"{cheaper} takes {less / more:.2f} of the energy of {dearer} ({verdict})"]
    # The two axes of the map always, a cause only where it turns the order alone.
    shown = [turn for turn in found.turns if turn.unit or turn.is_within]
    return lines + [_sentence(names, turn, number) for turn in shown]


def _sentence(names: tuple[str, str], turn: Turn, number: Callable[[float], str]) -> str:
    first, second = names if turn.first_below else names[::-1]
    if turn.value is None:
        return f"{first} is cheaper at any {turn.quantity}"
    if not turn.unit:
        side = "high" if turn.value > 0 else "low"
        way = f"{abs(turn.value):.0%} of the way from its nominal to its {side} price"
        winner = second if turn.value > 0 else first
        return f"{winner} is cheaper from {way} of {turn.quantity}"
    here, low, high = (number(each) for each in (turn.bounds[1], turn.bounds[0], turn.bounds[2]))
    return (
        f"{first} is cheaper below {number(turn.value)} {turn.unit} of {turn.quantity}, {second} "
        f"above (here {here}, {low} to {high})"
    )
