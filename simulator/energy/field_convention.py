"""The energy that papers of the field print: 4.6 pJ a MAC, 0.9 pJ an AC, and nothing else.

45 nm, fp32, from M. Horowitz (ISSCC 2014): 0.9 pJ an addition, 3.7 pJ a multiplication. Layers that
read the image or real values count all their MACs, layers that read spikes the share of their MACs
whose input is 1, as ACs. Batch norm is folded; LIF, pooling, residuals, masks and every memory cost
nothing. It is printed beside the simulator's energy so that readers can connect; it prices no
machine.

A layer that reads *integers* (Spikformer's residual stream) is counted two ways in the literature,
and the choice changes a network's energy up to twofold, so both are computed and neither is hidden:
integers_as_acs (share of non-zero inputs x MACs x 0.9 pJ) and integers_as_macs (the same share of
MACs x 4.6 pJ).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from simulator.config.wording import shown, suggestion
from simulator.errors import PricingError

MAC_PJ = 4.6
AC_PJ = 0.9
"""Horowitz, ISSCC 2014, 45 nm, 0.9 V, fp32: 3.7 + 0.9 pJ a MAC, 0.9 pJ an AC."""

INTEGERS_AS_ACS = "integers_as_acs"
INTEGERS_AS_MACS = "integers_as_macs"
CONVENTIONS = (INTEGERS_AS_ACS, INTEGERS_AS_MACS)
INPUT_KINDS = ("image", "spikes", "integer", "real")


Rate: TypeAlias = Any
"""A float, or float64 (images,): counts and energies follow in the same form."""


class FieldLayer(NamedTuple):
    """Describe a convolution or linear layer as the field counts it.

    `dense_macs`: its MACs of one timestep, zeros included (counters that charge the bias add it
    here); `input_rate`: fraction of its input values that are not zero, over all timesteps and
    tokens, halted ones included as zeros; `stage`: any word to group by, such as "sps" or "blocks".
    """

    name: str
    timesteps: int
    dense_macs: int
    input_kind: str
    input_rate: Rate = 1.0
    stage: str = ""


class FieldAttention(NamedTuple):
    """Describe spiking self-attention, scores and context; rates are fractions of ones."""

    name: str
    timesteps: int
    heads: int
    tokens: int
    head_dim: int
    q_rate: Rate
    k_rate: Rate
    v_rate: Rate
    stage: str = ""


class LayerCount(NamedTuple):
    """Count operations of one layer over all timesteps; fractional, as rates are means."""

    name: str
    stage: str
    mac_count: Rate
    ac_count: Rate

    @property
    def energy_pj(self) -> Rate:
        return field_energy(self.mac_count, self.ac_count)


class FieldEnergy(NamedTuple):
    """Hold a network by the field's habit under one of the CONVENTIONS."""

    convention: str
    mac_count: float
    ac_count: float
    energy_pj: float
    layers: tuple[LayerCount, ...]

    def stage_energy_pj(self, stage: str) -> float:
        """Return the energy of the layers of one stage."""
        return math.fsum(float(layer.energy_pj) for layer in self.layers if layer.stage == stage)


def field_energy(mac_count: Rate, ac_count: Rate) -> Rate:
    """Return the pJ of MACs and ACs. Source: Horowitz, ISSCC 2014, fp32, 45 nm."""
    return MAC_PJ * mac_count + AC_PJ * ac_count


def attention_ac_count(attention: FieldAttention) -> Rate:
    """Count ACs of spiking self-attention as Spikingformer does, over all timesteps.

    T * heads * N * d_h^2 * (min(r_k, r_v) + r_q): K^T V first, as if an AC were done wherever the
    rarer of the two spikes, then Q (K^T V), an AC for each spike of Q. Linear in the tokens N.
    """
    base = attention.timesteps * attention.heads * attention.tokens * attention.head_dim**2
    return base * (np.minimum(attention.k_rate, attention.v_rate) + attention.q_rate)


def count_layer(layer: FieldLayer | FieldAttention, convention: str) -> LayerCount:
    """Count MACs and ACs of one layer. Raises PricingError for a value outside its range."""
    if convention not in CONVENTIONS:
        known = suggestion(convention, CONVENTIONS)
        raise PricingError(f"field convention {shown(convention)}", f"unknown {known}")
    _check(layer)
    if isinstance(layer, FieldAttention):
        return LayerCount(layer.name, layer.stage, 0.0, attention_ac_count(layer))
    dense = float(layer.timesteps * layer.dense_macs)
    if layer.input_kind in ("image", "real"):
        return LayerCount(layer.name, layer.stage, dense, 0.0)
    count = dense * layer.input_rate
    if layer.input_kind == "integer" and convention == INTEGERS_AS_MACS:
        return LayerCount(layer.name, layer.stage, count, 0.0)
    return LayerCount(layer.name, layer.stage, 0.0, count)


def trace_field_energy(
    layers: Iterable[FieldLayer | FieldAttention], convention: str
) -> FieldEnergy:
    """Return the field's energy of a network whose layers and input rates were taken from a trace.

    List convolutions, linear layers, the head and the attentions; what the field does not charge
    (LIF, pooling, residual, halting) is left out by not listing it.
    """
    counts = tuple(count_layer(layer, convention) for layer in layers)
    mac_count = math.fsum(float(count.mac_count) for count in counts)
    ac_count = math.fsum(float(count.ac_count) for count in counts)
    energy_pj = float(field_energy(mac_count, ac_count))
    return FieldEnergy(convention, mac_count, ac_count, energy_pj, counts)


def _check(layer: FieldLayer | FieldAttention) -> None:
    if isinstance(layer, FieldLayer):
        counts = {"dense_macs": layer.dense_macs}
        rates = {"input_rate": layer.input_rate}
        if layer.input_kind not in INPUT_KINDS:
            known = suggestion(layer.input_kind, INPUT_KINDS)
            raise PricingError(
                layer.name, "input_kind", shown(layer.input_kind), f"unknown {known}"
            )
    else:
        counts = {name: getattr(layer, name) for name in ("heads", "tokens", "head_dim")}
        rates = {name: getattr(layer, name) for name in ("q_rate", "k_rate", "v_rate")}
    for name, count in {"timesteps": layer.timesteps, **counts}.items():
        if count < 0:
            raise PricingError(layer.name, name, count, "must be 0 or more")
    for name, rate in rates.items():
        if not np.all((np.asarray(rate) >= 0.0) & (np.asarray(rate) <= 1.0)):
            raise PricingError(layer.name, name, rate, "must lie between 0 and 1")
