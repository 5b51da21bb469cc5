"""The layers of an image as the field counts them: what its energy convention takes."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Floats
from simulator.energy.field_convention import (
    CONVENTIONS,
    FieldAttention,
    FieldLayer,
    count_layer,
    field_energy,
)
from simulator.energy.rates import Rates
from simulator.operations import Layer, Network


class FieldColumns(NamedTuple):
    """Hold the field's counts and energy of I images, float64 (I, conventions, stages).

    input_rate: float64 (I, layers), share of the values entering each layer that are not zero.
    """

    stages: tuple[str, ...]
    conventions: tuple[str, ...]
    macs: Floats
    acs: Floats
    energy_pj: Floats
    input_rate: Floats


def field_columns(network: Network, rates: Rates) -> FieldColumns:
    """Return MACs, ACs and energy of images by convention and stage, and rates by layer."""
    layers = field_layers(network, rates)
    stages = tuple(sorted({layer.stage for layer in layers}))
    images = len(rates.images)
    shape = (images, len(CONVENTIONS), len(stages))
    macs, acs, energy_pj = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    known = [count_layer(layer, CONVENTIONS[0]) for layer in layers]
    for place, convention in enumerate(CONVENTIONS):
        # Conventions differ in layers that read integers alone.
        counts = [
            count_layer(layer, convention)
            if getattr(layer, "input_kind", "") == "integer"
            else count
            for layer, count in zip(layers, known, strict=True)
        ]
        mac, ac = (np.empty((len(layers), images)) for _ in range(2))
        for row, count in enumerate(counts):
            mac[row], ac[row] = count.mac_count, count.ac_count
        each_pj = field_energy(mac, ac)
        for column, stage in enumerate(stages):
            own = [row for row, layer in enumerate(layers) if layer.stage == stage]
            where = (slice(None), place, column)
            macs[where], acs[where] = sum(mac[own]), sum(ac[own])
            energy_pj[where] = [math.fsum(terms) for terms in each_pj[own].T.tolist()]
    # The head reads real values, the mean of the last block's tokens: all of them count.
    firing = [
        rates.rate(layer.operand, layer.mask) if layer.operand else np.ones(images)
        for layer in network.layers
    ]
    return FieldColumns(stages, CONVENTIONS, macs, acs, energy_pj, np.stack(firing, axis=1))


def field_layers(network: Network, rates: Rates) -> list[FieldLayer | FieldAttention]:
    """Return the layers as the field counts them, with the rates of each image's tensors (I,)."""
    layers = (_field_layer(network, rates, layer) for layer in network.layers)
    return [layer for layer in layers if layer is not None]


def _field_layer(
    network: Network, rates: Rates, layer: Layer
) -> FieldLayer | FieldAttention | None:
    """Return a layer as the field counts it; scores are None, counted with their context."""

    def rate(name: str | None) -> Floats:
        return rates.rate(name or "", layer.mask)

    name, steps, stage = layer.name, layer.timesteps, layer.stage
    if layer.kind == "attention_scores":
        return None
    if layer.kind == "head":
        return FieldLayer(name, 1, layer.dense_macs, "real", 1.0, stage)
    if layer.is_elementwise:
        # Masked sums: one AC for each spike of the first operand, as SDT's own count.
        dense = layer.rows * layer.inputs
        return FieldLayer(name, steps, dense, "spikes", rate(layer.operand), stage)
    if layer.kind == "attention_context":
        makers = [network.layers[producer] for producer in layer.producers]
        scores = next(maker for maker in makers if maker.kind == "attention_scores")
        q, k, v = (rate(tensor) for tensor in (scores.operand, scores.second, layer.operand))
        sizes = layer.groups, network.tokens, layer.rows
        return FieldAttention(name, steps, *sizes, q, k, v, stage)
    maker = any(op.output == layer.operand for each in network.layers for op in each.vector_ops)
    kind = ("integer" if layer.integer_input else "spikes") if maker else "image"
    return FieldLayer(name, steps, layer.dense_macs, kind, rate(layer.operand), stage)
