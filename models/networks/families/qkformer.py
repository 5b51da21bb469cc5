"""QKFormer (NeurIPS 2024): stages of token attention ahead of Spikformer's blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from models.errors import ModelError
from models.networks.embeddings import embeddings
from models.networks.families.base import CheckpointLayout, Family, State, register
from models.networks.layouts import Sources, WeightSource, fused, numbered_mlp, sequence
from models.networks.sizes import SMALL, Size

if TYPE_CHECKING:
    from torch import nn

    from models.networks.config import ModelConfig
    from models.operations.plan import NetworkListing

POOLS = ((2, 3), (0, 1, 2, 3))
# A size counts the blocks of all stages; of these, so many lie in the first two.
EARLIER_BLOCKS = {4: (1, 1), 10: (1, 2)}


def _repository(state: State, config: ModelConfig) -> Sources:
    # CIFAR and ImageNet name a block's parts differently.
    places: dict[str, str] = {}
    for stage, spec in enumerate(embeddings(config)):
        own, their = f"sps.embeddings.{stage}", f"patch_embed{stage + 1}"
        names = ("proj", "proj1", "proj2") if stage == 0 else ("proj3", "proj4")
        for at, name in zip(range(len(spec.channels) - 1), names, strict=False):
            places[f"{own}.layers.{at}"] = f"{their}.{name}"
        places[f"{own}.shortcut"] = f"{their}.proj_res"
    for stage, depth in enumerate((*config.earlier_blocks, config.size.blocks)):
        for block in range(depth):
            their, last = f"stage{stage + 1}.{block}", stage == 2
            own = within = f"sps.stages.{stage}.{block}"
            room, parts = "tssa", ("q", "k", "proj")
            if last:
                own, within, parts = f"blocks.{block}", f"blocks.{block}.attn", (*"qkv", "proj")
                room = "ssa" if f"{their}.ssa.q_conv.weight" in state else "attn"
            places |= {f"{within}.{part}": f"{their}.{room}.{part}" for part in parts}
            mlp = "fc" if f"{their}.mlp.fc1_conv.weight" in state else "mlp"
            places |= {f"{own}.fc{number}": f"{their}.mlp.{mlp}{number}" for number in (1, 2)}
    return {own: WeightSource(f"{place}_conv", f"{place}_bn") for own, place in places.items()}


def _jelly(state: State, config: ModelConfig) -> Sources:
    sources: Sources = {}
    for stage, spec in enumerate(embeddings(config)):
        own, their = f"sps.embeddings.{stage}", f"patch_embed{stage + 1}"
        for at in range(len(spec.channels) - 1):
            sources[f"{own}.layers.{at}"] = WeightSource(
                f"{their}.conv{at + 1}", f"{their}.bn{at + 1}"
            )
        sources[f"{own}.shortcut"] = sequence(f"{their}.shortcut")
    for stage, depth in enumerate((*config.earlier_blocks, config.size.blocks)):
        for block in range(depth):
            their = f"stage{stage + 1}.{block}"
            own = attention = f"sps.stages.{stage}.{block}"
            layer, letters = "qk_conv_bn", "qk"
            if stage == 2:
                own, attention = f"blocks.{block}", f"blocks.{block}.attn"
                layer, letters = "qkv_conv_bn", "qkv"
            sources |= fused(attention, f"{their}.attn.{layer}", letters)
            sources[f"{attention}.proj"] = sequence(f"{their}.attn.proj_conv_bn")
            sources |= numbered_mlp(own, f"{their}.mlp")
    return sources


@register("qkformer")
class QKFormer(Family):
    """Build three stages of patch embeddings and blocks; tokens halt in the last one only."""

    sizes: ClassVar = {
        **dict.fromkeys(("cifar10", "cifar100"), (Size(4, 384, 8),)),
        "imagenet": (Size(10, 384, 6), Size(10, 512, 8), Size(10, 768, 12)),
        **dict.fromkeys(SMALL, (Size(4, 128, 4),)),
    }
    layouts = (
        CheckpointLayout(("patch_embed1.proj_res_conv.weight",), _repository),
        CheckpointLayout(("patch_embed1.shortcut.0.weight",), _jelly),
    )

    def check(self, config: ModelConfig) -> None:
        """Allow two earlier stages, two forms of pooling, and the leak without halting."""
        if config.pool != "before_lif":
            raise ModelError(f"pool is {config.pool}; qkformer has no such switch")
        if len(config.earlier_blocks) != 2:
            raise ModelError(
                f"earlier_blocks is {config.earlier_blocks}; qkformer must have two stages of them"
            )
        if config.dataset.pooled_stages not in POOLS:
            raise ModelError(
                f"pooled_stages is {config.dataset.pooled_stages}; of qkformer it must be (2, 3), "
                "its form for small images, or (0, 1, 2, 3), that for large ones"
            )
        if config.membrane_leak and config.halts:
            raise ModelError(
                "membrane_leak reproduces QKFormer's own code; it needs family qkformer without "
                "halting"
            )

    def earlier_blocks(self, blocks: int) -> tuple[int, ...]:
        """Return the blocks of the two stages with token attention."""
        return EARLIER_BLOCKS[blocks]

    def attention_order(self, config: ModelConfig) -> str:
        """Return q (k^T v), at every size."""
        return "key_values_first"

    def stem(self, config: ModelConfig) -> nn.Module:
        """Build the stages with token attention."""
        from models.networks.qkformer import EarlierStages

        return EarlierStages(config)

    def block(self, index: int, config: ModelConfig) -> nn.Module:
        """Build a block of Spikformer."""
        from models.networks.spikformer import SpikformerBlock

        return SpikformerBlock(index, config)

    def list_stem(self, plan: NetworkListing) -> str:
        """List the stages with token attention."""
        from models.operations.qkformer import earlier_stages

        return earlier_stages(plan)

    def list_block(self, plan: NetworkListing, index: int, stream: str) -> str:
        """List a block of Spikformer; its patch embedding hands over 0, 1 or 2."""
        from models.operations.blocks import block_site, spike_block

        return spike_block(plan, block_site(plan, index, entering=2), stream)
