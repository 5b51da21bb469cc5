"""Each granularity of A-SSA against a plain-Python twin, one token at a time."""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.halting.recursion import Halting, HaltingStep
from models.networks.config import HaltingConfig

EPS = 0.01
GRANULARITIES = ("block", "timestep", "two_dimensional")


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


def no_head(features: Tensor) -> Tensor:
    return features


def run(tables: Tensor, granularity: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Masks bool (token, timestep, block), field weights, ponder and stacked weights of our code.

    `tables` (token, timestep, block): scores. Outputs carry their logit in channel 0 and are
    one-hot beyond it, so that the mean field holds the weight of each step.
    """
    tokens, timesteps, blocks = tables.shape
    halting = Halting(HaltingConfig(granularity, gamma=1.0, beta=0.0, eps=EPS), 8).double()
    like = torch.zeros(1 + timesteps * blocks, dtype=torch.float64)
    state = halting.start(1, tokens, like)
    masks = torch.zeros(tokens, timesteps, blocks, dtype=torch.bool)
    for t in range(timesteps):
        for b in range(blocks):
            step = HaltingStep(t, b, timesteps, blocks)
            state = halting.before(state, torch.zeros(1, tokens, len(like)), step)
            masks[:, t, b] = state.active[0]
            output = torch.zeros(1, tokens, len(like), dtype=torch.float64)
            output[0, :, 0] = torch.logit(tables[:, t, b])
            output[0, :, 1 + t * blocks + b] = 1.0
            output = output * state.active.unsqueeze(-1)
            state = halting.after(state, output, step, no_head)
    field = state.output[0, :, 1:].unflatten(1, (timesteps, blocks))
    ponder, weights = halting.ponder(state), halting.weights(state, timesteps)
    assert ponder is not None
    assert weights is not None
    return masks, field / (timesteps if granularity == "block" else 1), ponder[0], weights[0]


@st.composite
def score_tables(draw: st.DrawFn) -> list[list[list[float]]]:
    timesteps, blocks, tokens = (draw(st.integers(1, most)) for most in (4, 4, 3))
    # Scores whose logit comes back exactly enough that no sum falls on the threshold by chance.
    score = st.floats(1e-6, 1.0 - 1e-6).filter(lambda h: abs(h - (1.0 - EPS)) > 1e-9)
    row = st.lists(score, min_size=blocks, max_size=blocks)
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


def test_the_twin_itself_halts_by_hand() -> None:
    token = slow_twin([[0.5, 0.495], [0.3, 0.2]], "two_dimensional")
    assert token.ran == [[True, True], [False, False]]
    assert token.weights[0] == pytest.approx([0.5, 0.5])
    assert token.ponder == pytest.approx(2.5)
    assert math.isclose(slow_twin([[0.1, 0.2], [0.3, 0.2]], "timestep").ponder, 2.8)
