"""One timestep after another through all blocks gives what each block over all timesteps gives."""

from __future__ import annotations

import pytest
import torch

from tests.models.tiny_networks import kept_of, lively, noise, tiny_config


@pytest.mark.parametrize("family", ["spikformer", "spikingformer", "sdt", "qkformer"])
@pytest.mark.parametrize("isps", [False, True])
def test_spikes_and_logits_are_equal(isps: bool, family: str) -> None:
    model = lively(tiny_config(halting=False, isps=isps, family=family))
    expected, theirs = kept_of(model, noise(3), path="layers")
    output, ours = kept_of(model, noise(3), path="serial")
    assert torch.allclose(output.logits, expected.logits, atol=1e-6)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name
        assert bool(ours[name].any()), name


def test_halting_that_never_halts_changes_no_spike() -> None:
    model = lively(tiny_config())
    assert model.halting is not None
    model.halting.beta.fill_(-60.0)
    _, theirs = kept_of(model, noise(2), path="layers")
    output, ours = kept_of(model, noise(2))
    assert output.active is not None
    assert bool(output.active.all())
    for name in theirs:
        assert torch.equal(ours[name], theirs[name]), name
    last = ours["head.x"][-1]  # with h = 0 everywhere, the last output has the whole weight
    with torch.no_grad():
        assert torch.allclose(output.logits, model.head(last.mean(1)), atol=1e-5)


def test_imposed_masks_give_what_halting_itself_gives() -> None:
    model = lively(tiny_config())
    halting, ours = kept_of(model, noise(3))
    _, theirs = kept_of(model, noise(3), path="layers", imposed=halting.active)
    for name in theirs:
        assert torch.equal(ours[name], theirs[name]), name


def test_timesteps_differ_though_isps_feeds_them_the_same() -> None:
    _, tensors = kept_of(lively(tiny_config(halting=False)), noise(2))
    assert tensors["blocks.0.x"].shape[0] == 1
    assert not torch.equal(tensors["blocks.0.attn.q"][0], tensors["blocks.0.attn.q"][1])
