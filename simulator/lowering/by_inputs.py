"""Convolutions walked by input position: the rows of a product are then pixels of the input.

Each event of a row meets all outputs under the kernel, so sums over rows, blocks and cores are the
same work; how many outputs there are follows from where the row lies (`reach`).
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from simulator.architecture import Architecture
from simulator.config.arrays import Ints
from simulator.errors import LoweringError
from simulator.operations import Layer, Network
from simulator.operations.windows import Window, line


def by_inputs(network: Network, architecture: Architecture) -> Network:
    """Return the same network with convolutions by input where their array walks them so."""
    core = architecture.core
    layers = tuple(
        _by_inputs(layer)
        if layer.kind == "conv2d" and core.arrays[core.array_for(layer.product_class)].walks_inputs
        else layer
        for layer in network.layers
    )
    return network if layers == network.layers else replace(network, layers=layers)


def _by_inputs(layer: Layer) -> Layer:
    window = layer.window
    if window.is_transposed or layer.groups > 1:
        raise LoweringError(
            f"operation {layer.name}: a convolution in groups, or transposed: the array walks its "
            "input positions, and this version lowers those of plain convolutions"
        )
    return replace(
        layer,
        rows=window.pixels,
        inputs=layer.inputs // window.taps,
        window=line(window.pixels),
        scattered=window,
    )


@lru_cache(maxsize=256)
def reach(window: Window) -> Ints:
    """Return int64 (input pixels,), output positions that a pixel is added to."""
    by_axis = []
    sizes = zip(*window[:-1], strict=True)  # no spread: it is not transposed
    for kernel, stride, padding, size, outputs, dilation in sizes:
        taps = np.arange(kernel) * dilation - padding
        starts = np.arange(size)[:, None] - taps
        place, rest = np.divmod(starts, stride)
        by_axis.append(((rest == 0) & (place >= 0) & (place < outputs)).sum(axis=1))
    depth, height, width = by_axis
    found: Ints = np.multiply.outer(np.multiply.outer(depth, height), width).ravel()
    return found.astype(np.int64)
