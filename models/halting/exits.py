"""Images that end after a timestep, whatever their tokens do.

DT-SNN ends an image once the entropy of its prediction, that of the mean over the timesteps run,
is under a level. A learned exit leaves with probability sigmoid(slope x (level - entropy)): in
training every image runs on, and the loss sees the mixture of the predictions that it may leave
with; in evaluation it leaves where that probability is over one half, so under the level.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from models.networks.config import HaltingConfig

if TYPE_CHECKING:
    from models.halting.recursion import HaltingState, HaltingStep, Head

SLOPE = 10.0
LEAST_PROBABILITY = 1e-8


class ImageExit(nn.Module):
    """Decide after every timestep which images end."""

    slope: Tensor
    level: Tensor

    def __init__(self, config: HaltingConfig) -> None:
        super().__init__()
        self.learned = config.exit == "learned"
        # Not learned, the level is the config's, whatever a weights file was saved with.
        add_numbers(self, self.learned, persistent=False, slope=SLOPE, level=config.entropy)

    def forward(self, state: HaltingState, step: HaltingStep, head: Head) -> HaltingState:
        """Take the logits at a timestep's end and let images go."""
        if not step.ends_timestep:
            return state
        if self.learned and self.training:
            return self._leave_softly(state, step, head)
        assert state.ended is not None
        *before, latest = state.features  # of images that have ended nothing comes any more
        features = (*before, latest * ~state.ended.unsqueeze(1))
        logits = head(torch.stack(features))
        if state.logits is not None:
            logits = torch.where(state.ended.unsqueeze(1), state.logits, logits)
        ended = state.ended | (normalised_entropy(logits) < self.level)
        return state._replace(
            features=features,
            logits=logits,
            ended=ended,
            active=state.active & ~ended.unsqueeze(1),
        )

    def _leave_softly(self, state: HaltingState, step: HaltingStep, head: Head) -> HaltingState:
        """Add what may leave now to the mixture; at the last timestep all that is left does."""
        logits = head(torch.stack(state.features))
        running = logits.new_ones(len(logits)) if state.running is None else state.running
        certain = torch.sigmoid(self.slope * (self.level - normalised_entropy(logits)))
        leaving = running if step.last else running * certain
        mixture = leaving.unsqueeze(1) * logits.softmax(1)
        if state.mixture is not None:
            mixture = mixture + state.mixture
        state = state._replace(running=running - leaving, mixture=mixture)
        if not step.last:
            return state
        return state._replace(logits=mixture.clamp_min(LEAST_PROBABILITY).log())


def add_numbers(
    module: nn.Module, learned: bool, *, persistent: bool = True, **values: float | Tensor | None
) -> None:
    """Give a module numbers by name, as parameters where they are learned; None gives none."""
    for name, value in values.items():
        tensor = None if value is None else torch.as_tensor(value, dtype=torch.get_default_dtype())
        if learned:
            module.register_parameter(name, None if tensor is None else nn.Parameter(tensor))
        else:
            module.register_buffer(name, tensor, persistent=persistent)


def normalised_entropy(logits: Tensor) -> Tensor:
    """Return the entropy (image,) of the softmax of logits (image, class), 1 for a uniform one."""
    log = torch.log_softmax(logits, 1)
    return -(log.exp() * log).sum(1) / math.log(logits.shape[1])
