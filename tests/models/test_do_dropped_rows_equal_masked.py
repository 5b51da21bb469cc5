"""Leaving halted rows out gives what zeroing them gives: every spike, logits, gradients."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from models.data.images import Images
from models.evaluate import fit_beta
from models.networks.config import HaltingConfig
from models.networks.families import FAMILIES
from models.networks.rows import DroppedRows, MaskedRows, Membranes, Rows
from models.neurons.lif import LIF
from models.operations import describe
from tests.models.tiny_networks import kept_of, lively, noise, tiny_config

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
    "gate": HaltingConfig("waking", policy="gate", score="readout", output="last", beta=0.0),
    "gate and exit": HaltingConfig(
        "waking",
        policy="gate",
        score="readout",
        output="last",
        beta=0.0,
        exit="entropy",
        entropy=0.998,
    ),
    "readout and exit": HaltingConfig(
        "two_dimensional", score="readout", output="last", beta=-1.5, exit="learned", entropy=0.998
    ),
}


FORMS = ("late_sum", "early_integration", "single_step")
OTHERS = tuple(name for name in FAMILIES if name != "spikformer")
CASES = [(case, "none", "spikformer") for case in HALTINGS]
CASES += [
    (case, form, "spikformer") for case in ("two_dimensional", "importance") for form in FORMS
]
CASES += [(case, "late_sum", family) for case in HALTINGS for family in OTHERS]


@pytest.mark.parametrize(("case", "isps", "family"), CASES)
def test_spikes_are_equal_and_logits_close(case: str, isps: str, family: str) -> None:
    halting = HALTINGS[case]
    if family in ("spikingformer", "sdt") and halting.policy == "score":
        # Potentials are smaller than counts of spikes.
        halting = dataclasses.replace(halting, gamma=halting.gamma * 4.0)
    if family == "sdt" and (halting.policy == "entropy_exit" or halting.exit != "none"):
        halting = dataclasses.replace(halting, entropy=1.0)
    model = lively(tiny_config(halting=halting, isps=isps, family=family))
    images = noise(3, seed=7)
    if halting.policy == "gate":
        seen = Images(images.numpy().astype(np.uint8), np.zeros(3, np.int64), ("",) * 3, "", "")
        fit_beta(model, seen, 0.5)
    fast, ours = kept_of(model, images, rows="dropped")
    slow, theirs = kept_of(model, images, rows="masked")
    assert fast.active is not None
    assert slow.active is not None
    assert 0.1 < float(fast.active.float().mean()) < 1.0
    assert torch.equal(fast.active, slow.active)
    assert torch.allclose(fast.logits, slow.logits, atol=1e-5)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name


@pytest.mark.parametrize("family", FAMILIES)
def test_halted_rows_are_zero_in_every_tensor(family: str) -> None:
    model = lively(tiny_config(family=family))
    output, kept = kept_of(model, noise(2, seed=3))
    active = output.active
    assert active is not None
    masks = {name: t.mask for name, t in describe(model.config).tensors.items()}
    seen = 0
    for name, tensor in kept.items():
        mask = masks[name]
        if mask is None:
            continue
        seen += 1
        halted = ~active[:, :, int(mask)].transpose(0, 1)
        assert not bool(tensor[halted].any()), name
        assert bool(tensor[~halted].any()), name
    assert seen >= 2 * 7


GRANULARITIES = ("block", "timestep", "two_dimensional")
TRAINED = [(granularity, "spikformer") for granularity in GRANULARITIES]
TRAINED += [("two_dimensional", family) for family in OTHERS]


@pytest.mark.parametrize(("granularity", "family"), TRAINED)
def test_gradients_are_equal_in_training(granularity: str, family: str) -> None:
    halting, gradients = HaltingConfig(granularity, beta=-1.0, learned=True), []
    for rows in ("dropped", "masked"):
        model = lively(tiny_config(halting=halting, family=family)).double().train()
        for layer in model.spiking_layers():
            layer.norm.from_running = True
        output = model(noise(2, seed=5).double(), rows=rows)
        (output.logits.square().sum() + output.ponder.mean()).backward()
        gradients.append([p.grad for p in model.parameters()])
    for dropped, masked in zip(*gradients, strict=True):
        assert (dropped is None) == (masked is None)
        if dropped is not None:
            assert torch.allclose(dropped, masked, atol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_batch_statistics_of_training_are_equal_too(family: str) -> None:
    """So masked rows are not seen: dropped ones are not even there."""
    outputs, norms = [], []
    for rows in ("dropped", "masked"):
        model = lively(tiny_config(family=family)).double().train()
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
    Rows(1, 1, 4, neuron=LIF).fire(current, membranes, "n", 1.0)
    before = membranes["n"].clone()
    rows = policy(active, leak, LIF)
    fired = rows.restore(rows.fire(rows.select(current.view(1, 1, 4, 2)), membranes, "n", 1.0))
    _, charged = LIF.fire(current.unsqueeze(0), before)
    silent, leaked = LIF.fire(torch.zeros(1, 4, 2), before)
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
