"""The layers of an image as the field counts them: what its energy convention is fed with."""

from __future__ import annotations

import numpy as np

from simulator.energy.field_convention import FieldAttention, FieldLayer
from simulator.operations import Network
from simulator.trace import Image


def field_layers(network: Network, image: Image) -> list[FieldLayer | FieldAttention]:
    """The layers of an image as the field counts them, with the rates of its tensors.

    A tensor that feeds all timesteps under a mask counts halted rows as zeros.
    """
    found: list[FieldLayer | FieldAttention] = []
    rates: dict[tuple[str, str | None], float] = {}
    for layer in network.layers:
        if layer.kind == "head":
            found.append(FieldLayer(layer.name, 1, layer.dense_macs, "real", 1.0, layer.stage))
            continue
        if layer.kind == "attention_scores":
            continue
        if layer.is_elementwise:
            # Masked sums: one AC for each spike of the first operand, as SDT's own count.
            rate = _rate(network, image, layer.operand or "", layer.mask, rates)
            dense = layer.rows * layer.inputs
            found.append(
                FieldLayer(layer.name, layer.timesteps, dense, "spikes", rate, layer.stage)
            )
            continue
        if layer.kind == "attention_context":
            makers = [network.layers[producer] for producer in layer.producers]
            scores = next(maker for maker in makers if maker.kind == "attention_scores")
            q, k, v = (
                _rate(network, image, name or "", None, rates)
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
        rate = _rate(network, image, layer.operand or "", layer.mask, rates)
        found.append(
            FieldLayer(layer.name, layer.timesteps, layer.dense_macs, kind, rate, layer.stage)
        )
    return found


def _rate(
    network: Network,
    image: Image,
    name: str,
    mask: str | None,
    known: dict[tuple[str, str | None], float],
) -> float:
    """Fraction of values that are not zero."""
    if (name, mask) not in known:
        tensor, bits = network.tensors[name], image.tensors[name]
        values = np.bitwise_or.reduce(bits, axis=1) if bits.shape[1] > 1 else bits[:, 0]
        by_row = np.bitwise_count(values).sum(axis=2, dtype=np.int64)
        if mask is not None and tensor.mask is None:
            by_row = np.where(image.active[mask], by_row, 0)
        known[name, mask] = float(by_row.sum()) / (by_row.size * tensor.channels)
    return known[name, mask]
