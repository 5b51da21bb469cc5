"""Batch-norm statistics: re-estimated on images, with the weights as they are."""

from __future__ import annotations

import torch
from torch import Tensor

from models.data.images import Images
from models.evaluate import batches
from models.networks.layers import Norm, SpikingConv, SpikingLinear
from models.networks.probes import Probe
from models.networks.rows import Rows
from models.networks.stas import STAS

SETTLING_BATCH = 200
FOLLOWING_MOMENTUM, FOLLOWING_ROUNDS = 0.05, 3


class MomentsProbe(Probe):
    """Set every batch-norm's running statistics to the moments of the one batch it sees."""

    def before_norm(
        self,
        layer: SpikingConv | SpikingLinear,
        current: Tensor,
        timesteps: int,
        rows: Rows | None,
    ) -> None:
        """Take the moments over live rows."""
        set_moments(layer, current, None if rows is None else rows.live())


@torch.no_grad()
def set_moments(layer: SpikingConv | SpikingLinear, current: Tensor, live: Tensor | None) -> None:
    """Set a batch-norm's running statistics to the moments of `current` over live rows, by channel.

    `current` as `Probe.before_norm` sees it; `live` bool (row,) or None.
    """
    norm = layer.norm
    channels_last = current.movedim(2, -1) if current.dim() == 5 else current
    values = channels_last.reshape(-1, norm.num_features)
    values = (values if live is None else values[live]).double()
    norm.running_mean.copy_(values.mean(0))
    norm.running_var.copy_(values.var(0, correction=0))


@torch.no_grad()
def settle_norms(model: STAS, images: Images) -> None:
    """Re-estimate all running statistics on `images`.

    Without halting: from nothing, the mean over batches of their statistics. With halting: the
    running statistics normalise too (see layers.Norm) and follow some rounds of batches.
    """
    norms = [module for module in model.modules() if isinstance(module, Norm)]
    kept = [(norm.momentum, norm.from_running) for norm in norms]
    halts = model.halting is not None
    for norm in norms:
        norm.from_running, norm.momentum = halts, FOLLOWING_MOMENTUM if halts else None
        if not halts:
            norm.reset_running_stats()
    model.train()
    for _ in range(FOLLOWING_ROUNDS if halts else 1):
        for pixels, _ in batches(images, SETTLING_BATCH):
            model(pixels)
    model.eval()
    for norm, (momentum, from_running) in zip(norms, kept, strict=True):
        norm.momentum, norm.from_running = momentum, from_running
