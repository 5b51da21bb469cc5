"""One training run over several processes, as `torchrun` starts them: the same run as in one.

Each process takes its share of every global batch; gradients, the loss and the batch-norm
statistics are those of the global batch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from models.errors import ModelError
from models.networks.layers import Norm, SpikingConv, SpikingLinear


class RankGroup(NamedTuple):
    """Count the processes of a run; `rank` is ours."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Return whether this process writes files and speaks."""
        return self.rank == 0


@contextmanager
def joined_group(device: torch.device) -> Iterator[RankGroup]:
    """Join the processes that torchrun started, and part from them again; alone without it."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield RankGroup()
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield RankGroup(dist.get_rank(), size)
    finally:
        dist.destroy_process_group()


def share_of(images: int, group: RankGroup) -> Tensor:
    """Return which of a batch's images this process takes: int64 (image,), ascending.

    The i-th and the i-th last go together: mixup blends them. Shares differ by at most two images.
    Raises ModelError for a batch that leaves a process without work.
    """
    place = torch.arange(images)
    chosen = (torch.minimum(place, images - 1 - place) % group.size == group.rank).nonzero()
    if not len(chosen):
        raise ModelError(f"a batch of {images} images is too small for {group.size} processes")
    return chosen.squeeze(1)


def summed(values: Tensor, group: RankGroup) -> Tensor:
    """Return the sum over all processes, without gradient."""
    if group.size > 1:
        values = values.detach().clone()
        dist.all_reduce(values)
    return values


class SharedNorm(Norm):
    """Normalise with batch statistics of all processes together.

    torch's SyncBatchNorm runs on GPUs only.
    """

    def rows_of(self, counted: Tensor) -> int:
        """Count the rows of all processes, so that all decide alike."""
        if not self.training:
            return super().rows_of(counted)
        rows = torch.tensor(super().rows_of(counted), device=counted.device)
        dist.all_reduce(rows)
        return int(rows)

    def by_batch(self, counted: Tensor) -> Tensor:
        """Normalise with the moments over all processes."""
        view = (1, -1, *[1] * (counted.dim() - 2))
        axes = [axis for axis in range(counted.dim()) if axis != 1]
        rows = _over_all(counted.new_tensor([counted.numel() / counted.shape[1]]))
        mean = _over_all(counted.sum(axes)) / rows
        centred = counted - mean.view(view)
        variance = _over_all((centred**2).sum(axes)) / rows
        with torch.no_grad():
            rate = float(self.momentum or 0.0)
            self.running_mean.lerp_(mean, rate)
            self.running_var.lerp_(variance * rows / (rows - 1.0), rate)
        scale = self.weight / torch.sqrt(variance + self.eps)
        return centred * scale.view(view) + self.bias.view(view)

    def first_moments(self, input: Tensor) -> tuple[Tensor, Tensor]:
        """Return means over the rows of all processes."""
        axes = [axis for axis in range(input.dim()) if axis != 1]
        rows = torch.full_like(self.running_mean, input.numel() / input.shape[1])
        sums = torch.stack([input.sum(axes), (input**2).sum(axes), rows])
        dist.all_reduce(sums)
        return sums[0] / sums[2], sums[1] / sums[2]


def share_norms(model: nn.Module) -> None:
    """Let every batch-norm of the model see all processes."""
    for layer in model.modules():
        if isinstance(layer, SpikingConv | SpikingLinear):
            norm = SharedNorm(layer.norm.num_features, eps=layer.norm.eps)
            norm.load_state_dict(layer.norm.state_dict())
            norm.momentum, norm.from_running = layer.norm.momentum, layer.norm.from_running
            layer.norm = norm.to(layer.norm.weight.device)


class _Sum(torch.autograd.Function):
    """Sum over all processes; what flows back is summed over all of them too."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def _over_all(values: Tensor) -> Tensor:
    return torch.as_tensor(_Sum.apply(values))
