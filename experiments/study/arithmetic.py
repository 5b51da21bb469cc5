"""I-SPS by arithmetic alone: the share of Spikingformer's published energy that it saves.

Spikingformer's counter (energy_consumption_calculation/): a convolution or linear layer with its
bias, the image and the head as MACs, T times for the image and once for the head.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from simulator.data import firing_rates
from simulator.energy.field_convention import (
    INTEGERS_AS_ACS,
    INTEGERS_AS_MACS,
    FieldAttention,
    FieldLayer,
    trace_field_energy,
)

TIMESTEPS = 4
BLOCKS = 8
TOKENS = 196
SPS_CONVS = ("proj_conv", "proj_conv1", "proj_conv2", "proj_conv3", "rpe_conv")
SPS_GRIDS = (224, 112, 56, 28, 14)  # a max-pool halves the grid before each but the first
NETWORKS = {"spikingformer_8_512_imagenet": (512, 8), "spikingformer_8_768_imagenet": (768, 12)}

Layers = list[FieldLayer | FieldAttention]


class Saving(NamedTuple):
    """What running the patch splitting once instead of T times saves, as fractions.

    `of_convolutions`: of the energy of convolutions and linear layers, which in Spikingformer are
    all convolutions; `of_everything`: with attention and head. `early_as_acs`, `early_as_macs`: of
    convolutions, under early integration, where the second convolution reads a graded map, counted
    by either convention; a value of it is taken to be zero as often as T independent spikes are.
    """

    network: str
    energy_mj: float
    sps_share: float
    of_convolutions: float
    of_everything: float
    early_as_acs: float
    early_as_macs: float


def savings() -> list[Saving]:
    """The saving for each network whose rates are published in full."""
    return [_saving(name, dim, heads) for name, (dim, heads) in NETWORKS.items()]


def _saving(name: str, dim: int, heads: int) -> Saving:
    published = firing_rates()[name]
    layers = spikingformer_layers(published, dim, heads)
    total = trace_field_energy(layers, INTEGERS_AS_ACS)
    sps_pj = total.stage_energy_pj("sps")
    apart = sum(each.energy_pj for each in total.layers if _is_no_convolution(each.name))
    convolutions_pj = total.energy_pj - apart
    once = early_integration(layers)
    early = [
        (sps_pj - trace_field_energy(once, convention).stage_energy_pj("sps")) / convolutions_pj
        for convention in (INTEGERS_AS_ACS, INTEGERS_AS_MACS)
    ]
    saved = 1.0 - 1.0 / TIMESTEPS
    return Saving(
        name,
        total.energy_pj * 1e-9,
        sps_pj / convolutions_pj,
        saved * sps_pj / convolutions_pj,
        saved * sps_pj / total.energy_pj,
        *early,
    )


def early_integration(layers: Layers) -> Layers:
    """The patch splitting once, its second convolution on the graded map."""
    once: Layers = []
    for layer in layers:
        if isinstance(layer, FieldLayer) and layer.stage == "sps":
            layer = layer._replace(timesteps=1)
            if layer.name == SPS_CONVS[1]:
                rate = 1.0 - (1.0 - layer.input_rate) ** TIMESTEPS
                layer = layer._replace(input_kind="integer", input_rate=rate)
        once.append(layer)
    return once


def _is_no_convolution(name: str) -> bool:
    return name == "head" or name.endswith("attention")


def spikingformer_layers(published: Mapping[str, Any], dim: int, heads: int) -> Layers:
    """Spikingformer on ImageNet: MLP ratio 4, biases where its convolutions have them."""
    layers: Layers = []
    channels = (3, dim // 8, dim // 4, dim // 2, dim, dim)
    for i, (name, side) in enumerate(zip(SPS_CONVS, SPS_GRIDS, strict=True)):
        macs = 9 * channels[i] * channels[i + 1] * side**2
        kind = "spikes" if i else "image"
        rate = published["sps_conv_inputs"][name]
        layers.append(FieldLayer(name, TIMESTEPS, macs, kind, rate, "sps"))
    rates = published["blocks"]
    weights = {
        "qkv": ("qkv_input", 3 * dim * dim),
        "proj": ("proj_input", dim * dim + dim),
        "fc1": ("fc1_input", 4 * dim * dim + 4 * dim),
        "fc2": ("fc2_input", 4 * dim * dim + dim),
    }
    for block in range(BLOCKS):
        for name, (key, per_token) in weights.items():
            rate = rates[key][block]
            label = f"block {block} {name}"
            layers.append(
                FieldLayer(label, TIMESTEPS, TOKENS * per_token, "spikes", rate, "blocks")
            )
        q, k, v = (rates[key][block] for key in ("q", "k", "v"))
        label = f"block {block} attention"
        layers.append(
            FieldAttention(label, TIMESTEPS, heads, TOKENS, dim // heads, q, k, v, "blocks")
        )
    layers.append(FieldLayer("head", 1, 1000 * dim + 1000, "real", stage="head"))
    return layers
