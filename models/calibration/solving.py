"""Solving for what makes neurons fire as wanted: shifts of batch-norms, and scalars in general."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from models.calibration.targets import Target
from models.networks.layers import max_pool
from models.neurons.base import Neuron
from models.neurons.lif import LIF

LEAST_RATE = 0.005
SHIFT_REACH = 16.0
SAMPLE_VALUES = 1 << 19
BISECTIONS = 14
SECANT_STEPS = 6
SECANT_TOLERANCE = 5e-4
LEAST_SLOPE = 1e-4


class Sums(NamedTuple):
    """Hold a layer's weighted sums, pooled where its neurons see them pooled.

    `values` (timestep, row, channel); `live` bool (timestep, row) or None; `stream`, of the shape
    of the spikes: the residual stream they are added to, or None. `pooled`: the maps' height and
    width where a pool follows the neurons. A potential they are added to is part of the values.
    """

    values: Tensor
    live: Tensor | None
    stream: Tensor | None
    pooled: tuple[int, int] | None = None
    neuron: Neuron = LIF

    def rows(self, index: Tensor) -> Sums:
        """Return the rows at `index`, all timesteps."""
        live = None if self.live is None else self.live[:, index]
        stream = None if self.stream is None else self.stream[:, index]
        return Sums(self.values[:, index], live, stream, neuron=self.neuron)


def solve_shift(sums: Sums, target: Target) -> float:
    """Return the shift common to all channels that meets the target through the neurons' dynamics.

    Where a stream's target is met already, the neurons keep LEAST_RATE.
    """
    if sums.stream is None:
        return _solve(sums, target.value)
    shift = _solve(sums, target.value)
    if activity(sums._replace(stream=None), shift) >= LEAST_RATE:
        return shift
    return _solve(sums._replace(stream=None), LEAST_RATE)


def _solve(sums: Sums, target: float) -> float:
    """Bisection on a sample of rows, then the secant method on all."""
    steps, rows, channels = sums.values.shape
    sample, size = sums, max(16, SAMPLE_VALUES // (steps * channels))
    if rows > size and sums.pooled is None:
        chosen = torch.randperm(rows, generator=torch.Generator().manual_seed(rows))
        sample = sums.rows(chosen[:size])
    low, high = -SHIFT_REACH, SHIFT_REACH
    for _ in range(BISECTIONS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if activity(sample, middle) < target else (low, middle)
    if sample is sums:
        return (low + high) / 2.0
    return secant(lambda shift: activity(sums, shift), target, (low + high) / 2.0, 0.01)


def activity(sums: Sums, shift: float) -> float:
    """Return the mean rate of neurons shifted by `shift`; with a stream, the non-zero fraction of
    stream plus spikes.
    """
    spikes, _ = sums.neuron.fire(sums.values + shift)
    if sums.pooled is not None:
        maps = spikes.unflatten(1, (-1, *sums.pooled)).flatten(0, 1).permute(0, 3, 1, 2)
        return float(max_pool(maps).mean(dtype=torch.float64))
    if sums.stream is not None:
        spikes = ((spikes + sums.stream) > 0).to(spikes.dtype)
    return live_mean(spikes, sums.live)


def secant(
    function: Callable[[float], float],
    target: float,
    start: float,
    width: float,
    tolerance: float = SECANT_TOLERANCE,
) -> float:
    """Return where a rising `function` meets `target`, to a relative `tolerance`, or the closest
    point seen.

    `width`: the second point's distance from `start`. The last call made need not be at the point
    returned.
    """
    at, value = start, function(start)
    best = (abs(value - target), at)
    step = math.copysign(width, target - value)
    for _ in range(SECANT_STEPS):
        if best[0] <= tolerance * target:
            break
        after = function(at + step)
        best = min(best, (abs(after - target), at + step))
        slope = max((after - value) / step, LEAST_SLOPE)
        at, value = at + step, after
        step = (target - value) / slope or LEAST_SLOPE
    return best[1]


def live_mean(values: Tensor, live: Tensor | None) -> float:
    """Return the mean over live rows of values (timestep, row, channel)."""
    if live is None:
        return float(values.mean(dtype=torch.float64))
    total = float((values * live.unsqueeze(-1)).sum(dtype=torch.float64))
    return total / max(1, int(live.sum()) * values.shape[-1])
