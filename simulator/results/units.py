"""The unit of each quantity and the digits of a number, for every surface that prints one.

Terminal, pages, their CSV files and the documentation take their units from here, so a quantity has
one prefix everywhere. Raw columns of a result keep the units that their names carry.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple


class DisplayUnit(NamedTuple):
    """Describe how a quantity is printed: its symbol, and the divisor of stored values."""

    symbol: str
    stored: str
    """The unit in which a result holds the quantity."""
    divisor: float

    def of(self, value: Any) -> Any:
        """Return a stored value, or an array of them, in this unit."""
        return value / self.divisor

    def head(self, name: str) -> str:
        """Return a name as the heading of a column in this unit."""
        return f"{name} ({self.symbol})"


UNITS: dict[str, DisplayUnit] = {
    "time": DisplayUnit("ms", "ms", 1.0),
    "energy": DisplayUnit("µJ", "pJ", 1e6),
    "EDP": DisplayUnit("µJ ms", "pJ ms", 1e6),
    "power": DisplayUnit("mW", "µW", 1e3),
    "traffic": DisplayUnit("MB", "B", 1e6),
    "capacity": DisplayUnit("KiB", "KiB", 1.0),
    "bandwidth": DisplayUnit("GB/s", "GB/s", 1.0),
    "clock": DisplayUnit("MHz", "MHz", 1.0),
    "area": DisplayUnit("mm²", "mm²", 1.0),
    "price": DisplayUnit("pJ", "pJ", 1.0),
    "rate": DisplayUnit("images/s", "images/s", 1.0),
    "node": DisplayUnit("nm", "nm", 1.0),
    "supply": DisplayUnit("V", "V", 1.0),
}
"""Every quantity with a unit. Traffic counts bytes in powers of ten, capacity in powers of two."""

TIME, ENERGY, EDP, POWER = (UNITS[name] for name in ("time", "energy", "EDP", "power"))
TRAFFIC, CAPACITY, AREA, RATE = (UNITS[name] for name in ("traffic", "capacity", "area", "rate"))


_SUFFIXES = {
    "_ms": "ms",
    "_uj": ENERGY.symbol,
    "_mm2": AREA.symbol,
    "_mw": POWER.symbol,
    "_kib": CAPACITY.symbol,
    "_mhz": "MHz",
    "_gb_per_s": "GB/s",
    "_nm": "nm",
}


def headed(name: str) -> str:
    """Return a name of the code, which may end in its unit, as a heading: `energy_uj`."""
    for suffix, symbol in _SUFFIXES.items():
        if name.endswith(suffix):
            return f"{name.removesuffix(suffix).replace('_', ' ')} ({symbol})"
    return name.replace("_", " ")


def number(value: float) -> str:
    """Format four significant digits, large numbers with separators, no exponent if it fits."""
    if value == 0 or abs(value) >= 1e15 or abs(value) < 1e-4:
        return f"{value:.4g}"
    rounded = abs(float(f"{value:.4g}"))
    digits = max(3 - math.floor(math.log10(rounded)), 0)
    return f"{value:,.{digits}f}"


def between(low: float | None, high: float | None) -> str:
    """Return an interval for a reader; ... for a bound that is not known."""
    first, last = ("..." if bound is None else number(bound) for bound in (low, high))
    return f"[{first}, {last}]"
