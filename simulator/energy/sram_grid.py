"""Energy, leakage and area of an SRAM bank, interpolated in a grid that CACTI computed."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Floats
from simulator.config.read_back import read_text
from simulator.config.wording import shown
from simulator.errors import PricingError

LARGEST_FILE_BYTES = 1 << 20


class SramBank(NamedTuple):
    """Hold one bank with one port: energy of a full-width access, power at rest, area."""

    read_pj: float
    write_pj: float
    access_ns: float
    leakage_uw: float
    area_mm2: float


COLUMNS = ("node_nm", "size_kib", "width_bits", *SramBank._fields)


@dataclass(frozen=True, eq=False)
class SramGrid:
    """Hold banks of one node by size and width; `values` is NaN where CACTI has no such bank.

    Shapes: sizes_kib (sizes,) and widths_bits (widths,) ascending; values (sizes, widths, 5) in the
    order of SramBank.
    """

    label: str
    sizes_kib: Floats
    widths_bits: Floats
    values: Floats

    @cached_property
    def _known(self) -> dict[tuple[float, float], SramBank]:
        return {}

    def bank(self, size_kib: float, width_bits: float) -> SramBank:
        """Return a bank, bilinear in log2(size) and log2(width); a point of the grid exactly.

        Every point of the grid that the interpolation weighs must exist: nothing is extrapolated.
        Raises PricingError with the allowed range.
        """
        known = self._known.get((size_kib, width_bits))
        if known is not None:
            return known
        sizes = _weights(self.sizes_kib, size_kib)
        widths = _weights(self.widths_bits, width_bits)
        total = np.zeros(self.values.shape[2])
        for i, weight_i in sizes:
            for j, weight_j in widths:
                total += weight_i * weight_j * self.values[i, j]
        if not sizes or not widths or bool(np.isnan(total).any()):
            raise PricingError(self._outside(size_kib, width_bits))
        bank = self._known[size_kib, width_bits] = SramBank(*total.tolist())
        return bank

    def is_listed(self, size_kib: float, width_bits: float) -> bool:
        """Return whether the bank is a point of the grid, not between points."""
        return size_kib in self.sizes_kib and width_bits in self.widths_bits

    def _outside(self, size_kib: float, width_bits: float) -> str:
        """What was asked for and what the grid holds around it."""
        exists = np.isfinite(self.values[:, :, 0])
        rows = [i for i, _ in _weights(self.sizes_kib, size_kib)]
        columns = [j for j, _ in _weights(self.widths_bits, width_bits)]
        held = []
        if rows:
            widths = _range(self.widths_bits[exists[rows].all(axis=0)])
            held.append(f"at {size_kib:g} KiB widths of {widths} bits")
        if columns:
            sizes = _range(self.sizes_kib[exists[:, columns].all(axis=1)])
            held.append(f"at {width_bits:g} bits sizes of {sizes} KiB")
        if not held:
            sizes, widths = _range(self.sizes_kib), _range(self.widths_bits)
            held.append(f"sizes of {sizes} KiB and widths of {widths} bits")
        return (
            f"{self.label}: an SRAM bank of {size_kib:g} KiB, {width_bits:g} bits wide, is outside "
            f"the table: it holds {', and '.join(held)}; prices are never extrapolated"
        )


def _range(values: Floats) -> str:
    return f"{values[0]:g} to {values[-1]:g}" if len(values) else "none"


def _weights(axis: Floats, value: float) -> list[tuple[int, float]]:
    """The positions between which a value lies and their weights; empty outside the axis."""
    if not axis[0] <= value <= axis[-1]:  # also refuses NaN
        return []
    above = int(np.searchsorted(axis, value))
    if axis[above] == value:
        return [(above, 1.0)]
    low, high = float(axis[above - 1]), float(axis[above])
    share = math.log2(value / low) / math.log2(high / low)
    return [(above - 1, 1.0 - share), (above, share)]


def read_sram_grid(path: Path, node_nm: int, label: str) -> SramGrid:
    """Read the rows of one node from a grid in CSV; lines that begin with # are comments.

    Raises PricingError naming file, line, value and rule.
    """
    rows = [row for row in _rows(path) if row[1][0] == node_nm]
    if not rows:
        raise PricingError(path, f"node_nm {node_nm}", "the grid has no rows of this node")
    sizes, widths = (np.array(sorted({row[place] for _, row in rows})) for place in (1, 2))
    values = np.full((len(sizes), len(widths), len(SramBank._fields)), np.nan)
    for line, row in rows:
        at = int(np.searchsorted(sizes, row[1])), int(np.searchsorted(widths, row[2]))
        if not np.isnan(values[at]).all():
            what = f"{row[1]:g} KiB, {row[2]:g} bits"
            raise PricingError(f"{path}:{line}", what, f"is listed twice for {node_nm} nm")
        values[at] = row[3:]
    return SramGrid(label, sizes, widths, values)


def _rows(path: Path) -> list[tuple[int, tuple[float, ...]]]:
    """Line number and numbers of each row."""
    header: list[str] = []
    rows = []
    content = read_text(path, LARGEST_FILE_BYTES, PricingError, "a grid").removeprefix("\ufeff")
    for line, text in enumerate(content.splitlines(), start=1):
        if not text.strip() or text.startswith("#"):
            continue
        cells = next(csv.reader([text]))
        if not header:
            header = cells
            if tuple(header) != COLUMNS:
                raise PricingError(
                    f"{path}:{line}", shown(text), f"the columns must be {','.join(COLUMNS)}"
                )
            continue
        if len(cells) != len(COLUMNS):
            rule = f"must have {len(COLUMNS)} cells, has {len(cells)}"
            raise PricingError(f"{path}:{line}", shown(text), rule)
        pairs = zip(COLUMNS, cells, strict=True)
        rows.append((line, tuple(_number(path, line, name, cell) for name, cell in pairs)))
    return rows


def _number(path: Path, line: int, name: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise PricingError(f"{path}:{line}", name, shown(cell), "must be a number above 0")
    return value
