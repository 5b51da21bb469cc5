"""What every part of the slot token_skip offers."""

from __future__ import annotations

from simulator.components.base import Component


class TokenSkip(Component, slot="token_skip"):
    """A unit that keeps halted tokens away from the array, or does not."""
