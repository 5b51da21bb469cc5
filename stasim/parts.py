"""What hardware of your own is made from: base classes and what they exchange (docs/extending.md).

A package brings its parts by an entry point of the group `stasim.components` that names the module
of the class.
"""

from __future__ import annotations

from stasim.house import require

require("simulator")

from simulator.components.base import Action, Component, Primitive  # noqa: E402
from simulator.components.dataflows.base import Dataflow  # noqa: E402
from simulator.components.interconnects.base import Interconnect  # noqa: E402
from simulator.components.memories.base import Memory, Transfer  # noqa: E402
from simulator.components.pe_arrays.base import ArrayCost, PEArray, Tiles  # noqa: E402
from simulator.components.token_skip.base import Scan, TokenSkip  # noqa: E402
from simulator.components.vector_units.base import VectorUnit  # noqa: E402

__all__ = [
    "Action",
    "ArrayCost",
    "Component",
    "Dataflow",
    "Interconnect",
    "Memory",
    "PEArray",
    "Primitive",
    "Scan",
    "Tiles",
    "TokenSkip",
    "Transfer",
    "VectorUnit",
]
