"""Halting: which token runs at which (timestep, block) step, and what the head sees of it.

A-SSA generalises A-ViT (CVPR 2022) to timesteps: one score accumulates in the order in which the
network runs. STAS publishes no formula: the recursion and its granularities are our choice, written
down in docs/stas.md. Each way of halting, A-SSA and what it is compared with, is a file of
models/halting/policies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from models.halting.exits import ImageExit, add_numbers
from models.halting.policies import POLICIES
from models.networks.config import HaltingConfig, ModelConfig

Head = Callable[[Tensor], Tensor]


class HaltingStep(NamedTuple):
    """Name one step of the network: `block` of `blocks` at `timestep` of `timesteps`."""

    timestep: int
    block: int
    timesteps: int
    blocks: int

    @property
    def check(self) -> int:
        """Return its place in the order in which the network runs."""
        return self.timestep * self.blocks + self.block

    @property
    def ends_timestep(self) -> bool:
        """Return whether this is a timestep's last block."""
        return self.block == self.blocks - 1

    @property
    def last(self) -> bool:
        """Return whether this is the last block of the last timestep."""
        return self.ends_timestep and self.timestep == self.timesteps - 1


class HaltingState(NamedTuple):
    """Hold the state of every token after some steps.

    active: not yet halted, bool (image, token).
    accumulated, remainder, ponder: the score so far, the output weight not yet given away, and
        A-ViT's cost, steps taken plus the remainder once halted, (image, token).
    output: the mean field so far, (image, token, channel).
    weights: for each check, the output weight given, (image, token).
    latest: each token's latest output, (image, token, channel).
    features: for each timestep, the mean of `latest` at its end, (image, channel).
    logits, ended: of images that have ended, (image, class), and which these are, bool (image,).
    running, mixture: in training, where a learned exit ends nobody, the probability that an image
        still runs, (image,), and the class probabilities that it left with, (image, class).
    survival: for each check, the probability that a token runs it, (image, token).
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
    ended: Tensor | None = None
    running: Tensor | None = None
    mixture: Tensor | None = None
    survival: tuple[Tensor, ...] = ()


class CheckParameters(NamedTuple):
    """Hold what a trace says of a check: the value compared with, and what the score reads."""

    threshold: float
    score: str


class Policy(nn.Module):
    """Halt nobody, but let images end: what every way of halting shares.

    granularities: those that it takes.
    accumulates: whether a score is accumulated, whose weights make a mean field and a ponder cost.
    fits_beta: whether the score's offset can be solved for a budget.
    budgeted: whether it keeps the tokens that `profile` or `budget` allows.
    """

    granularities: ClassVar[tuple[str, ...]] = ("block", "timestep", "two_dimensional")
    accumulates: ClassVar[bool] = False
    fits_beta: ClassVar[bool] = False
    budgeted: ClassVar[bool] = False

    def __init__(self, config: HaltingConfig) -> None:
        super().__init__()
        self.config = config
        self.exit = ImageExit(config) if config.exit != "none" else None

    @classmethod
    def of(cls, config: ModelConfig) -> Policy:
        """Return the policy of a network."""
        return cls(config.halting)

    @classmethod
    def is_checked_ahead(cls, block: int) -> bool:
        """Return whether a trace lists a check ahead of a block."""
        return False

    @classmethod
    def check_parameters(cls, halting: HaltingConfig) -> CheckParameters:
        """Return what a trace says of a check."""
        return CheckParameters(1.0 - halting.eps, halting.score)

    def stated(self) -> dict[str, Any]:
        """Return what a trace's manifest states of this policy alone."""
        return {}

    def start(self, images: int, tokens: int, like: Tensor) -> HaltingState:
        """Return every token active, nothing accumulated; of `like` (..., channel) by its kind."""
        zeros = like.new_zeros(images, tokens)
        return HaltingState(
            active=torch.ones(images, tokens, dtype=torch.bool, device=like.device),
            accumulated=zeros,
            remainder=zeros + 1.0,
            ponder=zeros,
            output=like.new_zeros(images, tokens, like.shape[-1]),
            ended=torch.zeros(images, dtype=torch.bool, device=like.device),
        )

    def look(self, pixels: Tensor) -> None:
        """See the pixels (image, ...) of the batch that starts."""

    def before(self, state: HaltingState, entering: Tensor, step: HaltingStep) -> HaltingState:
        """Decide who runs a step; `entering` (image, token, channel) is what enters its block."""
        return state

    def after(
        self, state: HaltingState, output: Tensor, step: HaltingStep, head: Head
    ) -> HaltingState:
        """Take in a block's output (image, token, channel), zero for halted tokens.

        `head` turns features (timestep, image, channel) into logits (image, class).
        """
        return self.ending(follow(state, output, step), step, head)

    def ending(self, state: HaltingState, step: HaltingStep, head: Head) -> HaltingState:
        """End images, where they may."""
        return state if self.exit is None else self.exit(state, step, head)

    def survival(self, state: HaltingState, timesteps: int) -> Tensor | None:
        """Return the probability (image, check, token) that a token runs a check, if known."""
        return torch.stack(state.survival, 1) if state.survival else None

    def ponder(self, state: HaltingState) -> Tensor | None:
        """Return A-ViT's rho (image, token), None where no score is accumulated."""
        return None

    def weights(self, state: HaltingState, timesteps: int) -> Tensor | None:
        """Return output weights (image, check, token), which sum to 1 over the checks; or None."""
        return None


register = POLICIES.register


class Halting(Policy):
    """Halt by A-SSA: the score h = sigmoid(gamma * s + beta) and what follows from it.

    `checks`: (timestep, block) steps of the network; with the switch `offsets` beta is shifted at
    each by a number of its own, `offset` (check,), 0 at first.
    """

    accumulates: ClassVar[bool] = True
    fits_beta: ClassVar[bool] = True
    gamma: Tensor
    beta: Tensor
    offset: Tensor | None

    @classmethod
    def of(cls, config: ModelConfig) -> Policy:
        """Return the policy of a network, whose score reads its channels."""
        checks = config.timesteps * config.size.blocks
        return cls(config.halting, config.size.embed_dim, checks)

    def __init__(self, config: HaltingConfig, channels: int, checks: int = 0) -> None:
        super().__init__(config)
        offset = torch.zeros(checks) if config.offsets else None
        add_numbers(self, config.learned, gamma=config.gamma, beta=config.beta, offset=offset)
        self.readout = nn.Linear(channels, 1, bias=False) if config.score == "readout" else None

    def before(self, state: HaltingState, entering: Tensor, step: HaltingStep) -> HaltingState:
        """Let all begin again at every timestep with granularity `block`."""
        if self.config.granularity != "block" or step.block or not step.timestep:
            return state
        assert state.ended is not None
        return state._replace(
            active=torch.ones_like(state.active) & ~state.ended.unsqueeze(1),
            accumulated=torch.zeros_like(state.accumulated),
            remainder=torch.ones_like(state.remainder),
        )

    def after(
        self, state: HaltingState, output: Tensor, step: HaltingStep, head: Head
    ) -> HaltingState:
        """Check the score; with granularity `timestep` only after a timestep's last block."""
        if self.config.output == "last":
            state = follow(state, output, step)
        if self.config.granularity != "timestep" or step.ends_timestep:
            ends = step.ends_timestep if self.config.granularity == "block" else step.last
            state = self.advance(state, output, step, ends)
        return self.ending(state, step, head)

    def ponder(self, state: HaltingState) -> Tensor | None:
        """Count checks passed plus the remainder; by block, summed over timesteps."""
        return state.ponder

    def weights(self, state: HaltingState, timesteps: int) -> Tensor | None:
        """Return the mean field's weights; by block each timestep has 1/T of them."""
        stacked = torch.stack(state.weights, 1)
        return stacked / timesteps if self.config.granularity == "block" else stacked

    def survival(self, state: HaltingState, timesteps: int) -> Tensor | None:
        """Return what is left of each token's weight ahead of a check: (image, check, token)."""
        rounds = timesteps if self.config.granularity == "block" else 1
        by_round = torch.stack(state.weights, 1).unflatten(1, (rounds, -1))
        return (1.0 - (by_round.cumsum(2) - by_round)).flatten(1, 2)

    def score(self, output: Tensor, step: HaltingStep) -> Tensor:
        """Return h (image, token) of tokens (image, token, channel) at a step."""
        logit = self.logit(output)
        return torch.sigmoid(logit if self.offset is None else logit + self.offset[step.check])

    def logit(self, output: Tensor) -> Tensor:
        """Return what h is the sigmoid of: a token's channel 0, its mean or a read-out, scaled."""
        if self.readout is not None:
            signal = self.readout(output).squeeze(-1)
        else:
            signal = output[..., 0] if self.config.score == "channel0" else output.mean(-1)
        return self.gamma * signal + self.beta

    def advance(
        self, state: HaltingState, output: Tensor, step: HaltingStep, last: bool
    ) -> HaltingState:
        """Step the recursion; at the `last` step h is 1, so that every token left halts."""
        score = self.score(output, step)
        if last:
            return accumulate(state, output, torch.ones_like(score), self.config.eps)
        return accumulate(state, output, score, self.eps(state, score, step))

    def eps(self, state: HaltingState, score: Tensor, step: HaltingStep) -> float:
        """Return how far below 1 the accumulated score may stay at a check."""
        return self.config.eps


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


def follow(state: HaltingState, output: Tensor, step: HaltingStep) -> HaltingState:
    """Keep each token's latest output, and at the end of a timestep their mean over tokens."""
    latest = output
    if state.latest is not None:
        latest = torch.where(state.active.unsqueeze(-1), output, state.latest)
    features = (*state.features, latest.mean(1)) if step.ends_timestep else state.features
    return state._replace(latest=latest, features=features)
