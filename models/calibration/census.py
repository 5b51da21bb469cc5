"""The probe that counts: how many values of each stored tensor are there, and how many are not
zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from torch import Tensor

from models.networks.probes import Probe
from models.networks.rows import Rows


class FiredCount(NamedTuple):
    """Count non-zero values, and all values of live rows."""

    nonzero: int = 0
    values: int = 0

    @property
    def density(self) -> float:
        """Return the non-zero fraction over live rows."""
        return self.nonzero / self.values if self.values else 0.0


class Census(Probe):
    """Count every recorded tensor, halted rows left out."""

    def __init__(self) -> None:
        self.counts: dict[str, FiredCount] = {}

    def record(self, name: str, values: Tensor, rows: Rows) -> None:
        """Count the live rows."""
        live = rows.live()
        self._add(name, values if live is None else values[live])

    def record_maps(self, name: str, maps: Tensor) -> None:
        """Count a map of the patch splitting."""
        self._add(name, maps)

    def density(self, names: Iterable[str]) -> float:
        """Return the non-zero fraction of several tensors together."""
        counts = [self.counts[name] for name in names]
        return FiredCount(sum(c.nonzero for c in counts), sum(c.values for c in counts)).density

    def _add(self, name: str, values: Tensor) -> None:
        before = self.counts.get(name, FiredCount())
        nonzero = int((values != 0).sum())
        self.counts[name] = FiredCount(before.nonzero + nonzero, before.values + values.numel())
