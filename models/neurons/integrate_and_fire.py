"""Integrate-and-fire: v' = v + x, no leak, hard reset to 0.

Source: SpikingJelly 2.0's IFNode; networks converted from others (ANN to SNN) use it.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from models.neurons.base import Neuron, register, surrogate


@register("integrate_and_fire")
class IntegrateAndFire(Neuron):
    """Keep all of the membrane, take all of the current."""

    keep: ClassVar[float] = 1.0
    take: ClassVar[float] = 1.0

    def charge(self, current: Tensor, membrane: Tensor | None, out: Tensor) -> None:
        """Add the current to the membrane."""
        if membrane is None:
            out.copy_(current)
        else:
            torch.add(membrane, current, out=out)

    def fused(self, current: Tensor, membrane: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
        """Run SpikingJelly's kernel: Triton's or CUDA's on a GPU."""
        from spikingjelly.activation_based.functional import if_multi_step

        spikes, after, _ = if_multi_step(
            current, membrane, threshold, 0.0, surrogate(), detach_reset=True
        )
        return spikes, after

    def listed(self, threshold: float) -> tuple[str, dict[str, float]]:
        """Return one state, an add, a comparison and a reset by a selection."""
        return "neuron", {"states": 1, "add": 1, "ge": 1, "where": 1}
