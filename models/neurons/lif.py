"""The spiking neuron: leaky integrate-and-fire with hard reset.

v' = v + (x - v) / tau; s = [v' >= threshold]; v = v' * (1 - s). Source: Spikformer (ICLR 2023) as
SpikingJelly 2.0 builds it: tau 2, decayed input, reset to 0, the reset detached from the gradient,
sigmoid surrogate with alpha 4.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

TAU = 2.0
THRESHOLD = 1.0
ATTENTION_THRESHOLD = 0.5
SURROGATE_ALPHA = 4.0


class _LIF(torch.autograd.Function):
    """The neuron over some timesteps; its backward keeps the charged membranes only."""

    @staticmethod
    def forward(
        ctx: Any, current: Tensor, membrane: Tensor | None, threshold: float
    ) -> tuple[Tensor, Tensor]:
        ctx.had_membrane = membrane is not None
        ctx.threshold = threshold
        charged = torch.empty_like(current)
        spikes = torch.empty_like(current)
        for at_step, charge, fired in zip(current, charged, spikes, strict=True):
            if membrane is None:
                torch.div(at_step, TAU, out=charge)
            else:
                torch.sub(at_step, membrane, out=charge).div_(TAU).add_(membrane)
            torch.ge(charge, threshold, out=fired)
            membrane = charge * (1.0 - fired)
        ctx.save_for_backward(charged)
        assert membrane is not None
        return spikes, membrane

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        of_spikes, of_membrane = gradients
        (charged,) = ctx.saved_tensors
        of_current = torch.sub(charged, ctx.threshold).mul_(SURROGATE_ALPHA).sigmoid_()
        of_current.addcmul_(of_current, of_current, value=-1.0).mul_(SURROGATE_ALPHA)
        of_current.mul_(of_spikes)
        carried = of_membrane
        for step in reversed(range(charged.shape[0])):
            silent = (charged[step] < ctx.threshold).to(charged.dtype)
            of_charged = of_current[step].addcmul_(carried, silent)
            carried = of_charged * (1.0 - 1.0 / TAU)
            of_charged.div_(TAU)
        return of_current, carried if ctx.had_membrane else None, None


def lif(
    current: Tensor, membrane: Tensor | None = None, threshold: float = THRESHOLD
) -> tuple[Tensor, Tensor]:
    """Spikes (timestep, ...), 0 or 1, for currents of that shape, and the membrane (...) after the
    last reset.

    `membrane` None means the resting state 0. Under autocast neurons integrate in float32: a
    membrane of half precision would be another neuron.
    """
    spikes, after = _LIF.apply(full_precision(current), membrane, threshold)
    return spikes, after


def full_precision(values: Tensor) -> Tensor:
    """`values`, in float32 where they are of half precision."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values
