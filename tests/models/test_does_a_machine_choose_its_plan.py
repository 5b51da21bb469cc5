"""Plans of machines: the cheapest one within the allowed loss, by the machine's own prices."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.study import plans
from experiments.study.events import ENTROPIES, KEPT, PlanOutcomes, order_by_ink
from experiments.study.plans import MACHINES, choose
from models.data.composites import drawn, ink_beside
from models.data.images import mnist_digits

PLANS = (len(KEPT), len(ENTROPIES))


def outcomes_of(accuracy: dict[tuple[int, int], float], frames: int) -> PlanOutcomes:
    """Two images that all run so many frames; plans are 50 % right where nothing else is said."""
    found = np.full(PLANS, 0.5)
    for plan, value in accuracy.items():
        found[plan] = value
    return PlanOutcomes(found, np.full((*PLANS, 2), frames))


def test_the_cheapest_plan_within_the_loss_is_taken_by_its_own_prices() -> None:
    """Three plans lose 0, 0.8 and 2.5 points; tokens cost, except on one machine."""
    right = {(0, 0): 0.9, (2, 3): 0.892, (4, 5): 0.875}
    outcomes = outcomes_of(right, frames=4)
    by_tokens = np.broadcast_to(np.array(KEPT)[None, :, None], (2, len(KEPT), 4)).astype(float)
    prices = {machine.name: by_tokens for machine in MACHINES}
    prices["resident"] = 100.0 - by_tokens  # dearer with fewer tokens
    rows = [row for row in choose(prices, outcomes, outcomes) if row["cost"] == "energy_pj"]
    taken = {(row["given_up"], row["chosen_for"]): row["kept"] for row in rows}
    for given_up, kept in ((0.5, KEPT[0]), (1.0, KEPT[2]), (3.0, KEPT[4])):
        assert taken[given_up, "streaming"] == kept
        assert taken[given_up, "resident"] == KEPT[0]
    paid = {
        row["run_on"]: row["value"]
        for row in rows
        if (row["given_up"], row["chosen_for"]) == (3.0, "streaming")
    }
    assert paid["streaming"] == KEPT[4]
    assert paid["resident"] == 100.0 - KEPT[4]


def test_no_image_ends_early_where_none_can() -> None:
    """The plan's entropy says nothing there: accuracy and cost are those without exits."""
    outcomes = outcomes_of({(0, 0): 0.8, (0, 4): 0.9}, frames=4)
    outcomes.frames[:, 1:] = 2
    by_frames = np.broadcast_to(np.arange(1.0, 5.0), (2, len(KEPT), 4))
    batched = next(machine.name for machine in MACHINES if not machine.exits)
    rows = list(choose({machine.name: by_frames for machine in MACHINES}, outcomes, outcomes))
    assert {row["entropy"] for row in rows if row["run_on"] == batched} == {0.0}


def test_tokens_with_ink_beside_them_come_first() -> None:
    images = drawn("stream", mnist_digits()[1], 20, (3, 1)).images
    order, near = order_by_ink(images, 6), ink_beside(images.pixels, 6, 1) > 0
    for places, ink in zip(order.reshape(-1, 36), near.reshape(-1, 36), strict=True):
        assert sorted(places) == list(range(36))
        assert places[ink].max() < places[~ink].min()


def test_costs_are_means_over_the_frames_that_images_run() -> None:
    prices = np.arange(2 * len(KEPT) * 4, dtype=float).reshape(2, len(KEPT), 4)
    frames = np.ones((*PLANS, 2), np.int64)
    frames[:, :, 1] = 3
    found = plans.costs_of(prices, frames)
    assert found.shape == (2, *PLANS)
    assert found[1, 2, 5] == pytest.approx((prices[1, 2, 0] + prices[1, 2, 2]) / 2)
