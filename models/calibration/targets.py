"""Firing rates that calibration aims at, from the published table in
simulator/data/firing_rates.yaml.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from models.errors import ModelError
from models.networks.config import ModelConfig
from simulator.data import firing_rates

PUBLISHED = "published"
FITTED = "fitted to overall density"
FOLLOWED = "running maximum of the published stream"
CIFAR_TABLE = "spikformer_4_384_cifar10"
IMAGENET_TABLES = {768: "spikingformer_8_768_imagenet"}
IMAGENET_TABLE = "spikingformer_8_512_imagenet"
DENSITY_TABLE = "measured_bit_density"
SPS_CONSUMERS = ("proj_conv1", "proj_conv2", "proj_conv3", "rpe_conv")


class Target(NamedTuple):
    """What one layer's neurons should do.

    `of` `spikes`: their mean rate, behind a pool where one follows; `potential`: the mean rate of
    the neurons that see the residual stream with the layer's sums added; `stream`: the non-zero
    fraction of the residual stream once their spikes are added; `attention`: their mean rate too,
    but of neurons without a batch-norm (see fitting.FittingProbe). `published`: what the table has,
    where `value` is not it.
    """

    value: float
    source: str
    of: str = "spikes"
    published: float | None = None


class Targets(NamedTuple):
    """Targets by layer; layers in `common` share one rate, fitted until the overall density is
    `density`.

    `table` and `origin` name where the rates come from; layers in `potential` are targets of that
    kind.
    """

    layers: dict[str, Target]
    common: tuple[str, ...]
    density: float | None
    table: str
    origin: str
    potential: frozenset[str] = frozenset()

    def with_common_rate(self, rate: float) -> dict[str, Target]:
        """Return all targets, the common ones at `rate`."""
        shared = {
            name: Target(rate, FITTED, "potential" if name in self.potential else "spikes")
            for name in self.common
        }
        return {**self.layers, **shared}


def published_targets(config: ModelConfig, dataset: str) -> Targets:
    """The targets for a network on a data set; raises ModelError where nothing is published."""
    found = config.kind.targets(config, dataset, firing_rates())
    if found is not None:
        return found
    raise ModelError(
        f"no firing rates are published for {config.family} on {dataset}; use --weights random or "
        "a weights file"
    )


def cifar_targets(config: ModelConfig, tables: Mapping[str, Any], dataset: str) -> Targets:
    """Q, K and V per block as published for 4-384 on CIFAR-10; one common rate for all other
    neurons.
    """
    table = tables[CIFAR_TABLE]
    layers = {}
    common = [f"sps.{stage}" for stage in range(5)]
    for index in range(config.size.blocks):
        for part in "qkv":
            rates = table["blocks"][part]
            rate = rates[min(index, len(rates) - 1)]
            layers[f"blocks.{index}.attn.{part}"] = Target(rate, PUBLISHED)
        common += [f"blocks.{index}.{part}" for part in ("attn.proj_out", "mlp.hidden", "mlp.out")]
    density = tables[DENSITY_TABLE][f"spikformer_{dataset}"]
    return Targets(layers, tuple(common), density, CIFAR_TABLE, table["source"])


def density_targets(config: ModelConfig, tables: Mapping[str, Any], dataset: str) -> Targets:
    """Return the overall density of the Spike-Driven Transformer, one common rate for all its
    neurons but those of the attention's gate, which have no batch-norm.
    """
    sums = ["sps.4"]
    spikes = [f"sps.{stage}" for stage in range(4)]
    for index in range(config.size.blocks):
        name, last = f"blocks.{index}", index + 1 == config.size.blocks
        spikes += [f"{name}.attn.{part}" for part in "qkv"] + [f"{name}.mlp.hidden"]
        sums += [f"{name}.attn.proj"] + ([] if last else [f"{name}.mlp.fc2"])
    table = tables[DENSITY_TABLE]
    origin = "overall density, dubcyfor3/Prosperity, reference/density_analysis"
    common, density = (*spikes, *sums), table[f"sdt_{dataset}"]
    return Targets({}, common, density, DENSITY_TABLE, origin, frozenset(sums))


def spikingformer_targets(config: ModelConfig, tables: Mapping[str, Any]) -> Targets:
    """The complete tables of Spikingformer-8-512 (also for 8-384) and 8-768: this very network."""
    table_name = IMAGENET_TABLES.get(config.size.embed_dim, IMAGENET_TABLE)
    table = tables[table_name]
    sps, blocks = table["sps_conv_inputs"], table["blocks"]
    layers = {f"sps.{i}": Target(sps[name], PUBLISHED) for i, name in enumerate(SPS_CONSUMERS)}

    def potential(part: str, index: int) -> Target:
        return Target(blocks[part][index], PUBLISHED, "potential")

    layers["sps.4"] = potential("qkv_input", 0)
    for index in range(config.size.blocks):
        name = f"blocks.{index}"
        for part in "qkv":
            layers[f"{name}.attn.{part}"] = Target(blocks[part][index], PUBLISHED)
        layers[f"{name}.attn.out"] = Target(blocks["proj_input"][index], PUBLISHED, "attention")
        layers[f"{name}.attn.proj"] = potential("fc1_input", index)
        layers[f"{name}.mlp.hidden"] = Target(blocks["fc2_input"][index], PUBLISHED)
        if index + 1 < config.size.blocks:
            layers[f"{name}.mlp.fc2"] = potential("qkv_input", index + 1)
    return Targets(layers, (), None, table_name, table["source"])


def imagenet_targets(config: ModelConfig, tables: Mapping[str, Any]) -> Targets:
    """Return the complete tables of Spikingformer-8-512 (also for 8-384) and 8-768.

    Its residual stream is one of spikes and may shrink; Spikformer's integer stream cannot, so its
    non-zero fraction follows the running maximum of the published one.
    """
    table_name = IMAGENET_TABLES.get(config.size.embed_dim, IMAGENET_TABLE)
    table = tables[table_name]
    sps, blocks = table["sps_conv_inputs"], table["blocks"]
    layers = {f"sps.{i}": Target(sps[name], PUBLISHED) for i, name in enumerate(SPS_CONSUMERS)}
    highest = blocks["qkv_input"][0]
    layers["sps.4"] = Target(highest, PUBLISHED, "stream")
    for index in range(config.size.blocks):
        name = f"blocks.{index}"
        for part in "qkv":
            layers[f"{name}.attn.{part}"] = Target(blocks[part][index], PUBLISHED)
        layers[f"{name}.attn.out"] = Target(blocks["proj_input"][index], PUBLISHED, "attention")
        layers[f"{name}.mlp.hidden"] = Target(blocks["fc2_input"][index], PUBLISHED)
        published = blocks["fc1_input"][index]
        highest = max(highest, published)
        layers[f"{name}.attn.proj_out"] = Target(highest, FOLLOWED, "stream", published)
        last = index + 1 == config.size.blocks
        published = None if last else blocks["qkv_input"][index + 1]
        highest = max(highest, published or 0.0)
        layers[f"{name}.mlp.out"] = Target(highest, FOLLOWED, "stream", published)
    return Targets(layers, (), None, table_name, table["source"])
