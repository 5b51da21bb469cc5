"""Gating: a halted token's time is spent, its energy is not."""

from __future__ import annotations

from typing import ClassVar

from simulator.components.base import Action, Primitive
from simulator.components.token_skip.base import Scan, TokenSkip


class Gate(TokenSkip, kind="gate"):
    """A row whose mask bit is 0 goes through the array with its clock and its accesses gated.

    The mask bit is read with the row, in the same cycle, so no step of its own is needed; the time
    of a row of zeros passes. The clock tree's own energy is not modelled.
    """

    example: ClassVar[str] = "kind: gate\n"

    @property
    def drops_rows(self) -> bool:
        return False

    @property
    def spares_energy(self) -> bool:
        return True

    def scan(self, tokens: int, live_tokens: int, passes: int) -> Scan:
        return Scan(0, 0, tokens * passes, {"gate_check": tokens * passes})

    def actions(self) -> dict[str, Action]:
        return {
            "gate_check": Action(
                "tests the mask bit of a row (as the narrowest compare)",
                (Primitive("compare", bits=8),),
            )
        }
