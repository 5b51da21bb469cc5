"""Does the controller learn what a block costs, and choose the highest threshold that fits?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.live.control import BlockEstimate, BudgetControl, steps_left

TOKENS = st.lists(st.tuples(st.floats(0.0, 0.99), st.floats(0.0, 0.6)), min_size=1, max_size=12)
OWN = 0.99


def counted(accumulated: float, score: float, steps: int, threshold: float) -> int:
    """The slow twin: run on, check by check, until the threshold is reached."""
    run = 0
    while run < steps and accumulated + run * score < threshold:
        run += 1
    return run


@given(TOKENS, st.integers(0, 16), st.floats(0.0, OWN))
def test_the_steps_left_are_those_that_would_be_run(
    tokens: list[tuple[float, float]], steps: int, threshold: float
) -> None:
    accumulated, score = (np.array(column) for column in zip(*tokens, strict=True))
    for given_, (start, rate) in zip(
        steps_left(accumulated, score, steps, threshold), tokens, strict=True
    ):
        # One apart where the sum meets the threshold to the last bit.
        assert abs(given_ - counted(start, rate, steps, threshold)) <= 1


def test_a_block_cost_that_is_affine_is_learned() -> None:
    cost = BlockEstimate()
    assert cost.fit() == (0.0, 0.0)
    cost.see(64, 7.0 + 0.5 * 64)
    assert cost.fit() == pytest.approx((0.0, 39.0 / 64))
    for live in (64, 40, 12, 3):
        cost.see(live, 7.0 + 0.5 * live)
    assert cost.fit() == pytest.approx((7.0, 0.5))


@given(st.lists(st.tuples(st.integers(1, 64), st.floats(0.0, 1e6)), min_size=1))
def test_no_part_of_a_cost_is_ever_negative(seen: list[tuple[int, float]]) -> None:
    cost = BlockEstimate()
    for live, amount in seen:
        cost.see(live, amount)
        base, slope = cost.fit()
        assert base >= 0.0
        assert slope >= 0.0
        assert np.isfinite([base, slope]).all()


@given(TOKENS, st.integers(1, 16), st.floats(0.1, 500.0))
def test_what_is_chosen_fits_and_a_higher_threshold_would_not(
    tokens: list[tuple[float, float]], steps: int, left: float
) -> None:
    accumulated, score = (np.array(column) for column in zip(*tokens, strict=True))
    control = BudgetControl(10_000.0 + left)
    for live in (64, 32, 16):
        control.spend(5.0 + 2.0 * live, live)
    control.spend(10_000.0 - control.spent)
    chosen = control.threshold(accumulated, score, steps, OWN)
    base, slope = control.block_cost.fit()

    def cost(threshold: float) -> float:
        following = steps_left(accumulated, score, steps, threshold)
        return slope * following.sum() + base * following.max()

    assert 0.0 <= chosen <= OWN
    assert cost(chosen) <= left or chosen == 0.0
    if chosen < OWN:
        assert cost(min(OWN, chosen + 1e-5)) > left


def test_a_spent_budget_halts_all_and_no_budget_changes_nothing() -> None:
    tokens = np.array([0.1, 0.5]), np.array([0.1, 0.2])
    control = BudgetControl(3.0)
    control.spend(3.0)
    assert control.threshold(*tokens, 5, OWN) == 0.0
    control.start()
    assert control.threshold(*tokens, 5, OWN) == OWN
    free = BudgetControl(None)
    free.spend(1e9, 64)
    assert free.threshold(*tokens, 5, OWN) == OWN
