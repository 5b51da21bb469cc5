"""The Transformer block of Spikformer: spiking self-attention (SSA) and MLP, residuals on spikes.

Source: Spikformer (ICLR 2023). Every block sees rows (row, channel) chosen by its context; the
residual stream is a non-negative integer that grows by at most 2 a block.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.errors import ModelError
from models.networks.config import ModelConfig
from models.networks.layers import Context, SpikingLinear, fire
from models.networks.rows import DroppedRows, Rows
from models.neurons.base import ATTENTION_THRESHOLD

ATTENTION_SCALE = 0.125


class SpikingSelfAttention(nn.Module):
    """Attend: q, k, v = spikes; LIF_0.5((q k^T) v * 0.125); projection. No softmax."""

    def __init__(self, name: str, config: ModelConfig) -> None:
        super().__init__()
        dim = config.size.embed_dim
        self.name = name
        self.heads = config.size.heads
        self.q, self.k, self.v = (SpikingLinear(f"{name}.{part}", dim, dim) for part in "qkv")
        self.proj = SpikingLinear(f"{name}.proj_out", dim, dim)
        self.leaks = config.membrane_leak

    def forward(self, rows: Tensor, context: Context) -> Tensor:
        """Return spikes (row, channel) from the stream (row, channel)."""
        q, k, v = (layer(rows, context) for layer in (self.q, self.k, self.v))
        mixed = attention(q, k, v, self.heads, context.rows)
        out = fire(mixed, context, f"{self.name}.out", ATTENTION_THRESHOLD)
        if not self.leaks:
            return torch.as_tensor(self.proj(out, context))
        return fire_across(self.proj.current(out, context), context, self.proj.name)


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, rows: Rows) -> Tensor:
    """Return the current (row, channel) of the attention's neurons of q, k, v (row, channel).

    Halted tokens have zero rows, so that their keys and values add nothing. k^T v comes first: the
    sums are integers, so the order changes nothing but the time.
    """
    queries, keys, values = (
        rows.restore(spikes).unflatten(3, (heads, -1)).transpose(2, 3) for spikes in (q, k, v)
    )
    mixed = queries @ (keys.transpose(-2, -1) @ values)
    return rows.select(mixed.transpose(2, 3).flatten(3)) * ATTENTION_SCALE


def fire_across(current: Tensor, context: Context, name: str) -> Tensor:
    """Return spikes (row, channel) of neurons that run over (timestep x image) in turn.

    See ModelConfig.membrane_leak. Raises ModelError where a call spans no whole batch.
    """
    rows = context.rows
    if name in context.membranes or isinstance(rows, DroppedRows):
        raise ModelError("membrane_leak needs all timesteps of a batch at once: path layers")
    by_step = current.view(rows.steps * rows.images, rows.tokens, -1)
    spikes, context.membranes[name] = rows.neuron.fire(by_step)
    context.probe.record(name, spikes.flatten(0, 1), rows)
    return spikes.flatten(0, 1)


class SpikformerBlock(nn.Module):
    """Compute x + SSA(x), then + MLP."""

    def __init__(self, index: int, config: ModelConfig) -> None:
        super().__init__()
        dim, hidden = config.size.embed_dim, config.size.embed_dim * config.mlp_ratio
        self.name = f"blocks.{index}"
        last = index == config.size.blocks - 1
        self.output_name = "head.x" if last else f"blocks.{index + 1}.x"
        self.attn = SpikingSelfAttention(f"{self.name}.attn", config)
        self.fc1 = SpikingLinear(f"{self.name}.mlp.hidden", dim, hidden)
        self.fc2 = SpikingLinear(f"{self.name}.mlp.out", hidden, dim)

    def forward(self, dense: Tensor, context: Context) -> Tensor:
        """Return the stream (step, image, token, channel) one block later, zero where halted."""
        stream = context.rows.select(dense)
        stream = stream + self.attn(stream, context)
        context.probe.record(f"{self.name}.mlp.x", stream, context.rows)
        stream = stream + self.fc2(self.fc1(stream, context), context)
        context.probe.record(self.output_name, stream, context.rows)
        return context.rows.restore(stream)
