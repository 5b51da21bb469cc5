"""What every part of the slot dataflows offers."""

from __future__ import annotations

from simulator.components.base import Component


class Dataflow(Component, slot="dataflows"):
    """A dataflow: the order of the loops, their tiles, and what may overlap."""
