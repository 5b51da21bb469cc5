"""What every part of the slot token_skip offers: which rows run on, and what finding them costs."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from simulator.components.base import Component


class Scan(NamedTuple):
    """Hold what it takes to know a block's live tokens, before its first tile can start.

    `busy_cycles` 0: no step of its own. `mask_reads`: tokens whose mask bit is read.
    """

    busy_cycles: int
    latency_cycles: int
    mask_reads: int
    counts: dict[str, int]


class TokenSkip(Component, slot="token_skip"):
    """Describe what the machine does with tokens that have halted."""

    @property
    @abstractmethod
    def drops_rows(self) -> bool:
        """Whether a halted token's row takes no time on the array."""

    @property
    @abstractmethod
    def spares_energy(self) -> bool:
        """Whether a halted token's row causes no accesses and no arithmetic."""

    @property
    def overlaps_decision(self) -> bool:
        """Whether the mask is scanned while the halting decision that makes it is taken."""
        return False

    @abstractmethod
    def scan(self, tokens: int, live_tokens: int, passes: int) -> Scan:
        """Return the cost of finding `live_tokens` among `tokens` for some column passes."""
