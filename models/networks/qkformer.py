"""QKFormer's earlier stages: patch embeddings with a shortcut, and blocks of token attention.

Source: QKFormer (NeurIPS 2024) as SpikingJelly 2.0 builds it. Three stages of d/4, d/2 and d
channels; the first two attend by a gate on tokens, LIF_0.5 of the sum of a head's q, times k, the
third by Spikformer's self-attention. Tokens halt in the third stage only, whose grid is the last
one's: everything before is this module. With I-SPS the first patch embedding is integrated.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from models.networks.config import ModelConfig
from models.networks.embeddings import Embedding, embeddings
from models.networks.layers import Context, SpikingConv, SpikingLinear, fire
from models.networks.probes import Probe
from models.networks.rows import Rows
from models.neurons.base import ATTENTION_THRESHOLD, Neuron


class PatchEmbedding(nn.Module):
    """Add a 1x1 convolution with neurons from an earlier layer to 3x3 ones with neurons."""

    def __init__(self, name: str, spec: Embedding, neuron: Neuron) -> None:
        super().__init__()
        self.name = name
        self.spec = spec
        self.layers = nn.ModuleList(
            SpikingConv(f"{name}.{at}", pair, "before_lif" if spec.pooled[at] else None, neuron)
            for at, pair in enumerate(itertools.pairwise(spec.channels))
        )
        ends = (spec.channels[spec.shortcut_from], spec.channels[-1])
        self.shortcut = SpikingConv(f"{name}.shortcut", ends, None, neuron, 1, spec.shortcut_stride)

    def forward(self, maps: Tensor, steps: int, probe: Probe, first: int = 0) -> Tensor:
        """Return integers 0..2 (step, image, channel, h, w) of maps of spikes or integers.

        `first`: the layer that they enter.
        """
        for at, layer in enumerate(self.layers[first:], first):
            if at == self.spec.shortcut_from:
                kept = maps
            maps = layer(maps, steps, probe)
        return torch.as_tensor(maps + self.shortcut(kept, steps, probe))

    def integrated(self, frames: Tensor, timesteps: int, mean: bool, probe: Probe) -> Tensor:
        """Return the same with the first layer's spikes summed over time, all else once."""
        assert self.spec.shortcut_from == 1
        total = self.layers[0](frames, timesteps, probe).sum(0, keepdim=True)
        probe.record_maps(f"{self.name}.0.integrated", total)
        return torch.as_tensor(self(total / timesteps if mean else total, 1, probe, first=1))


class TokenBlock(nn.Module):
    """Compute x + token attention(x), then + MLP."""

    def __init__(self, name: str, dim: int, config: ModelConfig) -> None:
        super().__init__()
        hidden = dim * config.mlp_ratio
        self.name, self.heads = name, config.size.heads
        self.q, self.k = (SpikingLinear(f"{name}.attn.{part}", dim, dim) for part in "qk")
        self.proj = SpikingLinear(f"{name}.attn.proj_out", dim, dim)
        self.fc1 = SpikingLinear(f"{name}.mlp.hidden", dim, hidden)
        self.fc2 = SpikingLinear(f"{name}.mlp.out", hidden, dim)

    def forward(self, stream: Tensor, context: Context) -> Tensor:
        """Return the stream's rows (row, channel) one block later."""
        q, k = self.q(stream, context), self.k(stream, context)
        sums = q.unflatten(1, (self.heads, -1)).sum(2)
        gate = fire(sums, context, f"{self.name}.attn.gate", ATTENTION_THRESHOLD)
        out = (k.unflatten(1, (self.heads, -1)) * gate.unsqueeze(2)).flatten(1)
        context.probe.record(f"{self.name}.attn.out", out, context.rows)
        stream = stream + self.proj(out, context)
        context.probe.record(f"{self.name}.mlp.x", stream, context.rows)
        return torch.as_tensor(stream + self.fc2(self.fc1(stream, context), context))


class EarlierStages(nn.Module):
    """Lead from the images to the tokens of the last stage's first block."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        specs = embeddings(config)
        self.embeddings = nn.ModuleList(
            PatchEmbedding(f"stages.{stage}.embed", spec, config.neurons)
            for stage, spec in enumerate(specs)
        )
        self.stages = nn.ModuleList(
            nn.ModuleList(
                TokenBlock(f"stages.{stage}.blocks.{block}", specs[stage].channels[-1], config)
                for block in range(depth)
            )
            for stage, depth in enumerate(config.earlier_blocks)
        )

    def forward(self, frames: Tensor, probe: Probe) -> Tensor:
        """Return tokens (timestep, image, token, channel), integers 0..2.

        `frames` (step, image, channel, h, w): one step where the image is constant, else T.
        """
        timesteps = self.config.timesteps
        maps = self._first(frames, probe)
        for stage, blocks in enumerate(self.stages):
            probe.record_maps(f"stages.{stage}.x", maps)
            maps = maps / self.input_scale(stage)
            maps = maps.expand(timesteps, *maps.shape[1:])
            grid = maps.shape[-2:]
            tokens = maps.flatten(3).transpose(2, 3)
            context = Context(Rows(*tokens.shape[:3], neuron=self.config.neurons), {}, probe)
            rows = context.rows.select(tokens)
            for at, block in enumerate(blocks):
                rows = block(rows, context)
                probe.record(f"stages.{stage}.blocks.{at}.x", rows, context.rows)
            maps = context.rows.restore(rows).transpose(2, 3).unflatten(3, grid)
            maps = self.embeddings[stage + 1](maps, timesteps, probe)
        probe.record_maps("blocks.0.x", maps)
        return maps.flatten(3).transpose(2, 3).contiguous()

    def input_scale(self, stage: int) -> int:
        """Return what the recorded input of a stage is divided by."""
        late = self.config.isps == "late_sum" and self.config.integration == "mean"
        return self.config.timesteps if late and not stage else 1

    def _first(self, frames: Tensor, probe: Probe) -> Tensor:
        """Return the first patch embedding's maps (step, image, channel, h, w), by I-SPS form."""
        config, first = self.config, self.embeddings[0]
        if config.isps == "early_integration":
            mean = config.integration == "mean"
            return torch.as_tensor(first.integrated(frames, config.timesteps, mean, probe))
        steps = 1 if config.isps == "single_step" else config.timesteps
        shown = frames.expand(max(steps, frames.shape[0]), *frames.shape[1:])
        maps = first(shown, steps, probe)
        if config.isps != "late_sum":
            return torch.as_tensor(maps)
        probe.record_maps("stages.0.embed.x", maps)
        return torch.as_tensor(maps.sum(0, keepdim=True))
