"""The layers of an image as the field counts them: what its energy convention is fed with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.energy.field_convention import (
    CONVENTIONS,
    FieldAttention,
    FieldLayer,
    LayerCount,
    count_layer,
)
from simulator.operations import Network
from simulator.trace import Image

Floats = npt.NDArray[np.float64]


class FieldColumns(NamedTuple):
    """The field's counts and energy of I images, float64 (I, conventions, stages)."""

    stages: tuple[str, ...]
    conventions: tuple[str, ...]
    macs: Floats
    acs: Floats
    energy_pj: Floats


def field_columns(network: Network, images: Sequence[Image]) -> FieldColumns:
    """Return MACs, ACs and energy of images by convention and stage."""
    layers = field_layers(network, images)
    stages = tuple(sorted({layer.stage for layer in layers}))
    shape = (len(images), len(CONVENTIONS), len(stages))
    macs, acs, energy_pj = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for place, convention in enumerate(CONVENTIONS):
        counts = [count_layer(layer, convention) for layer in layers]
        for column, stage in enumerate(stages):
            own = [count for count in counts if count.stage == stage]
            where = (slice(None), place, column)
            macs[where] = sum(count.mac_count for count in own)
            acs[where] = sum(count.ac_count for count in own)
            energy_pj[where] = _fsums(own, len(images))
    return FieldColumns(stages, CONVENTIONS, macs, acs, energy_pj)


def _fsums(counts: Sequence[LayerCount], images: int) -> list[float]:
    """Return the energy of some layers, rounded once, for each image."""
    each = [np.broadcast_to(count.energy_pj, images) for count in counts]
    return [math.fsum(terms) for terms in np.array(each).T.tolist()]


def field_layers(network: Network, images: Sequence[Image]) -> list[FieldLayer | FieldAttention]:
    """Return the layers as the field counts them, with the rates of each image's tensors (I,).

    A tensor that feeds all timesteps under a mask counts halted rows as zeros.
    """
    found: list[FieldLayer | FieldAttention] = []
    rates: dict[tuple[str, str | None], Floats] = {}
    for layer in network.layers:
        if layer.kind == "head":
            found.append(FieldLayer(layer.name, 1, layer.dense_macs, "real", 1.0, layer.stage))
            continue
        if layer.kind == "attention_scores":
            continue
        if layer.is_elementwise:
            # Masked sums: one AC for each spike of the first operand, as SDT's own count.
            rate = _rate(network, images, layer.operand or "", layer.mask, rates)
            dense = layer.rows * layer.inputs
            found.append(
                FieldLayer(layer.name, layer.timesteps, dense, "spikes", rate, layer.stage)
            )
            continue
        if layer.kind == "attention_context":
            makers = [network.layers[producer] for producer in layer.producers]
            scores = next(maker for maker in makers if maker.kind == "attention_scores")
            q, k, v = (
                _rate(network, images, name or "", None, rates)
                for name in (scores.operand, scores.second, layer.operand)
            )
            found.append(
                FieldAttention(
                    layer.name,
                    layer.timesteps,
                    layer.groups,
                    network.tokens,
                    layer.rows,
                    q,
                    k,
                    v,
                    layer.stage,
                )
            )
            continue
        kind = "spikes" if not layer.integer_input else "integer"
        maker = any(op.output == layer.operand for each in network.layers for op in each.vector_ops)
        kind = kind if maker else "image"
        rate = _rate(network, images, layer.operand or "", layer.mask, rates)
        found.append(
            FieldLayer(layer.name, layer.timesteps, layer.dense_macs, kind, rate, layer.stage)
        )
    return found


def _rate(
    network: Network,
    images: Sequence[Image],
    name: str,
    mask: str | None,
    known: dict[tuple[str, str | None], Floats],
) -> Floats:
    """Return the fraction of values that are not zero, for each image."""
    if (name, mask) not in known:
        tensor = network.tensors[name]
        masked = mask if mask is not None and tensor.mask is None else None
        counts = [_nonzero(image, name, masked) for image in images]
        timesteps, _, rows, _ = images[0].tensors[name].shape
        size = rows * (timesteps if masked is None else network.timesteps) * tensor.channels
        known[name, mask] = np.array(counts, np.float64) / size
    return known[name, mask]


def _nonzero(image: Image, name: str, mask: str | None) -> int:
    """Return how many values of a tensor are not zero; halted rows of the mask count as zeros."""
    bits = image.tensors[name]
    values = np.bitwise_or.reduce(bits, axis=1) if bits.shape[1] > 1 else bits[:, 0]
    if mask is None:
        return _ones(values)
    by_row = np.bitwise_count(values).sum(axis=2, dtype=np.int64)
    return int(np.where(image.active[mask], by_row, 0).sum())


def _ones(packed: npt.NDArray[np.uint8]) -> int:
    """Return how many bits are set; eight bytes are counted together where that is possible."""
    flat = np.ascontiguousarray(packed).reshape(-1)
    whole = len(flat) // 8 * 8
    words = np.bitwise_count(flat[:whole].view(np.uint64))
    return int(words.sum(dtype=np.int64) + np.bitwise_count(flat[whole:]).sum(dtype=np.int64))
