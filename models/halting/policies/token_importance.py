"""TP-Spikformer's score of what enters a block, within a budget."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from models.halting.budget import BudgetedTokens
from models.halting.recursion import CheckParameters, HaltingState, HaltingStep, register
from models.networks.config import HaltingConfig


@register("token_importance")
class ImportantTokens(BudgetedTokens):
    """Keep by TP-Spikformer: 1 - cos(token, mean of its k x k neighbourhood) + |x_t - x_(t-1)|.

    By our choice the neighbourhood is cut at the border, |.| is the mean over channels, the first
    timestep has no second term, and a halted token counts with its latest value.
    """

    @classmethod
    def is_checked_ahead(cls, block: int) -> bool:
        """Return true: its score is of what enters a block."""
        return True

    @classmethod
    def check_parameters(cls, halting: HaltingConfig) -> CheckParameters:
        """Return those of a score of its own, which is compared with no threshold."""
        return CheckParameters(0.0, "token_importance")

    def stated(self) -> dict[str, Any]:
        """Return the fractions and the side of the neighbourhood."""
        return super().stated() | {"neighbourhood": self.config.neighbourhood}

    def start(self, images: int, tokens: int, like: Tensor) -> HaltingState:
        """Forget the inputs of the batch before."""
        self._previous: dict[int, Tensor] = {}
        return super().start(images, tokens, like)

    def priority(self, state: HaltingState, entering: Tensor, step: HaltingStep) -> Tensor:
        """Return the score of what enters the block."""
        filled = entering
        if step.block and state.latest is not None:
            filled = torch.where(state.active.unsqueeze(-1), entering, state.latest)
        filled = filled.detach()
        side = self.config.neighbourhood
        maps = filled.transpose(1, 2).unflatten(2, self.grid)
        mean = F.avg_pool2d(maps, side, 1, side // 2, count_include_pad=False)
        importance = 1.0 - F.cosine_similarity(filled, mean.flatten(2).transpose(1, 2), dim=-1)
        before = self._previous.get(step.block)
        self._previous[step.block] = filled
        return importance if before is None else importance + (filled - before).abs().mean(-1)
