"""Leaving halted rows out gives what zeroing them gives: every spike, logits, gradients."""

from __future__ import annotations

import pytest
import torch

from models.config import HaltingConfig
from models.neurons import lif
from models.rows import AllRows, DroppedRows, MaskedRows, Membranes
from tests.models.tiny_networks import Keeper, lively, noise, tiny_config

SCORE = HaltingConfig("two_dimensional", beta=-1.5)
HALTINGS = {
    "two_dimensional": SCORE,
    "block": HaltingConfig("block", gamma=6.0, beta=-5.0),
    "block, leaking": HaltingConfig("block", gamma=6.0, beta=-5.0, membranes="zero_input"),
    "block, last": HaltingConfig("block", gamma=6.0, beta=-5.0, output="last"),
    "timestep": HaltingConfig("timestep", gamma=2.0, beta=-1.0),
    "random": HaltingConfig("two_dimensional", policy="random", output="last", budget=0.5),
    "random by block": HaltingConfig(
        "block", policy="random", output="last", budget=0.6, membranes="zero_input"
    ),
    "importance": HaltingConfig("block", policy="token_importance", output="last", budget=0.6),
    "importance in time": HaltingConfig(
        "timestep", policy="token_importance", output="last", budget=0.6
    ),
    "entropy": HaltingConfig("timestep", policy="entropy_exit", output="last", entropy=0.998),
}


FORMS = ("late_sum", "early_integration", "single_step")
CASES = [(case, "none") for case in HALTINGS]
CASES += [(case, isps) for case in ("two_dimensional", "importance") for isps in FORMS]


@pytest.mark.parametrize(("case", "isps"), CASES)
def test_spikes_are_equal_and_logits_close(case: str, isps: str) -> None:
    model = lively(tiny_config(halting=HALTINGS[case], isps=isps))
    images = noise(3, seed=7)
    dropped, masked = Keeper(), Keeper()
    with torch.no_grad():
        fast = model(images, dropped, rows="dropped")
        slow = model(images, masked, rows="masked")
    assert fast.active is not None
    assert slow.active is not None
    assert 0.2 < float(fast.active.float().mean()) < 0.9
    assert torch.equal(fast.active, slow.active)
    assert torch.allclose(fast.logits, slow.logits, atol=1e-5)
    ours, theirs = dropped.tensors(), masked.tensors()
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name


def test_halted_rows_are_zero_in_every_tensor() -> None:
    model = lively(tiny_config())
    keeper = Keeper()
    with torch.no_grad():
        active = model(noise(2, seed=3), keeper).active
    assert active is not None
    for name, tensor in keeper.tensors().items():
        if not name.startswith("blocks.") or name == "blocks.0.x":
            continue
        block = int(name.split(".")[1]) - (name.count(".") == 2 and name.endswith(".x"))
        halted = ~active[:, :, block].transpose(0, 1)
        assert not bool(tensor[halted].any()), name
        assert bool(tensor[~halted].any()), name


@pytest.mark.parametrize("granularity", ["block", "timestep", "two_dimensional"])
def test_gradients_are_equal_in_training(granularity: str) -> None:
    halting, gradients = HaltingConfig(granularity, beta=-1.0, learned=True), []
    for rows in ("dropped", "masked"):
        model = lively(tiny_config(halting=halting)).double().train()
        for layer in model.spiking_layers():
            layer.norm.from_running = True
        output = model(noise(2, seed=5).double(), rows=rows)
        (output.logits.square().sum() + output.ponder.mean()).backward()
        gradients.append([p.grad for p in model.parameters()])
    for dropped, masked in zip(*gradients, strict=True):
        assert (dropped is None) == (masked is None)
        if dropped is not None:
            assert torch.allclose(dropped, masked, atol=1e-9)


def test_batch_statistics_of_training_are_equal_too() -> None:
    outputs, norms = [], []
    for rows in ("dropped", "masked"):
        model = lively(tiny_config()).double().train()
        outputs.append(model(noise(2, seed=5).double(), rows=rows).logits)
        norms.append([layer.norm.running_mean.clone() for layer in model.spiking_layers()])
    assert torch.allclose(*outputs, atol=1e-9)
    for dropped, masked in zip(*norms, strict=True):
        assert torch.allclose(dropped, masked, atol=1e-9)


@pytest.mark.parametrize("leak", [1.0, 0.5])
@pytest.mark.parametrize("policy", [MaskedRows, DroppedRows])
def test_membranes_of_halted_tokens_are_frozen_or_leak(policy: type, leak: float) -> None:
    current = torch.full((4, 2), 1.2)
    active = torch.tensor([[[True, False, True, False]]])
    membranes: Membranes = {}
    AllRows(1, 1, 4).fire(current, membranes, "n", 1.0)
    before = membranes["n"].clone()
    rows = policy(active, leak)
    fired = rows.restore(rows.fire(rows.select(current.view(1, 1, 4, 2)), membranes, "n", 1.0))
    _, charged = lif(current.unsqueeze(0), before)
    silent, leaked = lif(torch.zeros(1, 4, 2), before)
    assert not bool(silent.any())
    assert torch.equal(membranes["n"][1::2], (before if leak == 1.0 else leaked)[1::2])
    assert torch.equal(membranes["n"][::2], charged[::2])
    assert not bool(fired[0, 0, 1::2].any())


def test_nobody_left_is_no_error() -> None:
    model = lively(tiny_config())
    assert model.halting is not None
    with torch.no_grad():
        model.halting.beta.fill_(50.0)  # everyone halts at the first step
        output = model(noise(2, seed=1))
        twin = model(noise(2, seed=1), rows="masked")
    assert output.active is not None
    assert float(output.active.float().sum()) == 2 * 64
    assert torch.allclose(output.logits, twin.logits, atol=1e-5)
    model.train()(noise(2, seed=1)).logits.sum().backward()
