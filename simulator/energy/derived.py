"""What follows from counts, cycles and prices: each formula once, on numbers or on columns.

A simulation, a result at other prices, a live device and the checks of a result all use these.
Energies are added up one after another, in order, so that the same counts give the same bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.config.arrays import Floats, Ints


def action_energy_pj(count: Any, price_pj: Any) -> Any:
    """Return the energy of actions done `count` times at `price_pj` each."""
    return count * price_pj


def sums_pj(energies_pj: Any, group: Ints, groups: int) -> Floats:
    """Return the energy of each group: those of a layer's actions, those of an image's layers.

    `np.bincount` adds in the order of the rows; `np.sum` does not.
    """
    weights = np.asarray(energies_pj, np.float64)
    return np.bincount(group, weights, minlength=groups).astype(np.float64)


def sum_pj(energies_pj: Any) -> float:
    """Return the sum of energies in their order."""
    return float(sums_pj(energies_pj, np.zeros(len(energies_pj), np.int64), 1)[0])


def latency_ms(latency_cycles: Any, clock_mhz: float) -> Any:
    """Return the time that cycles take at a clock."""
    return latency_cycles / (clock_mhz * 1e3)


def leakage_energy_pj(power_uw: float, latency_ms: Any) -> Any:
    """Return the energy drawn at rest; 1 uW for 1 ms is 1 nJ."""
    return power_uw * latency_ms * 1e3


def energy_delay_pj_ms(energy_pj: Any, latency_ms: Any) -> Any:
    """Return energy times latency (EDP)."""
    return energy_pj * latency_ms


def utilization(additions: Any, adders: int, latency_cycles: Any) -> Any:
    """Return the needed additions per addition that the adders could have done."""
    return additions / (adders * latency_cycles)


def occupancy(busy_cycles: Any, servers: Any, latency_cycles: Any) -> Any:
    """Return the busy cycles per server and cycle of latency."""
    return busy_cycles / (servers * latency_cycles)
