"""An image of a trace as Prosperity's simulator would see it.

What that simulator does not know is cut to what it knows: the first layer, pools, residuals, the
head and halting decisions are left out; linear layers that read the same operand (q, k and v) are
one; an integer operand counts as spikes where it is not zero; a halted token is a row of zeros; an
operand that serves all timesteps is repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import numpy.typing as npt

from simulator.compat.workload import (
    Attention,
    Neurons,
    Operation,
    Product,
    Words,
    pack_rows,
    unfold,
)
from simulator.errors import LoweringError
from simulator.operations import Layer, Network
from simulator.trace import Image, unpack_bits

Bits = npt.NDArray[np.bool_]


def operations_of(network: Network, image: Image | None = None) -> list[Operation]:
    """The operations that are charged; without an image, shapes only.

    Raises LoweringError for a kind of layer that the source has no rule for.
    """
    found: list[Operation] = []
    shared: dict[tuple[str | None, str | None], int] = {}
    for layer in network.layers:
        if layer.kind == "head" or _is_first(layer, network):
            continue
        if layer.kind == "attention_scores":
            continue
        if layer.kind == "attention_context":
            found.append(_attention(layer, network, image))
        elif layer.kind in ("conv2d", "linear"):
            key = (layer.operand, layer.name if layer.kind == "conv2d" else None)
            if key in shared:
                _merge(found, shared[key], layer)
                continue
            shared[key] = len(found)
            found.append(_product(layer, image))
        else:
            raise LoweringError(
                f"operation {layer.name}: kind {layer.kind}: prosperity_compat has rules for "
                "conv2d, linear, attention_scores and attention_context only"
            )
        found += _neurons(layer)
    return found


def _is_first(layer: Layer, network: Network) -> bool:
    """Whether a layer reads the image: a tensor that no operation makes."""
    made = {op.output for each in network.layers for op in each.vector_ops}
    return layer.operand not in made


def _neurons(layer: Layer) -> Iterator[Neurons]:
    for op in layer.vector_ops:
        if op.kind == "lif":
            yield Neurons(op.name, op.rows * op.channels, op.timesteps)


def _merge(found: list[Operation], index: int, layer: Layer) -> None:
    """Add a layer's outputs and neurons to those of the layer that reads the same operand."""
    product = found[index]
    assert isinstance(product, Product)
    found[index] = product._replace(outputs=product.outputs + layer.outputs)
    more = sum(neurons.count for neurons in _neurons(layer))
    if more and index + 1 < len(found):
        neurons = found[index + 1]
        assert isinstance(neurons, Neurons)
        found[index + 1] = neurons._replace(count=neurons.count + more)


def _product(layer: Layer, image: Image | None) -> Product:
    return Product(
        layer.name,
        layer.timesteps,
        layer.rows,
        layer.inputs,
        layer.outputs,
        layer.window.taps,
        None if image is None else partial(_rows, layer, image),
    )


def _values(name: str, channels: int, image: Image, mask: str | None, timesteps: int) -> Bits:
    """bool (timestep, row, channel): where a tensor is not zero and its row not halted."""
    planes = np.bitwise_or.reduce(image.tensors[name], axis=1)
    bits = unpack_bits(planes, channels)
    bits = np.broadcast_to(bits, (timesteps, *bits.shape[1:]))
    return bits & image.active[mask][:timesteps, :, None] if mask is not None else bits


def _rows(layer: Layer, image: Image) -> Words:
    """The operand of a layer, rows unfolded."""
    bits = _values(str(layer.operand), layer.channels, image, layer.mask, layer.timesteps)
    if layer.kind == "linear":
        return pack_rows(bits)
    height, width = layer.window.in_grid
    maps = bits.reshape(layer.timesteps, height, width, -1).transpose(0, 3, 1, 2)
    return unfold(maps, layer.window.kernel, layer.window.stride, layer.window.padding)


def _attention(layer: Layer, network: Network, image: Image | None) -> Attention:
    """Both products of an attention, from the second one and the scores before it."""
    scores = next(
        network.layers[index]
        for index in layer.producers
        if network.layers[index].kind == "attention_scores"
    )
    names = (str(scores.operand), str(scores.second), str(layer.operand))
    channels = layer.groups * layer.rows

    def spikes(held: Image) -> Bits:
        return np.stack(
            [_values(name, channels, held, layer.mask, layer.timesteps) for name in names]
        )

    return Attention(
        layer.name,
        "spikformer",
        layer.timesteps,
        network.tokens,
        layer.groups,
        layer.rows,
        None if image is None else partial(spikes, image),
    )
