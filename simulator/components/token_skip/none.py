"""No token skip: halted tokens run on as zeros."""

from __future__ import annotations

from typing import ClassVar

from simulator.components.token_skip.base import Scan, TokenSkip


class NoSkip(TokenSkip, kind="none"):
    """Halted tokens run on: their rows are zero, and take the time and energy of rows of zeros."""

    example: ClassVar[str] = "kind: none\n"

    @property
    def drops_rows(self) -> bool:
        return False

    @property
    def spares_energy(self) -> bool:
        return False

    def scan(self, tokens: int, live_tokens: int, passes: int) -> Scan:
        return Scan(0, 0, 0, {})
