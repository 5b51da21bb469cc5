"""Spike-Driven Transformer (NeurIPS 2023): a gate on channels instead of a product of attention."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from models.networks.families.base import CheckpointLayout, Family, State, register
from models.networks.layouts import (
    CONVS_OF_RPE,
    Sources,
    WeightSource,
    numbered_mlp,
    repository_blocks,
    sequence,
    stages,
)
from models.networks.sizes import SMALL, SMALL_SIZES, Size

if TYPE_CHECKING:
    from torch import Tensor, nn

    from models.calibration.targets import Targets
    from models.networks.config import ModelConfig
    from models.networks.layers import SpikingConv
    from models.networks.probes import Probe
    from models.operations.plan import NetworkListing


def _repository(state: State, config: ModelConfig) -> Sources:
    return stages(CONVS_OF_RPE) | repository_blocks(state, config.size.blocks, ("fc1", "fc2"))


def _jelly(state: State, config: ModelConfig) -> Sources:
    places = ("stages.0", "stages.1", "stages.2", "final_stage")
    sources = {
        f"sps.stages.{stage}": sequence(f"patch_embed.{place}")
        for stage, place in enumerate(places)
    }
    sources["sps.stages.4"] = WeightSource("patch_embed.rpe_conv", "patch_embed.rpe_bn")
    for block in range(config.size.blocks):
        own = f"blocks.{block}"
        for part in ("q", "k", "v", "proj"):
            sources[f"{own}.{part}"] = WeightSource(
                f"{own}.attn.{part}_conv", f"{own}.attn.{part}_bn"
            )
        sources |= numbered_mlp(own, f"{own}.mlp")
    return sources


@register("sdt")
class SpikeDrivenTransformer(Family):
    """Build potentials as Spikingformer's, spike-driven attention, neurons ahead of the head."""

    sizes: ClassVar = {
        **dict.fromkeys(("cifar10", "cifar100"), (Size(2, 256, 8), Size(2, 512, 8))),
        "imagenet": (Size(8, 384, 8), Size(8, 512, 8), Size(8, 768, 8)),
        "cifar10dvs": (Size(2, 256, 8),),
        **dict.fromkeys(SMALL, SMALL_SIZES),
    }
    spike_stream = False
    head_neurons = True
    layouts = (
        CheckpointLayout(
            ("patch_embed.rpe_conv.weight", "block.0.attn.q_conv.weight"), _repository
        ),
        CheckpointLayout(("patch_embed.final_stage.0.weight",), _jelly),
    )

    def pool(self, config: ModelConfig, stage: int) -> str:
        """Pool behind the neurons, but for the fourth stage."""
        return "before_lif" if stage == 3 else "after_lif"

    def join(
        self, last: SpikingConv, current: Tensor, spikes: Tensor, steps: int, probe: Probe
    ) -> Tensor:
        """Add the last stage's sums to the fourth's potential."""
        probe.potential(current, None)
        return current + last.current(spikes, steps, probe)

    def block(self, index: int, config: ModelConfig) -> nn.Module:
        """Build a block with a gate on channels."""
        from models.networks.potential import PotentialBlock

        return PotentialBlock(index, config, spike_driven=True)

    def list_stem(self, plan: NetworkListing) -> str:
        """List the patch splitting, whose last sums are added to the fourth stage's potential."""
        from models.operations.splitting import patch_splitting, potential_stream

        return patch_splitting(plan, partial(potential_stream, added=True))

    def list_block(self, plan: NetworkListing, index: int, stream: str) -> str:
        """List a block with spike-driven attention."""
        from models.operations.blocks import block_site, potential_block, spike_driven_attention

        return potential_block(plan, block_site(plan, index), stream, spike_driven_attention)

    def targets(
        self, config: ModelConfig, dataset: str, tables: Mapping[str, Any]
    ) -> Targets | None:
        """Return the overall density that is published for CIFAR."""
        from models.calibration.targets import density_targets

        known = dataset in ("cifar10", "cifar100")
        return density_targets(config, tables, dataset) if known else None
