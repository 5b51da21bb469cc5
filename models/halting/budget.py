"""What policies share that keep a stated number of tokens at every check, whatever a score says.

So their budget can be that of an A-SSA run.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from models.halting.recursion import HaltingState, HaltingStep, Policy
from models.networks.config import HaltingConfig, ModelConfig

BISECTIONS = 60


class BudgetedTokens(Policy):
    """Keep as many of the active tokens as the step's fraction of all, of highest priority."""

    budgeted: ClassVar[bool] = True

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config.halting)
        self.grid = config.grid
        self.fractions = kept_fractions(config.halting, config.timesteps, config.size.blocks)

    @classmethod
    def of(cls, config: ModelConfig) -> Policy:
        """Return the policy of a network, with its grid of tokens and its fractions."""
        return cls(config)

    def stated(self) -> dict[str, Any]:
        """Return the fraction of tokens kept at each check."""
        return {"kept_fractions": list(self.fractions)}

    def before(self, state: HaltingState, entering: Tensor, step: HaltingStep) -> HaltingState:
        """Halt the tokens of the lowest priority; ties go to the token that comes first."""
        granularity = self.config.granularity
        if granularity == "timestep" and step.block:
            return state
        fraction = self.fractions[step.timestep if granularity == "timestep" else step.check]
        active = state.active
        if granularity == "block" and not step.block:
            assert state.ended is not None
            active = torch.ones_like(active) & ~state.ended.unsqueeze(1)
        priority = self.priority(state, entering, step)
        count = round(fraction * active.shape[1])
        order = priority.masked_fill(~active, -torch.inf).argsort(
            dim=1, descending=True, stable=True
        )
        kept = torch.zeros_like(active).scatter_(1, order[:, :count], True)
        return state._replace(active=active & kept)

    def priority(self, state: HaltingState, entering: Tensor, step: HaltingStep) -> Tensor:
        """Return (image, token); higher is kept longer."""
        raise NotImplementedError


def kept_fractions(halting: HaltingConfig, timesteps: int, blocks: int) -> tuple[float, ...]:
    """Return the fraction of tokens kept at each check: the profile, or one of mean `budget`.

    That is geometric: every check halts the same share of those that run.
    """
    if halting.profile:
        return halting.profile
    checks = halting.round_length(timesteps, blocks)
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        ratio = (low + high) / 2.0
        mean = sum(ratio**check for check in range(checks)) / checks
        low, high = (ratio, high) if mean < halting.budget else (low, ratio)
    fractions = tuple(high**check for check in range(checks))
    return fractions * (timesteps if halting.granularity == "block" else 1)
