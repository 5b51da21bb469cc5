"""A-SSA against a plain-Python twin of each granularity, its scores, and what is learned."""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.errors import ModelError
from models.halting.recursion import Halting, HaltingStep
from models.networks.config import HaltingConfig
from tests.messages import said

EPS = 0.01
GRANULARITIES = ("block", "timestep", "two_dimensional")


class Scored(Halting):
    """Halting whose score is a token's channel 0 itself, so that no sum is rounded on its way."""

    def score(self, output: Tensor, step: HaltingStep) -> Tensor:
        return output[..., 0]


class Token(NamedTuple):
    """What the twin knows of one token: by [timestep][block], whether it ran and its weight."""

    ran: list[list[bool]]
    weights: list[list[float]]
    ponder: float


def slow_twin(h: list[list[float]], granularity: str) -> Token:
    """The recursion of docs/stas.md, written down for one token with scores h[timestep][block]."""
    timesteps, blocks = len(h), len(h[0])
    ran = [[False] * blocks for _ in range(timesteps)]
    weights = [[0.0] * blocks for _ in range(timesteps)]
    ponder, active, gathered, remainder = 0.0, True, 0.0, 1.0
    for t in range(timesteps):
        if granularity == "block":
            active, gathered, remainder = True, 0.0, 1.0
        for b in range(blocks):
            ran[t][b] = active
            if not active or (granularity == "timestep" and b < blocks - 1):
                continue
            ends = b == blocks - 1 and (t == timesteps - 1 or granularity == "block")
            score = 1.0 if ends else h[t][b]
            ponder += 1.0
            gathered += score
            if gathered >= 1.0 - EPS:
                weights[t][b] = remainder
                ponder += remainder
                active = False
            else:
                weights[t][b] = score
                remainder -= score
    share = timesteps if granularity == "block" else 1
    return Token(ran, [[w / share for w in row] for row in weights], ponder)


def run(tables: Tensor, granularity: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Masks bool (token, timestep, block), field weights, ponder and stacked weights of our code.

    `tables` (token, timestep, block): scores. Outputs carry them in channel 0 and are one-hot
    beyond it, so that the mean field holds the weight of each step.
    """
    tokens, timesteps, blocks = tables.shape
    halting = Scored(HaltingConfig(granularity, eps=EPS), 8)
    like = torch.zeros(1 + timesteps * blocks, dtype=torch.float64)
    state = halting.start(1, tokens, like)
    masks = torch.zeros(tokens, timesteps, blocks, dtype=torch.bool)
    for t in range(timesteps):
        for b in range(blocks):
            step = HaltingStep(t, b, timesteps, blocks)
            state = halting.before(state, torch.zeros(1, tokens, len(like)), step)
            masks[:, t, b] = state.active[0]
            output = torch.zeros(1, tokens, len(like), dtype=torch.float64)
            output[0, :, 0] = tables[:, t, b]
            output[0, :, 1 + t * blocks + b] = 1.0
            output = output * state.active.unsqueeze(-1)
            state = halting.after(state, output, step, lambda features: features)
    assert not bool(state.active.any())
    field = state.output[0, :, 1:].unflatten(1, (timesteps, blocks))
    ponder, weights = halting.ponder(state), halting.weights(state, timesteps)
    assert ponder is not None
    assert weights is not None
    return masks, field / (timesteps if granularity == "block" else 1), ponder[0], weights[0]


@st.composite
def score_tables(draw: st.DrawFn) -> list[list[list[float]]]:
    timesteps, blocks, tokens = (draw(st.integers(1, most)) for most in (4, 4, 3))
    row = st.lists(st.floats(0.0, 1.0), min_size=blocks, max_size=blocks)
    table = st.lists(row, min_size=timesteps, max_size=timesteps)
    return draw(st.lists(table, min_size=tokens, max_size=tokens))


@pytest.mark.parametrize("granularity", GRANULARITIES)
@given(tables=score_tables())
def test_every_token_goes_the_way_of_the_twin(
    granularity: str, tables: list[list[list[float]]]
) -> None:
    table = torch.tensor(tables, dtype=torch.float64)
    masks, field, ponder, weights = run(table, granularity)
    for token, scores in enumerate(tables):
        expected = slow_twin(scores, granularity)
        assert masks[token].tolist() == expected.ran
        flat = [w for row in expected.weights for w in row]
        assert field[token].flatten().tolist() == pytest.approx(flat, abs=1e-9)
        assert float(ponder[token]) == pytest.approx(expected.ponder, abs=1e-9)
        assert sum(flat) == pytest.approx(1.0, abs=1e-9)
        if granularity == "two_dimensional":  # A-ViT's cost: steps taken plus the remainder
            steps = int(masks[token].sum())
            assert float(ponder[token]) == pytest.approx(steps + flat[steps - 1], abs=1e-9)
    assert weights.sum(0).tolist() == pytest.approx([1.0] * len(tables), abs=1e-9)


@pytest.mark.parametrize("granularity", GRANULARITIES)
@given(tables=score_tables())
def test_masks_are_monotone_in_the_order_of_the_granularity(
    granularity: str, tables: list[list[list[float]]]
) -> None:
    masks, _, _, _ = run(torch.tensor(tables, dtype=torch.float64), granularity)
    assert bool(masks[:, 0, 0].all())
    by_step = masks.flatten(1) if granularity == "two_dimensional" else masks
    assert not bool((by_step[..., 1:] & ~by_step[..., :-1]).any())
    if granularity == "timestep":
        assert bool((masks == masks[:, :, :1]).all())
        assert not bool((masks[:, 1:, 0] & ~masks[:, :-1, 0]).any())
    if granularity == "block":
        assert bool(masks[:, :, 0].all())


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_a_score_of_one_at_the_first_check_halts_everyone_there(granularity: str) -> None:
    table = torch.full((2, 3, 2), 1.0 - 1e-4, dtype=torch.float64)
    masks, _, _, _ = run(table, granularity)
    first = {"block": [True, False] * 3, "timestep": [True, True] + [False] * 4}
    expected = first.get(granularity, [True] + [False] * 5)
    assert masks[0].flatten().tolist() == expected


def test_a_score_exactly_at_the_threshold_halts() -> None:
    table = torch.tensor([[[0.99], [0.5], [0.5]]], dtype=torch.float64)
    masks, field, _, _ = run(table, "two_dimensional")
    assert masks.flatten().tolist() == [True, False, False]
    assert field.flatten().tolist() == [1.0, 0.0, 0.0]


def test_the_twin_itself_halts_by_hand() -> None:
    token = slow_twin([[0.5, 0.495], [0.3, 0.2]], "two_dimensional")
    assert token.ran == [[True, True], [False, False]]
    assert token.weights[0] == pytest.approx([0.5, 0.5])
    assert token.ponder == pytest.approx(2.5)
    assert math.isclose(slow_twin([[0.1, 0.2], [0.3, 0.2]], "timestep").ponder, 2.8)


@pytest.mark.parametrize("score", ["channel0", "mean"])
def test_the_score_reads_what_its_switch_says(score: str) -> None:
    halting = Halting(HaltingConfig("two_dimensional", gamma=2.0, beta=-3.0, score=score), 8)
    output = torch.tensor([[[1.0, 5.0, 0.0]]])
    signal = 1.0 if score == "channel0" else 2.0
    expected = 1.0 / (1.0 + math.exp(-(2.0 * signal - 3.0)))
    assert float(halting.score(output, HaltingStep(0, 0, 1, 1))) == pytest.approx(expected)


def test_an_offset_shifts_beta_at_its_own_check_alone() -> None:
    """As the same network with another beta would score there."""
    config = HaltingConfig("two_dimensional", gamma=2.0, beta=-3.0, learned=True, offsets=True)
    halting, output = Halting(config, 8, checks=6), torch.rand(1, 3, 4)
    assert halting.offset is not None
    assert halting.offset.tolist() == [0.0] * 6
    before = [halting.score(output, HaltingStep(t, b, 3, 2)) for t in range(3) for b in range(2)]
    with torch.no_grad():
        halting.offset[3] = 1.5
    after = [halting.score(output, HaltingStep(t, b, 3, 2)) for t in range(3) for b in range(2)]
    shifted = torch.sigmoid(halting.logit(output) + 1.5)
    for check, (one, other) in enumerate(zip(before, after, strict=True)):
        assert torch.equal(other, shifted if check == 3 else one)
    after[3].sum().backward()
    assert halting.offset.grad is not None
    assert halting.offset.grad.nonzero().tolist() == [[3]]


@pytest.mark.parametrize(
    ("granularity", "policy"), [("two_dimensional", "random"), ("none", "score")]
)
def test_offsets_need_a_score_that_they_can_shift(granularity: str, policy: str) -> None:
    with pytest.raises(ModelError, match=said("offsets without a score")):
        HaltingConfig(granularity, policy=policy, output="last", offsets=True)


def test_learned_gamma_and_beta_are_parameters_and_the_mask_carries_no_gradient() -> None:
    fixed = Halting(HaltingConfig("two_dimensional"), 8)
    learned = Halting(HaltingConfig("two_dimensional", gamma=1.0, beta=-2.0, learned=True), 8)
    assert not list(fixed.parameters())
    assert len(list(learned.parameters())) == 2
    output = torch.rand(1, 3, 4, requires_grad=True)
    state = learned.start(1, 3, output)
    for number in range(4):
        state = learned.advance(state, output, HaltingStep(number, 0, 4, 1), last=number == 3)
    state.ponder.sum().backward()
    assert learned.beta.grad is not None
    assert float(learned.beta.grad) < 0.0  # a larger score leaves a smaller remainder
    assert not state.active.requires_grad
