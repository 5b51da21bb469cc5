"""What must be computed: a trace's operations as layers.

A layer is one matrix operation (convolution, linear, attention product, head) with the element-wise
operations that follow it (pool, LIF, residual, integration, halting). A layer under a mask has, at
each timestep, only the rows of tokens that are active. Nothing in this room knows any hardware.
"""

from simulator.operations.layers import (
    ELEMENT_KINDS,
    MATRIX_KINDS,
    Layer,
    Network,
    Stream,
    VectorOp,
    key_values_first,
)
from simulator.operations.reading import read_network

__all__ = [
    "ELEMENT_KINDS",
    "MATRIX_KINDS",
    "Layer",
    "Network",
    "Stream",
    "VectorOp",
    "key_values_first",
    "read_network",
]
