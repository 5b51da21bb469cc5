"""Spiking patch splitting (SPS), plain or integrated (I-SPS, form early_integration).

Four stages conv3x3-BN-(pool)-LIF of d/8, d/4, d/2, d channels, then a fifth as relative position,
added. I-SPS runs the first convolution once, its neurons for T timesteps, sums their spikes into
one graded map and runs the other stages once on it; all timesteps share the result. STAS publishes
no formula: this form is our choice.
"""

from __future__ import annotations

import torch
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

    def forward(self, images: Tensor, probe: Probe) -> Tensor:
        """Tokens (step, image, token, channel), integers 0..2: T steps, or one step with I-SPS."""
        if self.config.isps == "none":
            maps, steps = self._first_timesteps(images, probe), self.config.timesteps
        else:
            maps, steps = self._integrated(images, probe), 1
        for stage in self.stages[1:4]:
            maps = stage(maps, steps, probe)
        stream = maps + self.stages[4](maps, steps, probe)
        probe.record_maps("blocks.0.x", stream)
        return stream.flatten(3).transpose(2, 3).contiguous()

    def _first_timesteps(self, images: Tensor, probe: Probe) -> Tensor:
        """Direct coding: the same image enters the first convolution at every timestep."""
        timesteps = self.config.timesteps
        repeated = images.expand(timesteps, *images.shape)
        return torch.as_tensor(self.stages[0](repeated, timesteps, probe))

    def _integrated(self, images: Tensor, probe: Probe) -> Tensor:
        """One graded map (1, image, channel, h, w): the sum over T of the first stage's spikes, or
        its mean.
        """
        spikes = self.stages[0](images.unsqueeze(0), self.config.timesteps, probe)
        total = spikes.sum(0, keepdim=True)
        probe.record_maps("sps.0.integrated", total)
        return total / self.config.timesteps if self.config.integration == "mean" else total
