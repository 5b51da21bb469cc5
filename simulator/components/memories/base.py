"""What every part of the slot memories offers."""

from __future__ import annotations

from simulator.components.base import Component


class Memory(Component, slot="memories"):
    """A memory: a local buffer, a global one, or DRAM."""
