"""What every part of the slot pe_arrays offers."""

from __future__ import annotations

from simulator.components.base import Component


class PEArray(Component, slot="pe_arrays"):
    """An array of processing elements."""
