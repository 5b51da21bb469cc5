"""Beyond A-SSA: a read-out of its own, tokens that wake, images that end, survival's gradient."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from experiments.live.ponder import machine_ponder, machine_survival
from models.data.images import sample_images
from models.errors import ModelError
from models.evaluate import evaluate, fit_beta
from models.halting.losses import LossConfig, total_loss
from models.halting.machine_ponder import StepPrices
from models.halting.policies.gate import GatePolicy
from models.halting.recursion import Halting, HaltingStep
from models.networks.arms import Prepared
from models.networks.config import HaltingConfig
from models.networks.stas import Output
from models.operations.writing import write_trace
from simulator.trace import Trace
from tests.messages import said
from tests.models.tiny_networks import lively, noise, tiny_config

GATE = HaltingConfig(
    "waking", policy="gate", score="readout", gamma=8.0, beta=0.0, output="last", learned=True
)
EXITING = dataclasses.replace(GATE, exit="learned", entropy=0.99)


def test_a_readout_scores_by_a_weighted_sum_of_channels() -> None:
    halting = Halting(HaltingConfig("block", score="readout", gamma=2.0, beta=-1.0), 3)
    assert halting.readout is not None
    halting.readout.weight.data = torch.tensor([[1.0, 0.5, -1.0]])
    tokens = torch.tensor([[[2.0, 2.0, 1.0]]])
    assert halting.score(tokens, HaltingStep(0, 0, 1, 1)).item() == pytest.approx(
        torch.sigmoid(torch.tensor(3.0)).item()
    )


def test_masks_of_a_gate_are_of_a_timestep_and_tokens_wake() -> None:
    model = lively(tiny_config(halting=GATE, isps=False))
    with torch.no_grad():
        active = model(noise(4)).active
    assert active is not None
    assert torch.equal(active[:, :, 0], active[:, :, 1])
    woken = active[:, 1:, 0] & ~active[:, :-1, 0]
    assert bool(woken.any())


def test_the_head_sees_the_mean_over_tokens_with_sleepers_as_zero() -> None:
    model = lively(tiny_config(halting=GATE, isps=False))
    with torch.no_grad():
        halting = model(noise(3))
        plain = model(noise(3), path="layers", imposed=halting.active)
    assert torch.allclose(halting.logits, plain.logits, atol=1e-5)


def test_a_budget_is_met_by_beta() -> None:
    model = lively(tiny_config(halting=GATE, isps=False))
    images = sample_images("cifar10", 6)
    reached = fit_beta(model, images, 0.4)
    assert reached == pytest.approx(0.4, abs=0.06)
    assert evaluate(model, images).active_tokens == reached


def test_a_gate_learns_to_spare_what_costs() -> None:
    """The gradient of the expected cost alone drives the probability of running down."""
    model = lively(tiny_config(halting=GATE, isps=False)).train()
    loss = total_loss(model(noise(2)), torch.tensor([0, 1]), model.config, LossConfig())
    loss.backward()
    assert isinstance(model.halting, GatePolicy)
    assert float(model.halting.beta.grad.abs()) > 0.0  # the task's, through the draw
    model.zero_grad()
    torch.manual_seed(0)
    weights = LossConfig(survival=1.0, survival_target=0.2)
    output = model(noise(2))
    (
        total_loss(output, torch.tensor([0, 1]), model.config, weights)
        - total_loss(output, torch.tensor([0, 1]), model.config, LossConfig())
    ).backward()
    assert float(model.halting.beta.grad) < 0.0  # a larger beta halts more
    assert float(output.survival.detach().mean()) > 0.2


def test_an_exit_leaves_like_its_slow_twin() -> None:
    """In training: sum over timesteps of run so far x leave now x prediction so far."""
    from models.halting.exits import ImageExit

    torch.manual_seed(0)
    exits, head = ImageExit(EXITING).train(), nn.Linear(4, 5)
    features = torch.randn(3, 2, 4)
    policy = GatePolicy(GATE, 4)
    state = policy.start(2, 6, features)
    for timestep in range(3):
        state = state._replace(features=(*state.features, features[timestep]))
        step = HaltingStep(timestep, 0, 3, 1)
        state = exits(state, step, lambda seen: head(seen.mean(0)))
    mixed, left = torch.zeros(2, 5), torch.ones(2)
    for timestep in range(3):
        chances = head(features[: timestep + 1].mean(0)).softmax(1)
        entropy = -(chances * chances.log()).sum(1) / torch.log(torch.tensor(5.0))
        leave = torch.sigmoid(10.0 * (0.99 - entropy)) if timestep < 2 else torch.ones(2)
        mixed, left = mixed + (left * leave)[:, None] * chances, left * (1.0 - leave)
    assert state.logits is not None
    assert torch.allclose(state.logits.softmax(1), mixed, atol=1e-6)
    assert torch.allclose(mixed.sum(1), torch.ones(2), atol=1e-6)


def test_an_image_that_ended_runs_nothing_and_keeps_its_answer() -> None:
    always = dataclasses.replace(EXITING, entropy=1.0)
    model = lively(tiny_config(halting=always, isps=False))
    assert model.halting is not None
    assert model.halting.exit is not None
    model.halting.exit.level.data.fill_(2.0)  # no entropy is over it
    with torch.no_grad():
        output = model(noise(3))
    assert bool(output.active[:, 0].any())
    assert not bool(output.active[:, 1:].any())


def test_survival_is_the_weight_that_is_left() -> None:
    model = lively(tiny_config(halting=HaltingConfig("two_dimensional", beta=-1.0)))
    output = model(noise(2))
    left = torch.ones_like(output.survival[:, 0])
    for check in range(output.survival.shape[1]):
        assert torch.allclose(output.survival[:, check], left, atol=1e-6)
        left = left - output.weights[:, check]
    assert torch.allclose(left, torch.zeros_like(left), atol=1e-5)


def prices(dear: int, checks: int) -> StepPrices:
    token = torch.full((checks,), 0.001)
    token[dear] = 0.1
    return StepPrices(token, torch.zeros(checks), 1.0)


def test_survival_tells_where_a_check_is_dear_and_the_last_score_does_not() -> None:
    """Gradients of two machines, dear early and dear late, by the read-out that they steer."""
    halting = HaltingConfig("two_dimensional", score="readout", beta=-1.5, learned=True)
    found: dict[str, list[Tensor]] = {}
    for cost in (machine_ponder, machine_survival):
        for dear in (1, 4):
            model = lively(tiny_config(halting=halting, isps=False)).train()
            for layer in model.spiking_layers():
                layer.norm.from_running = True
            cost(model(noise(2)), prices(dear, 6)).backward()
            gradient = model.halting.readout.weight.grad.flatten()
            found.setdefault(cost.__name__, []).append(gradient)
    cosine = {name: float(torch.cosine_similarity(*pair, dim=0)) for name, pair in found.items()}
    assert cosine["machine_survival"] < 0.99
    sizes = [float(gradient.norm()) for gradient in found["machine_survival"]]
    assert sizes[0] != pytest.approx(sizes[1], rel=0.05)


def test_a_cost_without_probabilities_is_refused() -> None:
    output = Output(torch.zeros(1, 2), torch.ones(1, 1, 1, 4, dtype=torch.bool), None)
    with pytest.raises(ModelError, match=said("a cost without probabilities")):
        machine_survival(output, prices(0, 1))


@pytest.mark.parametrize("policy", [{"granularity": "block"}, {"policy": "random"}])
def test_waking_and_gate_go_together(policy: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=said("waking without a gate")):
        dataclasses.replace(GATE, **policy)


def test_an_exit_needs_the_last_output() -> None:
    with pytest.raises(ModelError, match=said("an exit of another output")):
        HaltingConfig("two_dimensional", exit="entropy")


def test_a_trace_holds_masks_that_wake(tmp_path: Path) -> None:
    model = lively(tiny_config(halting=EXITING, isps=False))
    path = tmp_path / "waking.npz"
    weights = {"origin": "random", "seed": 0, "accuracy": None, "sha256": "0" * 64, "notes": ""}
    write_trace(path, Prepared(model, weights), sample_images("cifar10", 2), "cifar10", 2)
    with Trace.open(path) as trace:
        told = trace.manifest["model"]["halting"]
        assert told["granularity"] == "waking"
        assert (told["policy"], told["exit"]) == ("gate", "learned")
        gates = [each for each in trace.manifest["operations"] if each["kind"] == "halting"]
        assert [each["block"] for each in gates] == [0]
        trace.verify()
