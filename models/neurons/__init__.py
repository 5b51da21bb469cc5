"""The spiking neurons: one file each, whose name is the neuron's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.networks.registry import Registry

if TYPE_CHECKING:
    from models.neurons.base import Neuron

NEURONS: Registry[Neuron] = Registry("neuron", __name__, lambda name, kind: kind())
DEFAULT_NEURON = "lif"
"""The neuron of the published networks."""
