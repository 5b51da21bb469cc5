"""One timestep after another through all blocks gives what each block over all timesteps gives."""

from __future__ import annotations

import pytest
import torch

from tests.models.tiny_networks import Keeper, lively, noise, tiny_config


@pytest.mark.parametrize("family", ["spikformer", "spikingformer", "sdt", "qkformer"])
@pytest.mark.parametrize("isps", [False, True])
def test_spikes_and_logits_are_equal(isps: bool, family: str) -> None:
    model = lively(tiny_config(halting=False, isps=isps, family=family))
    layers, serial = Keeper(), Keeper()
    with torch.no_grad():
        expected = model(noise(3), layers, path="layers").logits
        logits = model(noise(3), serial, path="serial").logits
    assert torch.allclose(logits, expected, atol=1e-6)
    ours, theirs = serial.tensors(), layers.tensors()
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name
        assert bool(ours[name].any()), name


def test_halting_that_never_halts_changes_no_spike() -> None:
    model = lively(tiny_config())
    assert model.halting is not None
    layers, halting = Keeper(), Keeper()
    with torch.no_grad():
        model.halting.beta.fill_(-60.0)
        model(noise(2), layers, path="layers")
        output = model(noise(2), halting)
    assert output.active is not None
    assert bool(output.active.all())
    ours, theirs = halting.tensors(), layers.tensors()
    for name in theirs:
        assert torch.equal(ours[name], theirs[name]), name
    last = ours["head.x"][-1]  # with h = 0 everywhere, the last output has the whole weight
    with torch.no_grad():
        assert torch.allclose(output.logits, model.head(last.mean(1)), atol=1e-5)


def test_imposed_masks_give_what_halting_itself_gives() -> None:
    model = lively(tiny_config())
    halting, imposed = Keeper(), Keeper()
    with torch.no_grad():
        active = model(noise(3), halting).active
        model(noise(3), imposed, path="layers", imposed=active)
    ours, theirs = halting.tensors(), imposed.tensors()
    for name in theirs:
        assert torch.equal(ours[name], theirs[name]), name


def test_timesteps_differ_though_isps_feeds_them_the_same() -> None:
    model = lively(tiny_config(halting=False))
    keeper = Keeper()
    with torch.no_grad():
        model(noise(2), keeper)
    tensors = keeper.tensors()
    assert tensors["blocks.0.x"].shape[0] == 1
    assert not torch.equal(tensors["blocks.0.attn.q"][0], tensors["blocks.0.attn.q"][1])
