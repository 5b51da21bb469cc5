"""Spiking patch splitting (SPS), plain or integrated (I-SPS) in one of three forms.

Five convolutions of d/8, d/4, d/2, d, d channels, the last one the relative position:

- Spikformer: conv3x3-BN-(pool)-LIF each; the last one's spikes are added to those before it.
- Spikingformer: a LIF and a pool ahead of each convolution but the first; out comes a potential.
- Spike-Driven Transformer: the same up to the fourth, whose pool is ahead of its LIF; the last
  one's sums are added to the fourth's potential.

STAS publishes no formula for I-SPS, so the forms are our choice; in each, all timesteps
share one result:

- `late_sum`: all stages at every timestep, their output summed over time (as OST does).
- `early_integration`: the first convolution, its neurons for T timesteps, their spikes summed into
  one graded map, the other stages once on it.
- `single_step`: every stage once, its neurons for a single timestep.
"""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from models.networks.config import ModelConfig
from models.networks.layers import SpikingConv
from models.networks.probes import Probe


def pool_of(config: ModelConfig, stage: int) -> str | None:
    """Return where a stage pools: ahead of its neurons, behind them, or not at all."""
    if stage not in config.dataset.pooled_stages:
        return None
    return config.kind.pool(config, stage)


class PatchSplitting(nn.Module):
    """Lead from images (image, channel, h, w) to the tokens of the first block."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        channels = (config.dataset.image_channels, *config.stage_channels)
        self.stages = nn.ModuleList(
            SpikingConv(f"sps.{stage}", pair, pool_of(config, stage), config.neurons)
            for stage, pair in enumerate(itertools.pairwise(channels))
        )

    def forward(self, frames: Tensor, probe: Probe) -> Tensor:
        """Return tokens (step, image, token, channel): T steps, or one step with I-SPS.

        `frames` (step, image, channel, h, w): one step where the image is constant, else T.
        Spikformer's tokens are integers (without I-SPS 0..2), the others' potentials.
        """
        form, timesteps = self.config.isps, self.config.timesteps
        steps = timesteps if form in ("none", "late_sum") else 1
        if form == "early_integration":
            maps = self._integrated(frames, probe)
        else:
            # Direct coding: a constant image enters the first convolution at every timestep.
            shown = frames.expand(max(steps, frames.shape[0]), *frames.shape[1:])
            maps = self.stages[0](shown, steps, probe)
        for stage in self.stages[1:3]:
            maps = stage(maps, steps, probe)
        stream = self._stream(maps, steps, probe)
        late, spikes = form == "late_sum", self.config.spike_stream
        if late:
            if spikes:
                probe.record_maps("sps.x", stream)
            stream = stream.sum(0, keepdim=True)
        if spikes:
            probe.record_maps("blocks.0.x", stream)
        if late and self.config.integration == "mean":
            stream = stream / timesteps
        return stream.flatten(3).transpose(2, 3).contiguous()

    def _stream(self, maps: Tensor, steps: int, probe: Probe) -> Tensor:
        """Return the last two stages and what is added: (step, image, channel, h, w)."""
        fourth, last = self.stages[3], self.stages[4]
        current = fourth.current(maps, steps, probe)
        spikes = fourth.fire(current, steps, probe)
        return self.config.kind.join(last, current, spikes, steps, probe)

    def _integrated(self, frames: Tensor, probe: Probe) -> Tensor:
        """Return the sum over T of the first stage's spikes, or its mean: a graded map."""
        spikes = self.stages[0](frames, self.config.timesteps, probe)
        total = spikes.sum(0, keepdim=True)
        probe.record_maps("sps.0.integrated", total)
        return total / self.config.timesteps if self.config.integration == "mean" else total
