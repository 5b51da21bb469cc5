"""Spikingformer (2023): Spikformer with neurons ahead of each weighted sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from models.networks.families.base import CheckpointLayout, Family, State, register
from models.networks.families.spikformer import SIZES
from models.networks.layouts import Sources, repository_blocks, stages

if TYPE_CHECKING:
    from torch import Tensor, nn

    from models.calibration.targets import Targets
    from models.networks.config import ModelConfig
    from models.networks.layers import SpikingConv
    from models.networks.probes import Probe
    from models.operations.plan import NetworkListing

CIFAR_CONVS = [(f"block{i}_conv", f"block{i}_bn") for i in range(5)]
IMAGENET_CONVS = [(f"proj{i}_conv", f"proj{i}_bn") for i in ("", 1, 2, 3, 4)]


def _repository(convs: Sequence[tuple[str, str]], state: State, config: ModelConfig) -> Sources:
    blocks = repository_blocks(state, config.size.blocks, ("mlp1", "mlp2"))
    return stages(convs) | blocks


@register("spikingformer")
class Spikingformer(Family):
    """Build neurons and pools ahead of convolutions; blocks of self-attention on potentials."""

    sizes = SIZES
    spike_stream = False
    layouts = (
        CheckpointLayout(("patch_embed.block0_conv.weight",), partial(_repository, CIFAR_CONVS)),
        CheckpointLayout(("patch_embed.proj4_conv.weight",), partial(_repository, IMAGENET_CONVS)),
    )

    def join(
        self, last: SpikingConv, current: Tensor, spikes: Tensor, steps: int, probe: Probe
    ) -> Tensor:
        """Take the last stage's sums."""
        return last.current(spikes, steps, probe)

    def block(self, index: int, config: ModelConfig) -> nn.Module:
        """Build a block that adds potentials."""
        from models.networks.potential import PotentialBlock

        return PotentialBlock(index, config, spike_driven=False)

    def list_stem(self, plan: NetworkListing) -> str:
        """List the patch splitting, which ends in potentials."""
        from models.operations.splitting import patch_splitting, potential_stream

        return patch_splitting(plan, potential_stream)

    def list_block(self, plan: NetworkListing, index: int, stream: str) -> str:
        """List a block with self-attention."""
        from models.operations.blocks import block_site, potential_block, self_attention

        return potential_block(plan, block_site(plan, index), stream, self_attention)

    def targets(
        self, config: ModelConfig, dataset: str, tables: Mapping[str, Any]
    ) -> Targets | None:
        """Return the rates of Spikingformer-8-512 and 8-768 on ImageNet."""
        from models.calibration.targets import spikingformer_targets

        return spikingformer_targets(config, tables) if dataset == "imagenet" else None
