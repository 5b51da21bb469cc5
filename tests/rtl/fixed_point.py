"""The LIF neuron in fixed point, written from its formula: the oracle of the RTL."""

from __future__ import annotations

import numpy as np


def lif_step(
    sums: np.ndarray,
    bias: np.ndarray,
    membrane: np.ndarray,
    threshold: int,
    fraction_bits: int,
    membrane_bits: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Spikes and membranes after a step: v' = v + (x - v) / 2, rounded down, saturated."""
    limit = 1 << (membrane_bits - 1)
    current = (sums + bias) << fraction_bits
    charged = np.clip((current + membrane) >> 1, -limit, limit - 1)
    spikes = charged >= threshold
    return spikes, np.where(spikes, 0, charged)
