"""The controls: budgets kept at every step, the right tokens kept, seeds, and the entropy exit."""

from __future__ import annotations

import pytest
import torch

from models.errors import ModelError
from models.halting.budget import kept_fractions
from models.halting.exits import normalised_entropy
from models.networks.config import HaltingConfig
from models.networks.probes import SILENT
from tests.messages import cases
from tests.models.tiny_networks import kept_of, lively, noise, tiny_config


def control(granularity: str, policy: str, **switches: object) -> HaltingConfig:
    return HaltingConfig(granularity, policy=policy, output="last", **switches)  # type: ignore[arg-type]


def active_of(halting: HaltingConfig, images: torch.Tensor) -> torch.Tensor:
    """The masks (image, timestep, block, token) of a tiny network that halts so."""
    active = kept_of(lively(tiny_config(halting=halting)), images)[0].active
    assert active is not None
    return active


@pytest.mark.parametrize("granularity", ["block", "timestep", "two_dimensional"])
@pytest.mark.parametrize("policy", ["random", "token_importance"])
def test_every_step_keeps_as_many_tokens_as_it_should(policy: str, granularity: str) -> None:
    halting = control(granularity, policy, budget=0.6)
    active = active_of(halting, noise(3))
    steps = kept_fractions(halting, 3, 2)
    assert sum(steps) / len(steps) == pytest.approx(0.6, abs=1e-6)
    if granularity == "timestep":
        steps = tuple(value for value in steps for _ in range(2))
    for at, fraction in enumerate(steps):
        kept = active[:, at // 2, at % 2].sum(1)
        assert kept.tolist() == [round(64 * fraction)] * 3
    assert float(active.float().mean()) == pytest.approx(0.6, abs=0.01)


def test_a_profile_measured_on_another_run_is_kept() -> None:
    profile = (1.0, 0.75, 0.5, 0.5, 0.25, 0.0)
    active = active_of(control("two_dimensional", "random", profile=profile), noise(2))
    assert active.float().mean((0, 3)).flatten().tolist() == pytest.approx(profile)


def test_random_tokens_depend_on_seed_and_image_alone() -> None:
    def run(seed: int, images: torch.Tensor) -> torch.Tensor:
        return active_of(control("two_dimensional", "random", budget=0.5, seed=seed), images)

    images = noise(4)
    whole = run(0, images)
    assert torch.equal(run(0, images[2:3]), whole[2:3])
    assert torch.equal(run(0, images.flip(0)).flip(0), whole)
    assert not torch.equal(run(1, images), whole)
    assert not torch.equal(whole[0], whole[1])


def test_important_tokens_are_those_of_a_slow_twin() -> None:
    """At the first check: 1 - cos(token, mean of its neighbours), no term in time."""
    halting = control("block", "token_importance", profile=(0.5, 0.5) * 3)
    model, active = lively(tiny_config(halting=halting)), active_of(halting, noise(1))
    with torch.no_grad():
        tokens = model.sps(model.normalised(noise(1)).unsqueeze(0), SILENT)[0, 0]
    grid = tokens.view(8, 8, -1)
    scores = []
    for y in range(8):
        for x in range(8):
            near = grid[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].reshape(-1, grid.shape[2])
            scores.append(1.0 - float(torch.cosine_similarity(grid[y, x], near.mean(0), dim=0)))
    kept = set(active[0, 0, 0].nonzero().flatten().tolist())
    assert len(kept) == 32
    worst = min(scores[token] for token in kept)
    assert all(scores[token] <= worst + 1e-6 for token in set(range(64)) - kept)


def test_certain_images_end_and_keep_their_logits() -> None:
    def run(entropy: float) -> tuple[torch.Tensor, torch.Tensor]:
        halting = control("timestep", "entropy_exit", entropy=entropy)
        with torch.no_grad():
            output = lively(tiny_config(halting=halting, isps=False))(noise(3, seed=7))
        assert output.active is not None
        return output.logits, output.active.flatten(2).any(2)

    never, ran = run(0.0)
    assert bool(ran.all())
    at_once, ran = run(1.0)
    assert ran.tolist() == [[True, False, False]] * 3
    middle, ran = run(0.998)
    assert ran.tolist() == [[True, False, False], [True, True, False], [True, True, False]]
    assert torch.allclose(middle[0], at_once[0], atol=1e-6)
    assert not torch.allclose(middle[1], never[1], atol=1e-4)
    static = lively(tiny_config(halting=False, isps=False))
    with torch.no_grad():
        assert torch.allclose(never, static(noise(3, seed=7)).logits, atol=1e-6)


def test_entropy_is_one_for_a_uniform_prediction_and_zero_for_a_sure_one() -> None:
    assert float(normalised_entropy(torch.zeros(1, 7))) == pytest.approx(1.0)
    assert float(normalised_entropy(torch.tensor([[200.0, 0.0]]))) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("granularity", ["block", "timestep", "two_dimensional"])
def test_a_budget_of_everything_is_the_static_network(granularity: str) -> None:
    images = noise(2)
    with torch.no_grad():
        static = lively(tiny_config(halting=False))(images).logits
        full = lively(tiny_config(halting=control(granularity, "random", budget=1.0)))(images)
    assert full.active is not None
    assert bool(full.active.all())
    assert torch.allclose(full.logits, static, atol=1e-6)
    assert full.ponder is full.weights is None


@cases("switches_that_do_not_fit_are_said")
def test_switches_that_do_not_fit_are_said(switches: dict[str, object], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        HaltingConfig(**switches)  # type: ignore[arg-type]


@cases("budgets_that_cannot_be_kept_are_said")
def test_budgets_that_cannot_be_kept_are_said(switches: dict[str, object], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        tiny_config(halting=control("two_dimensional", "random", **switches))
