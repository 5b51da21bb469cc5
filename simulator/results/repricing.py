"""A replay priced anew: another table, voltage, clock or part price, without simulating again.

    if simulation_key(machine) == simulation_key(other):
        result = reprice(result, other)      # the same, to the last bit, as simulating `other`

What qualifies: everything under `technology` (node, voltage, energy table); the DRAM's standard,
which decides its price per bit; the width of a SIMD lane's adders. The clock qualifies only where
the DRAM takes as many cycles as before, that is, where the clock is multiplied and all the DRAM's
times are divided by the same power of two: a DRAM's nanoseconds are more cycles of a faster clock.
Everything else is simulated again.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel

from simulator.architecture import Architecture
from simulator.components.base import Component
from simulator.energy.machine import MachinePrices
from simulator.errors import ResultError
from simulator.results.provenance import add_price_rows, machine_provenance
from simulator.results.result import Result
from simulator.results.schema import SCHEMAS

PRICED = ("name", "source", "technology", "clock_mhz")
"""Fields of a machine that no cycle or count follows from; parts know what the clock does."""


def simulation_key(architecture: Architecture) -> str:
    """`sha256:<hex>`; a trace gives machines with equal keys the same cycles and counts."""
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


def reprice(result: Result, architecture: Architecture, command: str = "") -> Result:
    """The result that simulating the same images on `architecture` would give.

    `architecture` must have the simulation_key of the result's own machine; the caller knows that
    one. Raises ResultError if it has not even the parts, PricingError if an action has no price.
    """
    prices = MachinePrices(architecture)
    rows: dict[str, dict[str, list[Any]]] = {
        name: {column: [] for column in SCHEMAS[name].columns} for name in ("prices", "leakage")
    }
    add_price_rows(prices, rows)
    tables = dict(result.tables) | {name: pd.DataFrame(columns) for name, columns in rows.items()}
    tables["actions"] = _priced_actions(result.tables["actions"], prices)
    energies = _layer_energies(result.tables["layers"], tables["actions"])
    tables["layers"] = result.tables["layers"].assign(energy_pj=energies)
    tables["images"] = _priced_images(result.tables["images"], tables["layers"], prices)
    granularity = str(result.provenance["trace"]["model"]["halting"]["granularity"])
    provenance = result.provenance | machine_provenance(architecture, prices, granularity)
    return Result(provenance | {"command": command}, tables)


def _priced_actions(actions: pd.DataFrame, prices: MachinePrices) -> pd.DataFrame:
    names = [
        f"{part}.{name}" for part, name in zip(actions["part"], actions["action"], strict=True)
    ]
    unknown = sorted(set(names) - prices.actions.keys())
    if unknown:
        raise ResultError(f"repricing: {unknown[0]}: must be an action of the machine")
    each_pj = np.array([prices.actions[name].energy_pj for name in names], np.float64)
    return actions.assign(energy_pj=actions["count"].to_numpy() * each_pj)


def _layer_energies(layers: pd.DataFrame, actions: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Sums in the order of the rows, as the simulation adds them up."""
    place = {
        key: position
        for position, key in enumerate(zip(layers["image"], layers["layer"], strict=True))
    }
    keys = zip(actions["image"], actions["layer"], strict=True)
    of_layer = np.array([place[key] for key in keys], np.int64)
    energies = np.zeros(len(layers), np.float64)
    np.add.at(energies, of_layer, actions["energy_pj"].to_numpy())
    return energies


def _priced_images(
    images: pd.DataFrame, layers: pd.DataFrame, prices: MachinePrices
) -> pd.DataFrame:
    dynamic: dict[int, list[float]] = {image: [] for image in images["image"].tolist()}
    for image, energy_pj in zip(layers["image"], layers["energy_pj"].tolist(), strict=True):
        dynamic[image].append(energy_pj)
    dynamic_pj = np.array([sum(energies) for energies in dynamic.values()])
    cycles = images["latency_cycles"].tolist()
    latency_ms = np.array([latency / (prices.clock_mhz * 1e3) for latency in cycles])
    leakage_pj = np.array([prices.leakage_pj(latency) for latency in cycles])
    energy_pj = dynamic_pj + leakage_pj
    return images.assign(
        latency_ms=latency_ms,
        dynamic_energy_pj=dynamic_pj,
        leakage_energy_pj=leakage_pj,
        energy_pj=energy_pj,
        energy_delay_pj_ms=energy_pj * latency_ms,
    )
