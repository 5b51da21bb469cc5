"""The controls that A-SSA is compared with, as other ways of halting the same network.

None of them accumulates a score. `random` and `token_importance` keep a stated number of tokens at
every step, so that their budget can be that of an A-SSA run; `entropy_exit` ends whole images.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.halting.gate import GatePolicy
from models.halting.recursion import Halting, HaltingState, HaltingStep, Policy
from models.networks.config import HaltingConfig, ModelConfig

BISECTIONS = 60


def make_policy(config: ModelConfig) -> Policy | None:
    """Return the config's way of halting, None where nobody halts."""
    if not config.halts:
        return None
    return KINDS[config.halting.policy](config)


class BudgetedTokens(Policy):
    """Keeps so many of the tokens still active as the step's fraction of all allows: those of the
    highest priority.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config.halting)
        self.grid = config.grid
        self.fractions = kept_fractions(config.halting, config.timesteps, config.size.blocks)

    def before(self, state: HaltingState, entering: Tensor, step: HaltingStep) -> HaltingState:
        """Halt the tokens of the lowest priority; ties go to the token that comes first."""
        granularity = self.config.granularity
        if granularity == "timestep" and step.block:
            return state
        checks = 1 if granularity == "timestep" else step.blocks
        fraction = self.fractions[step.timestep * checks + step.block]
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
        """(image, token); higher is kept longer."""
        raise NotImplementedError


class RandomTokens(BudgetedTokens):
    """Halts tokens at random: the order is drawn by the seed and the image's own pixels.

    So neither the batch nor its order changes who halts. With granularity `block` each timestep has
    a draw of its own.
    """

    _keys: tuple[int, ...] = ()

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


class ImportantTokens(BudgetedTokens):
    """TP-Spikformer's score: 1 - cos(token, mean of its k x k neighbourhood) + |x_t - x_(t-1)|.

    By our choice the neighbourhood is cut at the border, |.| is the mean over channels, the first
    timestep has no second term, and a halted token counts with its latest value.
    """

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


KINDS: dict[str, Callable[[ModelConfig], Policy]] = {
    "score": lambda config: Halting(
        config.halting, config.size.embed_dim, config.timesteps * config.size.blocks
    ),
    "gate": lambda config: GatePolicy(config.halting, config.size.embed_dim),
    # DT-SNN: nobody but whole images.
    "entropy_exit": lambda config: Policy(dataclasses.replace(config.halting, exit="entropy")),
    "random": RandomTokens,
    "token_importance": ImportantTokens,
}


def kept_fractions(halting: HaltingConfig, timesteps: int, blocks: int) -> tuple[float, ...]:
    """Return the fraction of tokens kept at each check: the config's profile, or, of the mean
    `budget`, a geometric one, in which every check halts the same share of those that run.
    """
    if halting.profile:
        return halting.profile
    checks = {"block": blocks, "timestep": timesteps}.get(halting.granularity, timesteps * blocks)
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        ratio = (low + high) / 2.0
        mean = sum(ratio**check for check in range(checks)) / checks
        low, high = (ratio, high) if mean < halting.budget else (low, ratio)
    fractions = tuple(high**check for check in range(checks))
    return fractions * (timesteps if halting.granularity == "block" else 1)
