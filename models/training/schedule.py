"""Learning rates over a phase."""

from __future__ import annotations

import math

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


def make_schedule(optimizer: Optimizer, phase: Phase, steps: int) -> LRScheduler:
    """The phase's schedule, for `steps` batches an epoch; it is stepped after every batch."""
    total = phase.epochs * steps
    if phase.schedule == "one_cycle":
        return OneCycleLR(
            optimizer, phase.learning_rate, total_steps=total, pct_start=phase.warm_up
        )
    warm = round(phase.warm_up * total)

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1, total - warm)))

    return LambdaLR(optimizer, factor)
