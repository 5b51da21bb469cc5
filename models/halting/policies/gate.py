"""A gate: who runs a timestep is decided as it begins, so a token may sleep and wake again.

The score is that of A-SSA, h = sigmoid(gamma s + beta), read from what enters the first block; a
token sits a timestep out where h >= 1/2. In training the decision is drawn, h being its
probability, and its gradient passes through the draw (straight-through, as in DynamicViT and
AdaViT): a token's part in the mean over tokens is weighed by 1, whose gradient is that of 1 - h.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from models.halting.recursion import (
    CheckParameters,
    Halting,
    HaltingState,
    HaltingStep,
    Head,
    Policy,
    register,
)
from models.networks.config import HaltingConfig

LEAST_UNIFORM = 1e-6


@register("gate")
class GatePolicy(Halting):
    """Choose the tokens of each timestep; what is left out gives zero to the head."""

    granularities: ClassVar[tuple[str, ...]] = ("waking",)
    accumulates: ClassVar[bool] = False
    # Nothing is accumulated, so there is neither a ponder cost nor a mean field.
    ponder, weights, survival = Policy.ponder, Policy.weights, Policy.survival
    _share: Tensor

    @classmethod
    def is_checked_ahead(cls, block: int) -> bool:
        """Return whether it is the first block, where a timestep begins."""
        return block == 0

    @classmethod
    def check_parameters(cls, halting: HaltingConfig) -> CheckParameters:
        """Return those of its score, compared with a half."""
        return CheckParameters(0.5, halting.score)

    def before(self, state: HaltingState, entering: Tensor, step: HaltingStep) -> HaltingState:
        """Choose at a timestep's first block; record the probability of running every block."""
        if not step.block:
            logit = self.logit(entering)
            runs = 1.0 - torch.sigmoid(logit)
            active = self._drawn(logit) if self.training else logit < 0.0
            assert state.ended is not None
            state = state._replace(active=active & ~state.ended.unsqueeze(1))
            self._share = runs if state.running is None else runs * state.running.unsqueeze(1)
            self._weight = active + runs - runs.detach()
        return state._replace(survival=(*state.survival, self._share))

    def after(
        self, state: HaltingState, output: Tensor, step: HaltingStep, head: Head
    ) -> HaltingState:
        """Keep the mean over tokens for the head at a timestep's end."""
        if step.ends_timestep:
            features = (output * self._weight.unsqueeze(-1)).mean(1)
            state = state._replace(features=(*state.features, features))
        return self.ending(state, step, head)

    @staticmethod
    def _drawn(logit: Tensor) -> Tensor:
        """Draw whether each token runs: false with probability sigmoid(logit)."""
        uniform = torch.rand_like(logit).clamp(LEAST_UNIFORM, 1.0 - LEAST_UNIFORM)
        return logit + torch.logit(uniform) < 0.0
