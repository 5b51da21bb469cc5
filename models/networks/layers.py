"""The spiking layers every part is made of: weights, batch-norm, (pooling,) LIF."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.errors import ModelError
from models.networks.probes import Probe
from models.networks.rows import Membranes, Rows
from models.neurons.base import THRESHOLD, Neuron, full_precision

# On one thread torch leaves a 1x1 convolution to oneDNN only if it has that many images.
MANY_IMAGES = 16
MANY_ROWS = 1024
POOL_KERNEL, POOL_STRIDE, POOL_PADDING = 3, 2, 1


class Context(NamedTuple):
    """Hold what a block needs beside its input: rows to compute, membranes, a probe."""

    rows: Rows
    membranes: Membranes
    probe: Probe


class Norm(nn.BatchNorm1d):
    """Normalise over (row, channel) or (image, channel, h, w), without halted rows.

    With `from_running` set, training normalises with the running statistics too and lets every
    batch move them: with halting, timesteps run one after another and per-timestep batch statistics
    would differ from those of evaluation. In evaluation the norm is x * scale + shift, two
    roundings whatever the batch's shape.
    """

    running_mean: Tensor
    running_var: Tensor
    from_running = False

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept 2-D and 4-D input."""

    def forward(self, input: Tensor, live: Tensor | None = None) -> Tensor:
        """Normalise over every axis but axis 1; `live` (bool, per row): the rows that count."""
        # Under autocast the sums are bfloat16, the statistics float32.
        input = full_precision(input)
        index = None if live is None else live.nonzero().squeeze(1)
        counted = input if index is None else input[index]
        too_few = self.rows_of(counted) <= 1
        if self.training and self.from_running and not too_few:
            self._follow(counted)
        if not self.training or self.from_running or too_few:
            scale, shift = self.affine_map()
            view = (1, -1, *[1] * (input.dim() - 2))
            return input * scale.view(view) + shift.view(view)
        if index is None:
            return self.by_batch(input)
        return torch.zeros_like(input).index_copy(0, index, self.by_batch(counted))

    def rows_of(self, counted: Tensor) -> int:
        """Return how many rows the statistics would come from."""
        return counted.numel() // counted.shape[1]

    def by_batch(self, counted: Tensor) -> Tensor:
        """Normalise with the moments of `counted` itself, and let them move the running ones."""
        return torch.as_tensor(super().forward(counted))

    def affine_map(self) -> tuple[Tensor, Tensor]:
        """Return the scale and shift (channel,) that evaluation applies."""
        mean = self.running_mean.clone()  # a later call may move it before this one's backward
        scale = self.weight / torch.sqrt(self.running_var + self.eps)
        return scale, self.bias - mean * scale

    @torch.no_grad()
    def _follow(self, input: Tensor) -> None:
        """Move the running mean and the running second moment towards this batch's."""
        rate = float(self.momentum or 0.0)
        mean, square = self.first_moments(input)
        second = self.running_var + self.running_mean**2
        second.lerp_(square, rate)
        self.running_mean.lerp_(mean, rate)
        self.running_var.copy_((second - self.running_mean**2).clamp_min(0.0))

    def first_moments(self, input: Tensor) -> tuple[Tensor, Tensor]:
        """Return means (channel,) of the values and of their squares."""
        axes = [axis for axis in range(input.dim()) if axis != 1]
        return input.mean(axes), (input**2).mean(axes)


class SpikingLinear(nn.Module):
    """Apply a linear layer without bias, batch-norm and neurons to the computed token rows."""

    def __init__(self, name: str, in_features: int, out_features: int) -> None:
        super().__init__()
        self.name = name
        self.linear = nn.Linear(in_features, out_features, bias=False)
        self.norm = Norm(out_features)

    def forward(self, rows: Tensor, context: Context) -> Tensor:
        """Return the spikes (row, out_features) of rows (row, in_features)."""
        return fire(self.current(rows, context), context, self.name)

    def current(self, rows: Tensor, context: Context) -> Tensor:
        """Return the normalised sums (row, out_features), without neurons."""
        current = linear_rows(rows, self.linear.weight)
        check_sums(self, current)
        context.probe.before_norm(self, current, context.rows.steps, context.rows)
        return torch.as_tensor(self.norm(current, context.rows.live()))


def fire(current: Tensor, context: Context, name: str, threshold: float = THRESHOLD) -> Tensor:
    """Return the spikes (row, channel) of the neurons `name`, recorded."""
    spikes = context.rows.fire(current, context.membranes, name, threshold)
    context.probe.record(name, spikes, context.rows)
    return spikes


class SpikingConv(nn.Module):
    """Apply a convolution without bias, batch-norm, neurons and, if asked, a max-pool to maps."""

    def __init__(
        self,
        name: str,
        channels: tuple[int, int],
        pool: str | None,
        neuron: Neuron,
        kernel: int = 3,
        stride: int = 1,
    ) -> None:
        """`channels`: in and out; `pool`: None, `before_lif` or `after_lif`."""
        super().__init__()
        self.name, self.pool, self.neuron = name, pool, neuron
        self.conv = nn.Conv2d(*channels, kernel, stride, padding=kernel // 2, bias=False)
        self.norm = Norm(channels[1])

    def forward(self, maps: Tensor, timesteps: int, probe: Probe) -> Tensor:
        """Return spikes (timestep, image, channel, h, w) of maps (step, image, channel, h, w).

        One map for several timesteps (step 1) is a constant current; several maps for one timestep
        enter as their mean current.
        """
        return self.fire(self.current(maps, timesteps, probe), timesteps, probe)

    def current(self, maps: Tensor, timesteps: int, probe: Probe) -> Tensor:
        """Return what the neurons see: normalised sums (step, image, channel, h, w), pooled where
        the pool is ahead of them.
        """
        steps, images = maps.shape[:2]
        current = self.conv(maps.flatten(0, 1))
        check_sums(self, current)
        probe.before_norm(self, current.unflatten(0, (steps, images)), timesteps, None)
        current = self.norm(current)
        if steps > timesteps:
            current = current.unflatten(0, (steps, images)).mean(0)
            steps = 1
        if self.pool == "before_lif":
            current = max_pool(current)
        return torch.as_tensor(current.unflatten(0, (steps, images)))

    def fire(self, current: Tensor, timesteps: int, probe: Probe) -> Tensor:
        """Return the neurons' spikes over the timesteps, pooled if the pool is behind them."""
        spikes, _ = self.neuron.fire(current.expand(timesteps, *current.shape[1:]))
        if self.pool == "after_lif":
            probe.record_maps(f"{self.name}.unpooled", spikes)
            spikes = max_pool(spikes.flatten(0, 1)).unflatten(0, spikes.shape[:2])
        probe.record_maps(f"{self.name}.out", spikes)
        return spikes


def check_sums(layer: SpikingConv | SpikingLinear, current: Tensor) -> None:
    """Raise ModelError for weighted sums that are not numbers: a neuron would hide them.

    In evaluation only; in training the loss tells.
    """
    if layer.training or torch.compiler.is_compiling():
        return
    if not bool(torch.isfinite(current.detach().sum())) and not bool(current.isfinite().all()):
        raise ModelError(f"layer {layer.name}", "its weighted sums hold values that are not finite")


def linear_rows(rows: Tensor, weight: Tensor) -> Tensor:
    """Return rows (row, in) times weight^T (out, in), by a 1x1 convolution over an image.

    The image is channels-last, so a copy is seldom made; on CPUs whose BLAS is slow, oneDNN's
    convolution is the faster product.
    """
    count = len(rows)
    if not count:
        return rows @ weight.T
    images = MANY_IMAGES if count >= MANY_ROWS and torch.get_num_threads() == 1 else 1
    short = -count % images
    padded = F.pad(rows, (0, 0, 0, short)) if short else rows
    image = padded.view(images, -1, 1, rows.shape[1]).permute(0, 3, 1, 2)
    product = F.conv2d(image, weight.view(*weight.shape, 1, 1))
    return product.permute(0, 2, 3, 1).reshape(len(padded), -1)[:count]


def max_pool(maps: Tensor) -> Tensor:
    """Pool by the maximum of 3x3, stride 2: halve height and width."""
    return F.max_pool2d(maps, POOL_KERNEL, POOL_STRIDE, POOL_PADDING)
