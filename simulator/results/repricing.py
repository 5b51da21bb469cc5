"""A replay at other prices: another table, voltage, clock or part price, without simulating again.

    if simulation_key(machine) == simulation_key(other):
        result = reprice(result, other)      # the same, to the last bit, as simulating `other`

What qualifies: everything under `technology` (node, voltage, energy table); the DRAM's standard,
which decides its price per bit. The clock qualifies only where
the DRAM takes as many cycles as before, that is, where the clock is multiplied and all the DRAM's
times are divided by the same power of two: a DRAM's nanoseconds are more cycles of a faster clock.
Everything else is simulated again.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel

from simulator.architecture import Architecture
from simulator.components.base import Component
from simulator.energy.machine import MachinePrices
from simulator.errors import ResultError
from simulator.results.priced import priced
from simulator.results.provenance import machine_provenance
from simulator.results.result import Result

PRICED = ("name", "source", "technology", "clock_mhz")
"""Fields of a machine that no cycle or count follows from; parts know what the clock does."""


def simulation_key(architecture: Architecture) -> str:
    """Return `sha256:<hex>`; machines with equal keys have equal cycles and counts."""
    fields = {
        name: _simulated(getattr(architecture, name), architecture.clock_mhz)
        for name in type(architecture).model_fields
        if name not in PRICED
    }
    text = json.dumps(fields, sort_keys=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _simulated(value: Any, clock_mhz: float) -> Any:
    if isinstance(value, Component):
        return value.simulated(clock_mhz)
    if isinstance(value, BaseModel):
        names = type(value).model_fields
        return {name: _simulated(getattr(value, name), clock_mhz) for name in names}
    if isinstance(value, tuple | list):
        return [_simulated(item, clock_mhz) for item in value]
    return value


def reprice(result: Result, architecture: Architecture) -> Result:
    """Return the result that simulating the same images on `architecture` would give.

    `architecture` must have the simulation_key of the result's own machine; the caller knows that
    one. Raises ResultError if it has not even the parts, PricingError if an action has no price.
    """
    clock_mhz = result.provenance["architecture"]["clock_mhz"]
    if "stream" in result.provenance and architecture.clock_mhz != clock_mhz:
        raise ResultError(
            f"clock_mhz: {architecture.clock_mhz}: must be {clock_mhz}, at which the images of "
            "the stream arrived"
        )
    prices = MachinePrices(architecture)
    granularity = str(result.provenance["trace"]["model"]["halting"]["granularity"])
    provenance = result.provenance | machine_provenance(architecture, prices, granularity)
    return Result(provenance | {"command": ""}, priced(result.all_columns(), prices))
