"""The optimizer of a phase and its learning rates."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from models.errors import ModelError
from models.training.recipe import Phase


def check_schedule(phase: Phase, steps: int) -> None:
    """Raise ModelError for a schedule that `steps` batches an epoch cannot follow."""
    total = phase.epochs * steps
    if phase.schedule == "one_cycle" and phase.warm_up * total == 1.0:
        raise ModelError(
            f"schedule one_cycle cannot warm up over exactly 1 of {total} steps; change warm_up"
        )


def make_optimizer(model: nn.Module, phase: Phase) -> Optimizer:
    """Return the phase's optimizer; norms, biases and the halting's gamma and beta do not decay.

    They are the parameters of at most one axis.
    """
    # timm's param_groups_weight_decay makes the same groups in the other order, and a single one
    # where the decay is 0: checkpoints of earlier runs, which number parameters, would not go on.
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": phase.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if phase.optimizer == "adamw":
        return torch.optim.AdamW(groups, phase.learning_rate)
    from timm.optim import Lamb

    return Lamb(groups, phase.learning_rate)


def make_schedule(optimizer: Optimizer, phase: Phase, steps: int) -> LRScheduler:
    """Return the phase's schedule for `steps` batches an epoch; it is stepped after every batch."""
    total = phase.epochs * steps
    if phase.schedule == "cosine_by_epoch":
        return LambdaLR(optimizer, lambda step: rate_of_epoch(phase, step // steps))
    if phase.schedule == "one_cycle":
        return OneCycleLR(
            optimizer, phase.learning_rate, total_steps=total, pct_start=phase.warm_up
        )
    warm, least = round(phase.warm_up * total), phase.least_rate / phase.learning_rate

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        fall = 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1, total - warm)))
        return least + (1.0 - least) * fall

    return LambdaLR(optimizer, factor)


def rate_of_epoch(phase: Phase, epoch: int) -> float:
    """Return timm's cosine as the field trains with it, as a factor of the phase's rate.

    The cosine runs from epoch 0, so that it has fallen a little when the warm-up ends.
    """
    # timm's CosineLRScheduler itself rounds otherwise: at 8 to 33 of a recipe's epochs its rate
    # differs in the last bit, and so would the weights.
    warm = round(phase.warm_up * phase.epochs)
    peak = phase.learning_rate
    if epoch < warm:
        return (phase.warm_up_rate + (peak - phase.warm_up_rate) * epoch / warm) / peak
    if epoch >= phase.epochs:
        return phase.least_rate / peak
    fall = 0.5 * (1.0 + math.cos(math.pi * epoch / phase.epochs))
    return (phase.least_rate + (peak - phase.least_rate) * fall) / peak
