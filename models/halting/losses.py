"""The losses of training with halting: task, ponder cost, prior over the halting step.

A-ViT's (CVPR 2022): task + 5e-4 mean(rho) + 1e-3 KL(prior || mean distribution of halting). Its
code takes that mean over the wrong axis and leaves the Gaussian prior unnormalised; here the mean
is over images and tokens, and both sides sum to 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.errors import ModelError
from models.networks.config import ModelConfig
from models.networks.stas import Output

LEAST_PROBABILITY = 1e-8


@dataclass(frozen=True)
class LossConfig:
    """Hold the weights of the losses.

    ponder: of the ponder cost, a fraction of all checks.
    prior: of the divergence from a Gaussian over the checks.
    prior_mean, prior_deviation: the Gaussian's, as fractions of all checks.
    survival: of the share of tokens expected to run, as far as it is over `survival_target`; its
        gradient flows through the probability of running, the ponder cost's through the last score.
    smoothing: of the labels.
    """

    ponder: float = 0.05
    prior: float = 0.0
    prior_mean: float = 0.5
    prior_deviation: float = 0.25
    survival: float = 0.0
    survival_target: float = 0.0
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no loss."""
        for name in ("ponder", "prior", "survival"):
            if getattr(self, name) < 0.0:
                raise ModelError(f"loss {name} is {getattr(self, name)}; it must be at least 0")
        if not self.prior_deviation > 0.0:
            raise ModelError(f"loss prior_deviation is {self.prior_deviation}; it must be over 0")
        if not 0.0 <= self.smoothing < 1.0:
            raise ModelError(f"loss smoothing is {self.smoothing}; it must lie in 0..1")


def total_loss(output: Output, labels: Tensor, model: ModelConfig, loss: LossConfig) -> Tensor:
    """Sum the task's loss and, where a score is accumulated, weighted ponder cost and prior.

    `labels` int64 (image,), or class probabilities (image, class) as mixup makes them.
    """
    total = F.cross_entropy(output.logits, labels, label_smoothing=loss.smoothing)
    if output.ponder is not None and loss.ponder:
        total = total + loss.ponder * ponder_cost(output.ponder, model)
    if output.weights is not None and loss.prior:
        total = total + loss.prior * prior_divergence(output.weights, loss)
    if output.survival is not None and loss.survival:
        total = total + loss.survival * F.relu(output.survival.mean() - loss.survival_target)
    return total


def ponder_cost(ponder: Tensor, model: ModelConfig) -> Tensor:
    """Return the mean ponder cost (image, token), a fraction of the checks of a token."""
    return ponder.mean() / model.halting_steps


def prior_divergence(weights: Tensor, loss: LossConfig) -> Tensor:
    """Return KL(prior || halting), the mean of weights (image, check, token) over all tokens."""
    halting = weights.mean((0, 2)).clamp_min(LEAST_PROBABILITY)
    prior = gaussian_prior(weights.shape[1], loss).to(weights)
    return (prior * (prior.clamp_min(LEAST_PROBABILITY).log() - halting.log())).sum()


def gaussian_prior(checks: int, loss: LossConfig) -> Tensor:
    """Return a Gaussian over the checks 1..n, normalised to sum to 1; float64 (check,)."""
    at = torch.arange(1, checks + 1, dtype=torch.float64) / checks
    density = torch.exp(-0.5 * ((at - loss.prior_mean) / loss.prior_deviation) ** 2)
    return density / density.sum()
