"""Run by torchrun: are the gradients of two processes, added, those of one on the whole batch?

In float64, where sums in another order flip no spike. Prints the largest relative difference.
"""

from __future__ import annotations

import sys

import torch
import torch.distributed as dist
from torch import Tensor, nn

from models.data.images import small_digits
from models.halting.losses import LossConfig, total_loss
from models.networks.config import named_config
from models.networks.layers import Norm
from models.networks.stas import STAS
from models.training.sharding import RankGroup, joined_group, share_norms, share_of

IMAGES = 302  # shares differ in size


def network(halts: bool) -> STAS:
    torch.manual_seed(0)
    model = STAS(named_config("stas_spikformer_2_64", "digits", 2)).double().train()
    for norm in (module for module in model.modules() if isinstance(module, Norm)):
        norm.from_running = halts
    return model


def backward(model: STAS, seen: nn.Module, pixels: Tensor, labels: Tensor, path: str) -> Tensor:
    output = seen(pixels, path=path)
    return total_loss(output, labels, model.config, LossConfig(prior=0.1 * (path == "halting")))


def difference(path: str, group: RankGroup) -> float:
    digits = small_digits()[0].first(IMAGES)
    pixels = torch.from_numpy(digits.pixels).double()
    labels = torch.from_numpy(digits.labels)
    alone, shared = network(path == "halting"), network(path == "halting")
    backward(alone, alone, pixels, labels, path).backward()
    share_norms(shared)
    shared.double()
    seen = nn.parallel.DistributedDataParallel(
        shared, forward_sync_buffers=False, find_unused_parameters=True
    )
    share = share_of(IMAGES, group)
    portion = len(share) * group.size / IMAGES
    (backward(shared, seen, pixels[share], labels[share], path) * portion).backward()
    worst = 0.0
    for mine, ours in zip(alone.parameters(), shared.parameters(), strict=True):
        if mine.grad is not None and ours.grad is not None:
            worst = max(worst, float((mine.grad - ours.grad).norm() / mine.grad.norm()))
    for mine, ours in zip(alone.buffers(), shared.buffers(), strict=True):
        if mine.is_floating_point():
            worst = max(worst, float((mine - ours).abs().max()))
    return worst


if __name__ == "__main__":
    torch.set_num_threads(1)
    with joined_group(torch.device("cpu")) as processes:
        for each in ("layers", "halting"):
            found = difference(each, processes)
            if processes.leads:
                print(each, dist.get_world_size(), found)
    sys.exit(0)
