"""Instructions of the network engine, as network_pkg.sv states them."""

from __future__ import annotations

import numpy as np

from simulator.config.arrays import Bools, Ints
from simulator.hil.benches import instruction_fields

FROM_MAP, FROM_TOKENS, FROM_VALUES, FROM_PACKED = range(4)
FETCHED, KEYS, SCORES = range(3)
KEPT, SPIKES, COUNTED = range(3)
TO_NONE, TO_MAP, TO_TOKENS, TO_KEYS, TO_VALUES, TO_PACKED = range(6)
"""Codes of operand, weights, neurons and target."""

FIELDS = instruction_fields("network_pkg.sv")


def bits_of(values: Ints, bits: int) -> Bools:
    """Return integers as bits, the lowest first, one number after the other."""
    digits: Bools = ((values[:, None] >> np.arange(bits)) & 1).reshape(-1).astype(np.bool_)
    return digits
