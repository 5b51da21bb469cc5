"""Spiking patch splitting (SPS), plain or integrated (I-SPS) in one of three forms.

Four stages conv3x3-BN-(pool)-LIF of d/8, d/4, d/2, d channels, then a fifth as relative position,
added. STAS publishes no formula for I-SPS, so the forms are our choice; in each, all timesteps
share one result:

- `late_sum`: all stages at every timestep, their output summed over time (as OST does).
- `early_integration`: the first convolution, its neurons for T timesteps, their spikes summed into
  one graded map, the other stages once on it.
- `single_step`: every stage once, its neurons for a single timestep.
"""

from __future__ import annotations

from torch import Tensor, nn

from models.config import ModelConfig
from models.layers import SpikingConv
from models.probes import Probe


class PatchSplitting(nn.Module):
    """From images (image, channel, h, w) to the tokens of the first block."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        channels = (config.dataset.image_channels, *config.stage_channels)
        self.stages = nn.ModuleList(
            SpikingConv(
                f"sps.{stage}",
                (channels[stage], channels[stage + 1]),
                config.pool if stage in config.dataset.pooled_stages else None,
            )
            for stage in range(5)
        )

    def forward(self, frames: Tensor, probe: Probe) -> Tensor:
        """Tokens (step, image, token, channel): T steps, or one step with I-SPS.

        `frames` (step, image, channel, h, w): one step where the image is constant, else T. Without
        I-SPS tokens are integers 0..2.
        """
        form, timesteps = self.config.isps, self.config.timesteps
        steps = timesteps if form in ("none", "late_sum") else 1
        if form == "early_integration":
            maps = self._integrated(frames, probe)
        else:
            # Direct coding: a constant image enters the first convolution at every timestep.
            shown = frames.expand(max(steps, frames.shape[0]), *frames.shape[1:])
            maps = self.stages[0](shown, steps, probe)
        for stage in self.stages[1:4]:
            maps = stage(maps, steps, probe)
        stream = maps + self.stages[4](maps, steps, probe)
        if form == "late_sum":
            probe.record_maps("sps.x", stream)
            stream = stream.sum(0, keepdim=True)
        probe.record_maps("blocks.0.x", stream)
        if form == "late_sum" and self.config.integration == "mean":
            stream = stream / timesteps
        return stream.flatten(3).transpose(2, 3).contiguous()

    def _integrated(self, frames: Tensor, probe: Probe) -> Tensor:
        """One graded map (1, image, channel, h, w): the sum over T of the first stage's spikes, or
        its mean.
        """
        spikes = self.stages[0](frames, self.config.timesteps, probe)
        total = spikes.sum(0, keepdim=True)
        probe.record_maps("sps.0.integrated", total)
        return total / self.config.timesteps if self.config.integration == "mean" else total
