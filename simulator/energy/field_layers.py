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
        bits = np.stack([image.tensors[name] for image in images])
        active = None if masked is None else np.stack([each.active[masked] for each in images])
        timesteps, _, rows, _ = bits.shape[1:]
        size = rows * (timesteps if masked is None else network.timesteps) * tensor.channels
        known[name, mask] = _nonzero(bits, active) / size
    return known[name, mask]


def _nonzero(bits: npt.NDArray[np.uint8], active: npt.NDArray[np.bool_] | None) -> Floats:
    """Return how many values of each image are not zero; halted rows count as zeros.

    `bits`: (image, timestep, plane, row, byte); `active`: (image, timestep, row), or None.
    """
    values = np.bitwise_or.reduce(bits, axis=2) if bits.shape[2] > 1 else bits[:, :, 0]
    if active is not None:
        by_row = np.bitwise_count(values).sum(axis=3, dtype=np.int64)
        live: Floats = np.where(active, by_row, 0).sum(axis=(1, 2)).astype(np.float64)
        return live
    flat = np.ascontiguousarray(values).reshape(len(bits), -1)
    # Eight bytes are counted together where that is possible.
    words = flat.view(np.uint64) if flat.shape[1] % 8 == 0 else flat
    ones: Floats = np.bitwise_count(words).sum(axis=1, dtype=np.int64).astype(np.float64)
    return ones
