"""What every part of the slot vector_units offers."""

from __future__ import annotations

from simulator.components.base import Component


class VectorUnit(Component, slot="vector_units"):
    """A vector unit: neuron updates, residuals, pooling, halting scores."""
