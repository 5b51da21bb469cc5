"""What a machine's actions cost and what it draws at rest: its table's prices, looked up once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from simulator.architecture import Architecture
from simulator.energy.derived import action_energy_pj, latency_ms, leakage_energy_pj, sums_pj
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

    def layer_energies_pj(
        self, actions: Sequence[tuple[str, str]], counts: npt.NDArray[np.int64]
    ) -> list[float]:
        """Return the dynamic energy of each layer from counts (layer, action)."""
        each_pj = np.array([self.price_pj[key] for key in actions], np.float64)
        of_layer = np.repeat(np.arange(len(counts)), len(actions))
        energies = action_energy_pj(counts, each_pj).ravel()
        total: list[float] = sums_pj(energies, of_layer, len(counts)).tolist()
        return total

    @property
    def power_uw(self) -> float:
        """Power at rest of all parts."""
        return sum(leak.power_uw for leak in self.leakage.values())

    def leakage_pj(self, latency_cycles: int) -> float:
        """Return the energy at rest of some cycles."""
        return float(leakage_energy_pj(self.power_uw, latency_ms(latency_cycles, self.clock_mhz)))


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
