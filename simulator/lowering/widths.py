"""The widths at which a machine moves and stores a trace's numbers, and those it was trained at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from simulator.components.precision import Precision
from simulator.operations import Layer, Network, Stream
from simulator.trace import TensorSpec


@lru_cache(maxsize=8)
def at_widths(network: Network, precision: Precision) -> Network:
    """Return the network with weights, integers, streams and products at a machine's widths."""
    layers: list[Layer] = []
    for layer in network.layers:
        planes, second = (
            min(each, precision.activations_bits) for each in (layer.planes, layer.second_planes)
        )
        made = [
            layers[producer].product_bits for producer in layer.producers if producer < layer.index
        ]
        layers.append(
            replace(
                layer,
                weight_bits=precision.weights_bits if layer.weight_bits else 0,
                planes=planes,
                second_planes=second,
                product_bits=max(precision.products_bits, needed_bits(layer, planes, second)),
                factor_bits=max([precision.products_bits, *made]),
            )
        )
    held = {name: _at_width(each, precision) for name, each in network.held.items()}
    return replace(network, layers=tuple(layers), held=held)


def _at_width(held: TensorSpec | Stream, precision: Precision) -> TensorSpec | Stream:
    if isinstance(held, TensorSpec):
        return replace(held, planes=min(held.planes, precision.activations_bits))
    return held if held.planes == 1 else held._replace(planes=precision.residuals_bits)


def needed_bits(layer: Layer, planes: int, second_planes: int) -> int:
    """Return the bits of the largest result of a product that feeds another; 0 for others."""
    if not layer.feeds_product:
        return 0
    largest = layer.inputs * ((1 << planes) - 1) * ((1 << second_planes) - 1)
    return largest.bit_length()


def trained_widths(network: Network, lowered: Network) -> Mapping[str, int]:
    """Return the widths of a trace, by the names of a machine's; 0 for what it does not have.

    `lowered`: the same at a machine's widths and in its order of products.
    """
    return {
        "weights_bits": max((layer.weight_bits for layer in network.layers), default=0),
        "activations_bits": max((layer.planes for layer in network.layers), default=0),
        "products_bits": max(
            (needed_bits(each, each.planes, each.second_planes) for each in lowered.layers),
            default=0,
        ),
    }
