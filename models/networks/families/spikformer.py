"""Spikformer (ICLR 2023): self-attention on spikes, residuals that add spikes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from models.networks.families.base import CheckpointLayout, Family, State, register
from models.networks.layouts import (
    CONVS_OF_RPE,
    Sources,
    fused,
    repository_blocks,
    sequence,
    stages,
)
from models.networks.sizes import (
    CIFAR_SIZES,
    COMPOSED,
    COMPOSED_SIZES,
    DVS_SIZES,
    IMAGENET_SIZES,
    RELAY_SIZES,
    SMALL,
    SMALL_SIZES,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

    from models.calibration.targets import Targets
    from models.networks.config import ModelConfig
    from models.networks.layers import SpikingConv
    from models.networks.probes import Probe
    from models.operations.plan import NetworkListing

SIZES = {
    **dict.fromkeys(("cifar10", "cifar100"), CIFAR_SIZES),
    "imagenet": IMAGENET_SIZES,
    "cifar10dvs": DVS_SIZES,
    **dict.fromkeys(SMALL, SMALL_SIZES),
    **dict.fromkeys(COMPOSED, COMPOSED_SIZES),
    "relay": RELAY_SIZES,
}
REPOSITORY = "patch_embed.rpe_conv.weight"


def _repository(state: State, config: ModelConfig) -> Sources:
    blocks = repository_blocks(state, config.size.blocks, ("fc1", "fc2"), ".attn")
    return stages(CONVS_OF_RPE) | blocks


def _jelly(state: State, config: ModelConfig) -> Sources:
    places = [f"stages.{stage}" for stage in range(4)] + ["positional_encoding"]
    sources: Sources = {}
    for stage, place in enumerate(places):
        sources[f"sps.stages.{stage}"] = sequence(f"patch_embed.{place}.conv_bn.block")
    for block in range(config.size.blocks):
        own = f"blocks.{block}"
        sources |= fused(f"{own}.attn", f"{own}.attn.qkv_conv_bn", "qkv")
        sources[f"{own}.attn.proj"] = sequence(f"{own}.attn.proj_conv_bn")
        for layer in ("fc1", "fc2"):
            sources[f"{own}.{layer}"] = sequence(f"{own}.mlp.{layer}")
    return sources


@register("spikformer")
class Spikformer(Family):
    """Build convolutions, pools, neurons; blocks of self-attention and MLP on an integer stream."""

    sizes = SIZES
    chooses_pool = True
    layouts = (
        CheckpointLayout((REPOSITORY,), _repository),
        CheckpointLayout(("patch_embed.positional_encoding.conv_bn.block.0.weight",), _jelly),
    )

    def pool(self, config: ModelConfig, stage: int) -> str:
        """Pool where the config says."""
        return config.pool

    def join(
        self, last: SpikingConv, current: Tensor, spikes: Tensor, steps: int, probe: Probe
    ) -> Tensor:
        """Add the relative position's spikes to the fourth stage's."""
        return spikes + last(spikes, steps, probe)

    def block(self, index: int, config: ModelConfig) -> nn.Module:
        """Build a block that adds spikes."""
        from models.networks.spikformer import SpikformerBlock

        return SpikformerBlock(index, config)

    def list_stem(self, plan: NetworkListing) -> str:
        """List the patch splitting, which ends in an integer stream."""
        from models.operations.splitting import patch_splitting, spike_stream

        return patch_splitting(plan, spike_stream)

    def list_block(self, plan: NetworkListing, index: int, stream: str) -> str:
        """List a block that adds spikes."""
        from models.operations.blocks import block_site, spike_block
        from models.operations.splitting import largest_entering, stream_unit

        config = plan.config
        site = block_site(plan, index, largest_entering(config), stream_unit(config))
        return spike_block(plan, site, stream)

    def fitted(self, config: ModelConfig, state: State) -> ModelConfig:
        """Pool behind the neurons for a checkpoint of the original repository, as that does."""
        pool = "after_lif" if REPOSITORY in state else "before_lif"
        return dataclasses.replace(config, pool=pool)

    def targets(
        self, config: ModelConfig, dataset: str, tables: Mapping[str, Any]
    ) -> Targets | None:
        """Return the rates of Spikformer-4-384 on CIFAR-10, or Spikingformer's on ImageNet."""
        from models.calibration.targets import cifar_targets, imagenet_targets

        if dataset in ("cifar10", "cifar100"):
            return cifar_targets(config, tables, dataset)
        return imagenet_targets(config, tables) if dataset == "imagenet" else None
