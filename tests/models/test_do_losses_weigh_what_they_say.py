"""Task, ponder cost and prior: each against a plain computation, and their gradients."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from models.errors import ModelError
from models.halting.losses import (
    LossConfig,
    gaussian_prior,
    ponder_cost,
    prior_divergence,
    total_loss,
)
from models.halting.recursion import Halting
from models.networks.config import HaltingConfig
from tests.messages import cases
from tests.models.tiny_networks import lively, noise, tiny_config


def test_the_prior_is_a_distribution_around_its_mean() -> None:
    prior = gaussian_prior(16, LossConfig(prior_mean=0.5, prior_deviation=0.1))
    assert float(prior.sum()) == pytest.approx(1.0)
    assert int(prior.argmax()) == 7
    ratio = math.exp(-0.5 * ((9 / 16 - 0.5) / 0.1) ** 2)
    assert float(prior[8] / prior[7]) == pytest.approx(ratio)


def test_the_divergence_is_that_of_two_distributions() -> None:
    loss = LossConfig(prior=1.0)
    prior = gaussian_prior(4, loss)
    same = prior.view(1, 4, 1).expand(3, 4, 5)
    assert float(prior_divergence(same, loss)) == pytest.approx(0.0, abs=1e-6)
    weights = torch.softmax(torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0)), 1)
    mean = [float(weights[:, step].double().mean()) for step in range(4)]
    expected = sum(p * math.log(p / q) for p, q in zip(prior.tolist(), mean, strict=True))
    assert float(prior_divergence(weights, loss)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("granularity", ["block", "timestep", "two_dimensional"])
def test_the_total_is_the_sum_of_its_parts(granularity: str) -> None:
    config = tiny_config(halting=HaltingConfig(granularity, beta=-1.0, learned=True))
    model = lively(config)
    output, labels = model(noise(3)), torch.tensor([1, 2, 3])
    loss = LossConfig(ponder=0.3, prior=0.2, smoothing=0.1)
    assert output.ponder is not None
    assert output.weights is not None
    assert output.weights.shape[1] == config.halting_steps
    parts = F.cross_entropy(output.logits, labels, label_smoothing=0.1)
    parts = parts + 0.3 * ponder_cost(output.ponder, config)
    parts = parts + 0.2 * prior_divergence(output.weights, loss)
    total = total_loss(output, labels, config, loss)
    assert float(total.detach()) == pytest.approx(float(parts.detach()))
    # Checks run plus the remainder: between one check and all of them with a whole remainder.
    cost = float(ponder_cost(output.ponder, config).detach())
    assert 1.0 / config.halting_steps <= cost <= 1.0 + config.timesteps / config.halting_steps
    total.backward()
    assert isinstance(model.halting, Halting)
    assert float(model.halting.beta.grad) != 0.0


def test_without_a_score_there_is_only_the_task() -> None:
    config = tiny_config(halting=False)
    with torch.no_grad():
        output = lively(config)(noise(2))
    labels = torch.softmax(torch.randn(2, 10), 1)
    loss = total_loss(output, labels, config, LossConfig(ponder=5.0, prior=5.0))
    assert float(loss) == pytest.approx(float(F.cross_entropy(output.logits, labels)))


@cases("what_is_no_loss_is_said")
def test_what_is_no_loss_is_said(switches: dict[str, float], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        LossConfig(**switches)
