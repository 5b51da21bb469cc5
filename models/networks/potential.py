"""Blocks whose residual stream is a membrane potential: Spikingformer and Spike-Driven Transformer.

Neurons are ahead of every weighted sum, so that each sum reads spikes and each residual adds
potentials. Spikingformer (2023) keeps Spikformer's self-attention; the Spike-Driven Transformer
(NeurIPS 2023, SDSA) replaces it by a gate on channels: q where LIF_0.5 of the number of tokens with
k and v both spiking fires.
"""

from __future__ import annotations

from torch import Tensor, nn

from models.networks.config import ModelConfig
from models.networks.layers import Context, SpikingLinear, fire
from models.networks.spikformer import attention
from models.neurons.base import ATTENTION_THRESHOLD


class PotentialBlock(nn.Module):
    """Compute x + attention(LIF(x)), then + MLP(LIF(x))."""

    def __init__(self, index: int, config: ModelConfig, *, spike_driven: bool) -> None:
        super().__init__()
        dim, hidden = config.size.embed_dim, config.size.embed_dim * config.mlp_ratio
        self.name = f"blocks.{index}"
        self.heads = config.size.heads
        self.spike_driven = spike_driven
        self.q, self.k, self.v = (
            SpikingLinear(f"{self.name}.attn.{part}", dim, dim) for part in "qkv"
        )
        self.proj = SpikingLinear(f"{self.name}.attn.proj", dim, dim)
        self.fc1 = SpikingLinear(f"{self.name}.mlp.hidden", dim, hidden)
        self.fc2 = SpikingLinear(f"{self.name}.mlp.fc2", hidden, dim)

    def forward(self, dense: Tensor, context: Context) -> Tensor:
        """Return the potentials (step, image, token, channel) a block later, zero where halted."""
        stream = context.rows.select(dense)
        out = self._attended(fire(stream, context, f"{self.name}.attn.in"), context)
        context.probe.potential(stream, context.rows)
        stream = stream + self.proj.current(out, context)
        hidden = self.fc1(fire(stream, context, f"{self.name}.mlp.in"), context)
        context.probe.potential(stream, context.rows)
        stream = stream + self.fc2.current(hidden, context)
        return context.rows.restore(stream)

    def _attended(self, entering: Tensor, context: Context) -> Tensor:
        """Return the attention's spikes (row, channel)."""
        q, k, v = (layer(entering, context) for layer in (self.q, self.k, self.v))
        name = f"{self.name}.attn.out"
        if not self.spike_driven:
            mixed = attention(q, k, v, self.heads, context.rows)
            return fire(mixed, context, name, ATTENTION_THRESHOLD)
        gate = channel_gate(k, v, context, f"{self.name}.attn.gate")
        out = q * context.rows.select(gate.unsqueeze(2).expand(-1, -1, context.rows.tokens, -1))
        context.probe.record(name, out, context.rows)
        return out


def channel_gate(k: Tensor, v: Tensor, context: Context, name: str) -> Tensor:
    """Return SDSA's gate (step, image, channel): neurons on the number of tokens with k and v.

    Halted tokens have zero rows and add nothing; the gate's neurons belong to no token and run at
    every timestep.
    """
    rows = context.rows
    counts = (rows.restore(k) * rows.restore(v)).sum(2)
    before = context.membranes.get(name)
    gate, context.membranes[name] = rows.neuron.fire(counts, before, ATTENTION_THRESHOLD)
    context.probe.record_maps(name, gate[..., None, None])
    return gate
