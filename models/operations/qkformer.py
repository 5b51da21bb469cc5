"""QKFormer's earlier stages as a trace lists them, in stage `sps`: no token of theirs halts."""

from __future__ import annotations

from models.networks.embeddings import Embedding, embeddings
from models.operations.blocks import Site, close_spike_block, spiking_linear, token_attention
from models.operations.plan import NetworkListing, half
from models.operations.splitting import (
    first_convolution,
    integrated_spikes,
    largest_entering,
    steps_of,
    store_image,
    stream_unit,
)


def earlier_stages(plan: NetworkListing) -> str:
    """List all before the last stage's first block; return the name of its input."""
    config = plan.config
    late = config.isps == "late_sum"
    specs = embeddings(config)
    stream = "stages.0.embed.x" if late else "stages.0.x"
    stream = _embedding(plan, "stages.0.embed", specs[0], store_image(plan), stream)
    entering, unit = largest_entering(config), stream_unit(config)
    if late:
        stream = integrated_spikes(plan, "stages.0.integrate", stream, "stages.0.x", entering)
    for stage, depth in enumerate(config.earlier_blocks):
        for block in range(depth):
            stream = _token_block(plan, f"stages.{stage}.blocks.{block}", stream, entering, unit)
            entering += 2 * unit
        entering, unit = 2, 1
        following = "blocks.0.x" if stage == 1 else f"stages.{stage + 1}.x"
        name = f"stages.{stage + 1}.embed"
        stream = _embedding(plan, name, specs[stage + 1], stream, following)
    return stream


def _embedding(plan: NetworkListing, name: str, spec: Embedding, source: str, output: str) -> str:
    """A patch embedding; the first one in the config's form of I-SPS."""
    config = plan.config
    first = source == "sps.image"
    steps = steps_of(config) if first else config.timesteps
    kept = spikes = source
    for at, channels in enumerate(spec.channels[1:]):
        early = first and not at and config.isps == "early_integration"
        layer = f"{name}.{at}"
        if first and not at:
            current = first_convolution(plan, layer, spikes, channels, steps)
        else:
            current = plan.convolution(f"{layer}.conv", spikes, channels, steps)
        grid = plan.tensors[spikes].grid
        fires = config.timesteps if early else steps
        if spec.pooled[at]:
            seen = fires if config.dataset.sequential else steps
            current = plan.max_pool(f"{layer}.pool", current, seen, (grid, channels))
            grid = half(grid)
        spikes = plan.neuron(f"{layer}.lif", current, f"{layer}.out", fires, (grid, channels))
        if early:
            spikes = integrated_spikes(plan, f"{name}.integrate", spikes, f"{layer}.integrated")
        if at + 1 == spec.shortcut_from:
            kept = spikes
    end = plan.tensors[spikes]
    window = (1, spec.shortcut_stride)
    current = plan.convolution(f"{name}.shortcut.conv", kept, end.channels, steps, window)
    short, size = f"{name}.shortcut", (end.grid, end.channels)
    added = (spikes, plan.neuron(f"{short}.lif", current, f"{short}.out", steps, size))
    stream = plan.store(output, steps, end.grid, end.channels, largest=2)
    rows = (end.rows, end.channels)
    return plan.residual(f"{name}.residual", added, steps, rows, output=stream)


def _token_block(plan: NetworkListing, name: str, stream: str, entering: int, unit: int) -> str:
    """A block with token attention; returns the name of its output."""
    config, before = plan.config, plan.tensors[stream]
    dim = before.channels
    heads, hidden = config.size.heads, dim * config.mlp_ratio
    site = Site(name, f"{name}.x", before.grid, dim, heads, hidden, entering, unit)
    q, k = (spiking_linear(plan, site, f"attn.{part}", stream, dim) for part in "qk")
    return close_spike_block(plan, site, stream, token_attention(plan, site, q, k))
