"""What a machine's actions cost and what it draws at rest: its table's prices, looked up once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from simulator.architecture import Architecture
from simulator.energy.pricing import EnergyTable
from simulator.errors import PricingError


class MachinePrices:
    """The prices of a machine's actions and its leakage, each with its source.

    `actions`: price by "part.action"; `price_pj`: the bare number by (part, action); `meanings`:
    each action in words; `leakage`: by part. Raises
    PricingError if the table is of another node or an action has no price in it.
    """

    def __init__(self, architecture: Architecture) -> None:
        self.table = _energy_table(architecture)
        self.clock_mhz = architecture.clock_mhz
        actions = {
            f"{path}.{name}": action
            for path, part in architecture.parts()
            for name, action in part.actions().items()
        }
        self.table.check_overrides(actions)
        self.actions = self.table.prices(actions)
        self.price_pj = {
            (name.rpartition(".")[0], name.rpartition(".")[2]): price.energy_pj
            for name, price in self.actions.items()
        }
        self.meanings = {name: action.meaning for name, action in actions.items()}
        self.leakage = {
            path: self.table.total_leakage(part.leakage())
            for path, part in architecture.parts()
            if part.leakage()
        }

    def priced(
        self, counts: Mapping[tuple[int, str, str], int]
    ) -> list[tuple[int, str, str, int, float]]:
        """(layer, part, action, count, energy in pJ) of each count, in the order of the keys."""
        price = self.price_pj
        return [
            (layer, part, action, count, count * price[part, action])
            for (layer, part, action), count in sorted(counts.items())
        ]

    def layer_energies_pj(
        self, counts: Mapping[tuple[int, str, str], int], layers: int
    ) -> list[float]:
        """Dynamic energy of each layer from counts by (layer, part, action)."""
        return sum_by_layer(self.priced(counts), layers)

    def leakage_pj(self, latency_cycles: int) -> float:
        """Energy at rest of so many cycles."""
        latency_ms = latency_cycles / (self.clock_mhz * 1e3)
        return sum(leak.power_uw for leak in self.leakage.values()) * latency_ms * 1e3


def sum_by_layer(priced: Iterable[tuple[int, str, str, int, float]], layers: int) -> list[float]:
    """Energy of each layer; added up in order, so that the same counts give the same bits."""
    energies = [0.0] * layers
    for layer, _, _, _, energy_pj in priced:
        energies[layer] += energy_pj
    return energies


def _energy_table(architecture: Architecture) -> EnergyTable:
    """The table that a machine names, for the node that the machine states."""
    name = architecture.technology.energy_table
    path = architecture.folder / name
    table = EnergyTable.load(path) if name.endswith((".yaml", ".yml")) else _built_in(name)
    if table.node_nm != architecture.technology.node_nm:
        raise PricingError(
            f"{architecture.name}: technology.energy_table: {name} is for {table.node_nm} nm: must "
            f"be for technology.node_nm, {architecture.technology.node_nm}"
        )
    return table


@cache
def _built_in(name: str) -> EnergyTable:
    """A table that comes with the simulator; a search asks for it at every point."""
    return EnergyTable.load(name)
