"""Tokens halted at random, within a budget: the control of every score."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.halting.budget import BudgetedTokens
from models.halting.recursion import HaltingState, HaltingStep, register


@register("random")
class RandomTokens(BudgetedTokens):
    """Halt tokens at random: the order is drawn by the seed and the image's own pixels.

    So neither the batch nor its order changes who halts. With granularity `block` each timestep has
    a draw of its own.
    """

    _keys: tuple[int, ...] = ()

    def stated(self) -> dict[str, Any]:
        """Return the fractions and the seed of the draws."""
        return super().stated() | {"seed": self.config.seed}

    def look(self, pixels: Tensor) -> None:
        """Hash each image of the batch."""
        contents = pixels.detach().float().cpu().numpy()
        self._keys = tuple(zlib.crc32(np.ascontiguousarray(each).data) for each in contents)

    def priority(self, state: HaltingState, entering: Tensor, step: HaltingStep) -> Tensor:
        """Return a draw per token, one for all steps after which halted tokens stay halted."""
        draw = step.timestep if self.config.granularity == "block" else 0
        drawn = [
            np.random.default_rng([self.config.seed, key, draw]).random(entering.shape[1])
            for key in self._keys
        ]
        return torch.from_numpy(np.stack(drawn)).to(entering.device)
