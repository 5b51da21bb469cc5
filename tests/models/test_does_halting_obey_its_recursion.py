"""The halting recursion against its plain-Python twin, and what makes it a mean field."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ModelError
from models.halting.recursion import Halting, HaltingState, HaltingStep, accumulate
from models.networks.config import HaltingConfig
from tests.messages import said

EPS = 0.01


class Token(NamedTuple):
    """What the twin knows of one token at the end."""

    ran: list[bool]
    weights: list[float]
    ponder: float
    steps: int


def slow_twin(scores: list[float]) -> Token:
    """One token through all (timestep, block) steps, as written in docs/stas.md."""
    active, reached_sum, remainder, ponder, steps = True, 0.0, 1.0, 0.0, 0
    ran, weights = [], []
    for number, score in enumerate(scores):
        ran.append(active)
        if not active:
            weights.append(0.0)
            continue
        h = 1.0 if number == len(scores) - 1 else score
        ponder += 1.0
        steps += 1
        reached_sum += h
        if reached_sum >= 1.0 - EPS:
            weights.append(remainder)
            ponder += remainder
            active = False
        else:
            weights.append(h)
            remainder -= h
    return Token(ran, weights, ponder, steps)


def run(scores: torch.Tensor) -> tuple[list[HaltingState], torch.Tensor]:
    """All states from scores (step, token); outputs are one-hot: `output` holds the weights."""
    steps, tokens = scores.shape
    halting = Halting(HaltingConfig("two_dimensional", eps=EPS), 8)
    state = halting.start(1, tokens, torch.zeros(steps, dtype=torch.float64))
    states = [state]
    for number in range(steps):
        output = torch.zeros(1, tokens, steps, dtype=torch.float64)
        output[..., number] = 1.0
        score = scores[number : number + 1]
        if number == steps - 1:
            score = torch.ones_like(score)
        state = accumulate(state, output, score, EPS)
        states.append(state)
    return states, state.output[0]


grids = st.integers(1, 12).flatmap(
    lambda steps: st.lists(
        st.lists(st.floats(0.0, 1.0), min_size=steps, max_size=steps), min_size=1, max_size=5
    )
)


@given(grids)
def test_every_token_goes_the_way_of_the_twin(scores: list[list[float]]) -> None:
    table = torch.tensor(scores, dtype=torch.float64).T
    states, weights = run(table)
    for token, column in enumerate(scores):
        expected = slow_twin(column)
        ran = [bool(state.active[0, token]) for state in states[:-1]]
        assert ran == expected.ran
        assert weights[token].tolist() == pytest.approx(expected.weights, abs=1e-12)
        assert float(states[-1].ponder[0, token]) == pytest.approx(expected.ponder, abs=1e-12)


@given(grids)
def test_output_weights_sum_to_one_and_the_ponder_cost_is_steps_plus_remainder(
    scores: list[list[float]],
) -> None:
    table = torch.tensor(scores, dtype=torch.float64).T
    states, weights = run(table)
    assert weights.sum(1).tolist() == pytest.approx([1.0] * len(scores), abs=1e-9)
    steps = sum(state.active[0].double() for state in states[:-1])
    for token in range(len(scores)):
        count = int(steps[token])
        remainder = float(weights[token, count - 1])
        assert float(states[-1].ponder[0, token]) == pytest.approx(count + remainder, abs=1e-9)


@given(grids)
def test_a_halted_token_stays_halted_and_the_last_step_halts_all(scores: list[list[float]]) -> None:
    states, _ = run(torch.tensor(scores, dtype=torch.float64).T)
    for before, after in itertools.pairwise(states):
        assert not bool((after.active & ~before.active).any())
    assert bool(states[0].active.all())
    assert not bool(states[-1].active.any())


def test_a_score_exactly_at_the_threshold_halts() -> None:
    states, weights = run(torch.tensor([[0.99], [0.5], [0.5]], dtype=torch.float64))
    assert [bool(state.active[0, 0]) for state in states] == [True, False, False, False]
    assert weights[0].tolist() == [1.0, 0.0, 0.0]


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
