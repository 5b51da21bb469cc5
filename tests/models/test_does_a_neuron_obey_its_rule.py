"""Does every registered neuron fire by its equation, train, and run in a network and a trace?"""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import torch
from spikingjelly.activation_based import neuron as jelly

from models import neurons
from models.capture import main
from models.errors import ModelError
from models.networks.stas import STAS
from models.neurons import NEURONS
from models.neurons.base import Neuron, fused_kernels
from simulator.trace import Trace
from tests.messages import said
from tests.models.tiny_networks import kept_of, lively, noise, tiny_config

NAMES = NEURONS.names()
TWINS = {
    "lif": lambda: jelly.LIFNode(tau=2.0, detach_reset=True, step_mode="m"),
    "integrate_and_fire": lambda: jelly.IFNode(detach_reset=True, step_mode="m"),
}


@pytest.mark.parametrize("name", NAMES)
def test_it_fires_by_its_shares_of_membrane_and_current(name: str) -> None:
    torch.manual_seed(0)
    neuron, current = NEURONS.named(name), torch.randn(5, 40).double()
    membrane, spikes = torch.zeros(40).double(), []
    for at_step in current:
        charged = neuron.keep * membrane + neuron.take * at_step
        spikes.append((charged >= 0.7).double())
        membrane = charged * (1.0 - spikes[-1])
    found, after = neuron.fire(current, threshold=0.7)
    assert torch.equal(found, torch.stack(spikes))
    assert torch.allclose(after, membrane)


@pytest.mark.parametrize("name", TWINS)
def test_spikes_and_gradients_are_those_of_spikingjelly(name: str) -> None:
    torch.manual_seed(1)
    results = []
    currents = 2.0 * torch.randn(4, 3, 8)
    weights = torch.randn(4, 3, 8)
    for run in (lambda x: NEURONS.named(name).fire(x)[0], TWINS[name]()):
        current = currents.clone().requires_grad_()
        spikes = run(current)
        (spikes * weights).sum().backward()
        results.append((spikes.detach(), current.grad))
    (ours, our_gradient), (theirs, their_gradient) = results
    assert torch.equal(ours, theirs)
    assert torch.allclose(our_gradient, their_gradient, atol=1e-6)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("membrane", [False, True])
@pytest.mark.parametrize("name", TWINS)
def test_a_fused_kernel_gives_the_same(name: str, membrane: bool, device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU here")
    torch.manual_seed(2)
    neuron, currents = NEURONS.named(name), 2.0 * torch.randn(4, 3, 8, device=device)
    before = 0.5 * torch.randn(3, 8, device=device) if membrane else None
    found = []
    for kernels in (contextlib.nullcontext(), fused_kernels(neuron)):
        current = currents.clone().requires_grad_()
        state = None if before is None else before.clone().requires_grad_()
        with kernels:
            spikes, after = neuron.fire(current, state, threshold=0.7)
        (spikes * currents).sum().add(after.square().sum()).backward()
        gradients = [current.grad] if state is None else [current.grad, state.grad]
        found.append((spikes, after, gradients))
    (spikes, after, gradients), (fused_spikes, fused_after, fused_gradients) = found
    assert torch.equal(spikes, fused_spikes)
    assert torch.equal(after, fused_after)
    for one, other in zip(gradients, fused_gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_a_neuron_without_a_fused_kernel_says_so() -> None:
    class Plain(Neuron):
        keep, take = 1.0, 1.0
        charge = NEURONS.named("lif").charge
        listed = NEURONS.named("lif").listed

    neuron = Plain()
    with (
        fused_kernels(neuron),
        pytest.raises(ModelError, match=said("a neuron without a fused kernel")),
    ):
        neuron.fire(torch.zeros(2, 3))
    assert not neuron.runs_fused


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("family", ["spikformer", "sdt", "qkformer"])
def test_dropped_and_masked_rows_agree_in_a_network_of_it(name: str, family: str) -> None:
    model = lively(tiny_config(neuron=name, family=family))
    dropped, ours = kept_of(model, noise(2, seed=3), rows="dropped")
    masked, theirs = kept_of(model, noise(2, seed=3), rows="masked")
    assert torch.allclose(dropped.logits, masked.logits, atol=1e-5)
    assert all(torch.equal(ours[each], theirs[each]) for each in ours)


def test_another_neuron_fires_otherwise() -> None:
    state = lively(tiny_config(halting=False)).state_dict()
    rates = []
    for name in NAMES:
        model = STAS(tiny_config(halting=False, neuron=name)).eval()
        model.load_state_dict(state)
        _, kept = kept_of(model, noise(2, seed=3))
        rates.append(float(kept["blocks.0.attn.q"].float().mean()))
    assert len(set(rates)) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_trace_says_what_an_update_takes(name: str, tmp_path: Path) -> None:
    out = tmp_path / "t.npz"
    words = ["--model", "spikformer_2_32", "--dataset", "digits", "--weights", "random"]
    words += ["--images", "2", "--timesteps", "2", "--neuron", name, "--out", str(out)]
    assert main(words) == 0
    with Trace.open(out) as trace:
        kind, parameters = NEURONS.named(name).listed(1.0)
        found = next(each for each in trace.operations if each.name == "blocks.0.attn.q_lif")
        assert (found.kind, dict(found.parameters)) == (kind, parameters)


SLOW_LEAK = '''
"""Leaky integrate-and-fire with a slow leak: v' = 0.75 v + 0.25 x."""

from models.neurons.base import register
from models.neurons.lif import LeakyIntegrateAndFire


@register("slow_leak")
class SlowLeak(LeakyIntegrateAndFire):
    """A quarter of the membrane goes, a quarter of the current enters."""

    keep = 0.75
    take = 0.25

    def charge(self, current, membrane, out):
        out.copy_(self.take * current if membrane is None else
                  self.keep * membrane + self.take * current)
'''


def test_a_neuron_of_another_folder_runs_in_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_leak.py").write_text(SLOW_LEAK)
    monkeypatch.setattr(neurons, "__path__", [*neurons.__path__, str(tmp_path)])
    assert NEURONS.names() == (*NAMES, "slow_leak")
    test_it_fires_by_its_shares_of_membrane_and_current("slow_leak")
    model = lively(tiny_config(neuron="slow_leak"))
    with torch.no_grad():
        assert model(noise(2)).logits.shape == (2, 10)
    NEURONS.pop("slow_leak")
