"""Leaky integrate-and-fire: v' = v + (x - v) / tau.

Source: Spikformer (ICLR 2023) as SpikingJelly 2.0 builds it: tau 2, decayed input, hard reset to 0.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from models.neurons import NEURONS
from models.neurons.base import Neuron, register, surrogate

TAU = 2.0


@register("lif")
class LeakyIntegrateAndFire(Neuron):
    """Keep half of the membrane, take half of the current."""

    keep: ClassVar[float] = 1.0 - 1.0 / TAU
    take: ClassVar[float] = 1.0 / TAU

    def charge(self, current: Tensor, membrane: Tensor | None, out: Tensor) -> None:
        """Move the membrane towards the current."""
        if membrane is None:
            torch.div(current, TAU, out=out)
        else:
            torch.sub(current, membrane, out=out).div_(TAU).add_(membrane)

    def fused(self, current: Tensor, membrane: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
        """Run SpikingJelly's kernel: Triton's or CUDA's on a GPU."""
        from spikingjelly.activation_based.functional import lif_multi_step

        spikes, after, _ = lif_multi_step(
            current, membrane, TAU, True, threshold, 0.0, surrogate(), detach_reset=True
        )
        return spikes, after

    def listed(self, threshold: float) -> tuple[str, dict[str, float]]:
        """Return the kind that traces have for it."""
        return "lif", {"tau": TAU, "threshold": threshold, "reset": 0.0, "decay_input": 1}


LIF = NEURONS["lif"]
