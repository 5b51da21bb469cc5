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
    """Describe what one layer's neurons should do.

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
    """Hold targets by layer; layers in `common` share one rate, fitted until the overall density is
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
    """Return the targets for a network on a data set; raises ModelError without published ones."""
    found = config.kind.targets(config, dataset, firing_rates())
    if found is not None:
        return found
    raise ModelError(
        f"no firing rates are published for {config.family} on {dataset}; use --weights random or "
        "a weights file"
    )


def cifar_targets(config: ModelConfig, tables: Mapping[str, Any], dataset: str) -> Targets:
    """Return Q, K and V per block as published for 4-384 on CIFAR-10.

    All other neurons have one common rate.
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
    """Return the complete tables of Spikingformer-8-512 (also for 8-384) and 8-768, this network.

    The neurons that see the residual stream have targets of the potential.
    """
    layers, rates, origin = _complete_table(config, tables)
    layers["sps.4"] = Target(rates["qkv_input"][0], PUBLISHED, "potential")
    for index in range(config.size.blocks):
        name = f"blocks.{index}"
        layers[f"{name}.attn.proj"] = Target(rates["fc1_input"][index], PUBLISHED, "potential")
        if index + 1 < config.size.blocks:
            rate = rates["qkv_input"][index + 1]
            layers[f"{name}.mlp.fc2"] = Target(rate, PUBLISHED, "potential")
    return Targets(layers, (), None, *origin)


def imagenet_targets(config: ModelConfig, tables: Mapping[str, Any]) -> Targets:
    """Return the complete tables of Spikingformer-8-512 (also for 8-384) and 8-768.

    Its residual stream is one of spikes and may shrink; Spikformer's integer stream cannot, so its
    non-zero fraction follows the running maximum of the published one.
    """
    layers, rates, origin = _complete_table(config, tables)
    highest = rates["qkv_input"][0]
    layers["sps.4"] = Target(highest, PUBLISHED, "stream")
    for index in range(config.size.blocks):
        last = index + 1 == config.size.blocks
        after = None if last else rates["qkv_input"][index + 1]
        for part, published in (("attn.proj_out", rates["fc1_input"][index]), ("mlp.out", after)):
            highest = max(highest, published or 0.0)
            layers[f"blocks.{index}.{part}"] = Target(highest, FOLLOWED, "stream", published)
    return Targets(layers, (), None, *origin)


def _complete_table(
    config: ModelConfig, tables: Mapping[str, Any]
) -> tuple[dict[str, Target], Mapping[str, Any], tuple[str, str]]:
    """The targets of all layers that do not write the residual stream; the table's rates by part of
    a block; its name and source.
    """
    table_name = IMAGENET_TABLES.get(config.size.embed_dim, IMAGENET_TABLE)
    table = tables[table_name]
    sps, rates = table["sps_conv_inputs"], table["blocks"]
    layers = {f"sps.{i}": Target(sps[name], PUBLISHED) for i, name in enumerate(SPS_CONSUMERS)}
    for index in range(config.size.blocks):
        name = f"blocks.{index}"
        for part in "qkv":
            layers[f"{name}.attn.{part}"] = Target(rates[part][index], PUBLISHED)
        layers[f"{name}.attn.out"] = Target(rates["proj_input"][index], PUBLISHED, "attention")
        layers[f"{name}.mlp.hidden"] = Target(rates["fc2_input"][index], PUBLISHED)
    return layers, rates, (table_name, table["source"])
