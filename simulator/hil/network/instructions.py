"""Instructions of the network engine as the RTL reads them (network_pkg.sv)."""

from __future__ import annotations

import numpy as np

from simulator.config.arrays import Bools, Ints

FROM_MAP, FROM_TOKENS, FROM_VALUES, FROM_PACKED = range(4)
FETCHED, KEYS, SCORES = range(3)
KEPT, SPIKES, COUNTED = range(3)
TO_NONE, TO_MAP, TO_TOKENS, TO_KEYS, TO_VALUES, TO_PACKED = range(6)
"""Codes of operand, weights, neurons and target."""

FIELDS = {
    "halting": 1,
    "section": 1,
    "loop_end": 1,
    "stateful": 1,
    "back": 5,
    "weights_wait": 1,
    "weights": 2,
    "operand": 2,
    "from_image": 1,
    "scan": 1,
    "listed": 1,
    "keep_local": 1,
    "neurons": 2,
    "pool": 1,
    "residual": 1,
    "put_stream": 1,
    "attention": 1,
    "target": 3,
    "fraction": 3,
    "rows": 16,
    "width": 8,
    "word_base": 16,
    "row_entries": 8,
    "plane_groups": 8,
    "channels": 8,
    "chunk_taps": 4,
    "slices": 4,
    "part": 2,
    "planes": 8,
    "chunks": 8,
    "tiles": 8,
    "inputs": 8,
    "last_inputs": 8,
    "weight_base": 16,
    "chunk_words": 8,
    "last_words": 8,
    "constant_base": 16,
    "membrane_base": 16,
    "stream_in": 16,
    "stream_out": 16,
    "result_base": 16,
    "result_entries": 8,
    "result_width": 8,
    "tokens": 16,
}
"""Of network_pkg.sv, the first one in the highest bits."""


def bits_of(values: Ints, bits: int) -> Bools:
    """Return whole numbers as bits, the lowest first, one number after the other."""
    digits: Bools = ((values[:, None] >> np.arange(bits)) & 1).reshape(-1).astype(np.bool_)
    return digits
