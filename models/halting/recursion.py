"""Halting: which token runs at which (timestep, block) step, and what the head sees of it.

A-SSA generalises A-ViT (CVPR 2022) to timesteps: one score accumulates in the order in which the
network runs. STAS publishes no formula: the recursion and its granularities are our choice, written
down in docs/stas.md. The controls that A-SSA is compared with stand in models/halting/policies.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.networks.config import HaltingConfig

Head = Callable[[Tensor], Tensor]


class Step(NamedTuple):
    """One step of the network: `block` at `timestep`, of so many each."""

    timestep: int
    block: int
    timesteps: int
    blocks: int

    @property
    def ends_timestep(self) -> bool:
        """Whether this is a timestep's last block."""
        return self.block == self.blocks - 1

    @property
    def last(self) -> bool:
        """Whether this is the last block of the last timestep."""
        return self.ends_timestep and self.timestep == self.timesteps - 1


class HaltingState(NamedTuple):
    """Where every token stands after some steps.

    `active` bool (image, token): not yet halted. `accumulated`, `remainder`, `ponder` (image,
    token): the score so far, the output weight not yet given away, and A-ViT's cost (steps taken,
    plus the remainder once halted). `output` (image, token, channel): the mean field so far.
    `weights`: for each check, the output weight (image, token) given. `latest` (image, token,
    channel): each token's latest output. `features` (image, channel): for each timestep, the mean
    of `latest` at its end. `logits` (image, class) of images that have ended.
    """

    active: Tensor
    accumulated: Tensor
    remainder: Tensor
    ponder: Tensor
    output: Tensor
    weights: tuple[Tensor, ...] = ()
    latest: Tensor | None = None
    features: tuple[Tensor, ...] = ()
    logits: Tensor | None = None


class Policy(nn.Module):
    """What every way of halting shares; this one halts nobody."""

    def __init__(self, config: HaltingConfig) -> None:
        super().__init__()
        self.config = config

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

    def look(self, pixels: Tensor) -> None:
        """See the pixels (image, ...) of the batch that starts."""

    def before(self, state: HaltingState, entering: Tensor, step: Step) -> HaltingState:
        """Decide who runs a step; `entering` (image, token, channel) is what enters its block."""
        return state

    def after(self, state: HaltingState, output: Tensor, step: Step, head: Head) -> HaltingState:
        """Take in a block's output (image, token, channel), zero for halted tokens.

        `head` turns features (timestep, image, channel) into logits (image, class).
        """
        return follow(state, output, step)

    def ponder(self, state: HaltingState) -> Tensor | None:
        """A-ViT's rho (image, token), None where no score is accumulated."""
        return None

    def weights(self, state: HaltingState, timesteps: int) -> Tensor | None:
        """Output weights (image, check, token), which sum to 1 over the checks; or None."""
        return None


class Halting(Policy):
    """A-SSA: the score h = sigmoid(gamma * s + beta) and what follows from it."""

    gamma: Tensor
    beta: Tensor

    def __init__(self, config: HaltingConfig) -> None:
        super().__init__(config)
        for name, value in (("gamma", config.gamma), ("beta", config.beta)):
            tensor = torch.tensor(float(value))
            if config.learned:
                self.register_parameter(name, nn.Parameter(tensor))
            else:
                self.register_buffer(name, tensor)

    def before(self, state: HaltingState, entering: Tensor, step: Step) -> HaltingState:
        """With granularity `block` all start anew at every timestep."""
        if self.config.granularity != "block" or step.block or not step.timestep:
            return state
        return state._replace(
            active=torch.ones_like(state.active),
            accumulated=torch.zeros_like(state.accumulated),
            remainder=torch.ones_like(state.remainder),
        )

    def after(self, state: HaltingState, output: Tensor, step: Step, head: Head) -> HaltingState:
        """Check the score; with granularity `timestep` only after a timestep's last block."""
        if self.config.output == "last":
            state = follow(state, output, step)
        if self.config.granularity == "timestep" and not step.ends_timestep:
            return state
        ends = step.ends_timestep if self.config.granularity == "block" else step.last
        return self.advance(state, output, ends)

    def ponder(self, state: HaltingState) -> Tensor | None:
        """Checks passed plus the remainder; with granularity `block`, summed over timesteps."""
        return state.ponder

    def weights(self, state: HaltingState, timesteps: int) -> Tensor | None:
        """The mean field's weights; with granularity `block` each timestep has 1/T of them."""
        stacked = torch.stack(state.weights, 1)
        return stacked / timesteps if self.config.granularity == "block" else stacked

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
    return state._replace(
        active=going_on,
        accumulated=accumulated,
        remainder=state.remainder - torch.where(going_on, score, 0.0),
        ponder=state.ponder + active + torch.where(reached, state.remainder, 0.0),
        output=state.output + weight.unsqueeze(-1) * output,
        weights=(*state.weights, weight),
    )


def follow(state: HaltingState, output: Tensor, step: Step) -> HaltingState:
    """Keep each token's latest output, and at the end of a timestep their mean over tokens."""
    latest = output
    if state.latest is not None:
        latest = torch.where(state.active.unsqueeze(-1), output, state.latest)
    features = (*state.features, latest.mean(1)) if step.ends_timestep else state.features
    return state._replace(latest=latest, features=features)
