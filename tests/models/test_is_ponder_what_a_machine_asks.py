"""Is the ponder cost in a machine's prices what its cost table says of the masks?"""

from __future__ import annotations

import pytest
import torch

from experiments.live.ponder import machine_ponder
from models.errors import ModelError
from models.halting.losses import ponder_cost
from models.halting.machine_ponder import StepPrices, step_prices
from models.networks.stas import Output
from simulator.hil.cost_table import StepCost
from tests.messages import said
from tests.models.tiny_networks import lively, noise, tiny_config

IMAGES, CHECKS, TOKENS = 3, 6, 64


def output_of() -> Output:
    with torch.no_grad():
        return lively(tiny_config())(noise(IMAGES))


def test_equal_prices_of_tokens_are_a_vit_s_ponder_cost() -> None:
    output, config = output_of(), tiny_config()
    prices = StepPrices(torch.full((CHECKS,), 1.0 / (CHECKS * TOKENS)), torch.zeros(CHECKS), 1.0)
    assert output.ponder is not None
    assert float(machine_ponder(output, prices)) == pytest.approx(
        float(ponder_cost(output.ponder, config)), rel=1e-5
    )


def test_it_is_the_cost_table_s_cost_of_the_masks_and_the_remainders() -> None:
    """The slow twin: token by token, step by step."""
    output = output_of()
    assert output.active is not None
    assert output.weights is not None
    generator = torch.Generator().manual_seed(1)
    token, step = torch.rand(2, CHECKS, generator=generator)
    prices = StepPrices(token, step, 1.0)
    live = output.active.flatten(1, 2)
    total = 0.0
    for image in range(IMAGES):
        for check in range(CHECKS):
            running = int(live[image, check].sum())
            total += float(prices.token[check]) * running + float(prices.step[check]) * bool(
                running
            )
        for token in range(TOKENS):
            last = int(live[image, :, token].sum()) - 1
            price = prices.token[last] + prices.step[last] / int(live[image, last].sum())
            total += float(price * output.weights[image, last, token])
    assert float(machine_ponder(output, prices)) == pytest.approx(total / IMAGES, rel=1e-5)


def test_a_straggler_pays_the_step_that_it_keeps_alive() -> None:
    active = torch.ones(1, 1, 2, 4, dtype=torch.bool)
    active[0, 0, 1, 1:] = False
    weights = torch.tensor([[[0.5, 1.0, 1.0, 1.0], [0.5, 0.0, 0.0, 0.0]]], requires_grad=True)
    output = Output(torch.zeros(1, 2), active, None, weights)
    prices = StepPrices(torch.zeros(2), torch.ones(2), 1.0)
    machine_ponder(output, prices).backward()
    assert weights.grad is not None
    assert weights.grad[0, 1].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert weights.grad[0, 0].tolist() == [0.0, 0.25, 0.25, 0.25]


def test_training_on_it_lowers_it() -> None:
    model = lively(tiny_config(halting=True))
    assert model.halting is not None
    beta = torch.nn.Parameter(model.halting.beta.clone())
    del model.halting.beta
    model.halting.beta = beta
    prices = StepPrices(torch.full((CHECKS,), 0.01), torch.full((CHECKS,), 0.1), 1.0)
    cost = machine_ponder(model(noise(IMAGES)), prices)
    cost.backward()
    assert beta.grad is not None
    assert float(beta.grad) < 0  # halting more readily costs less


def test_prices_are_fractions_of_what_halting_can_spare() -> None:
    rows = [StepCost(0, 0, 1, 4.0, 9.0, 5.0, 9.0, 50.0)]
    rows += [
        StepCost(0, 1, 1, 4.0, 2.0, 1.0, 8.0, 6.0),
        StepCost(1, 0, 1, 4.0, 1.0, -3.0, -5.0, 2.0),
    ]
    energy = step_prices(tuple(rows), "energy", 4)
    assert energy.unit_cost == 4 * 1.0 + 6.0 + 2.0
    assert energy.token.tolist() == pytest.approx([5 / 12, 1 / 12, 0.0])
    latency = step_prices(tuple(rows), "latency", 4)
    assert latency.unit_cost == 4 * 3.0 + 8.0
    assert latency.step.tolist() == pytest.approx([9 / 20, 8 / 20, 0.0])
    with pytest.raises(ModelError, match=said("a cost that is neither time nor energy")):
        step_prices(tuple(rows), "area", 4)
    with pytest.raises(ModelError, match=said("prices of no step")):
        step_prices(tuple(rows[:1]), "energy", 4)


def test_a_network_without_scores_is_refused() -> None:
    output = lively(tiny_config(halting=False))(noise(1))
    with pytest.raises(ModelError, match=said("a ponder without scores")):
        machine_ponder(output, StepPrices(torch.ones(1), torch.ones(1), 1.0))
