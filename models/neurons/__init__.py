"""The spiking neurons: one file each, whose name is the neuron's.

`neuron_names` reads the folder and needs no torch; `neuron_named` imports the file.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.neurons.base import Neuron


def neuron_names() -> tuple[str, ...]:
    """Return the names of all neurons."""
    return tuple(found.name for found in pkgutil.iter_modules(__path__) if found.name != "base")


def neuron_named(name: str) -> Neuron:
    """Return a neuron of the folder."""
    importlib.import_module(f"{__name__}.{name}")
    from models.neurons.base import NEURONS

    return NEURONS[name]
