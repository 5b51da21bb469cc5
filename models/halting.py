"""Two-dimensional halting: one score accumulated over blocks and timesteps, in the order the
network runs.

Generalises A-ViT (CVPR 2022) to timesteps; the state is not reset between them. STAS publishes no
formula: the recursion is our choice, written down in docs/stas.md.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.config import HaltingConfig


class HaltingState(NamedTuple):
    """Where every token stands after some steps.

    `active` bool (image, token): not yet halted. `accumulated`, `remainder`, `ponder` (image,
    token): the score so far, the output weight not yet given away, and A-ViT's cost (steps taken,
    plus the remainder once halted). `output` (image, token, channel): the mean field so far.
    """

    active: Tensor
    accumulated: Tensor
    remainder: Tensor
    ponder: Tensor
    output: Tensor


class Halting(nn.Module):
    """The score h = sigmoid(gamma * s + beta) and what follows from it."""

    gamma: Tensor
    beta: Tensor

    def __init__(self, config: HaltingConfig) -> None:
        super().__init__()
        self.config = config
        for name, value in (("gamma", config.gamma), ("beta", config.beta)):
            tensor = torch.tensor(float(value))
            if config.learned:
                self.register_parameter(name, nn.Parameter(tensor))
            else:
                self.register_buffer(name, tensor)

    def start(self, images: int, tokens: int, like: Tensor) -> HaltingState:
        """Every token active, nothing accumulated; `like` (..., channel) gives channels, dtype and
        device.
        """
        zeros = like.new_zeros(images, tokens)
        return HaltingState(
            active=torch.ones(images, tokens, dtype=torch.bool, device=like.device),
            accumulated=zeros,
            remainder=zeros + 1.0,
            ponder=zeros,
            output=like.new_zeros(images, tokens, like.shape[-1]),
        )

    def score(self, output: Tensor) -> Tensor:
        """h (image, token) from a block's output (image, token, channel): its channel 0, or its
        channel mean.
        """
        signal = output[..., 0] if self.config.score == "channel0" else output.mean(-1)
        return torch.sigmoid(self.gamma * signal + self.beta)

    def advance(self, state: HaltingState, output: Tensor, last: bool) -> HaltingState:
        """One step of the recursion; at the `last` step h is 1, so that every token left halts."""
        score = self.score(output)
        if last:
            score = torch.ones_like(score)
        return accumulate(state, output, score, self.config.eps)


def accumulate(state: HaltingState, output: Tensor, score: Tensor, eps: float) -> HaltingState:
    """Add one block's `output` (image, token, channel) with `score` (image, token) to the state.

    A token whose accumulated score reaches 1 - eps halts and gives its remainder to this output;
    the masks carry no gradient, the weights do.
    """
    active = state.active
    gained = torch.where(active, score, 0.0)
    accumulated = state.accumulated + gained
    reached = active & (accumulated >= 1.0 - eps)
    going_on = active & ~reached
    weight = torch.where(reached, state.remainder, torch.where(going_on, score, 0.0))
    return HaltingState(
        active=going_on,
        accumulated=accumulated,
        remainder=state.remainder - torch.where(going_on, score, 0.0),
        ponder=state.ponder + active + torch.where(reached, state.remainder, 0.0),
        output=state.output + weight.unsqueeze(-1) * output,
    )
