"""Kinds of networks that are rare: what they leave is true, or the message says why they do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import Tensor, nn

from models.capturing import capture
from models.errors import ModelError
from simulator.trace import Trace
from tests.messages import said
from tests.models.any_networks import pictures

T = 3


Behind = Callable[[Any, Tensor, Any], tuple[Tensor, Any]]


class Looped(nn.Module):
    """One convolution with a neuron in a loop, and a `part` that `behind` runs on its spikes."""

    def __init__(self, behind: Behind, part: Callable[[], nn.Module]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.behind, self.part = behind, part()

    def forward(self, x: Tensor) -> Any:
        potential: Any = 0.0
        total: Any = 0.0
        state: Any = None
        for _ in range(T):
            potential = 0.5 * potential + self.conv(x)
            spikes = (potential >= 0.2).float()
            potential = potential * (1 - spikes)
            made, state = self.behind(self.part, spikes, state)
            total = total + made
        return total


def gated(cell: Any, spikes: Tensor, state: Any) -> tuple[Tensor, Any]:
    state = cell(spikes.flatten(1), torch.zeros(1, 10) if state is None else state)
    return state, state


def forgetful(cell: Any, spikes: Tensor, state: Any) -> tuple[Tensor, Any]:
    """Start from zeros at every timestep."""
    return cell(spikes.flatten(1), (torch.zeros(1, 10), torch.zeros(1, 10)))[0], None


def plain(part: Any, spikes: Tensor, state: Any) -> tuple[Tensor, Any]:
    return part(spikes), None


def dropping(linear: Any, spikes: Tensor, state: Any) -> tuple[Tensor, Any]:
    """Leave out tokens that did not fire, so that each timestep has other rows."""
    tokens = spikes.flatten(2).mT[0]
    return linear(tokens[tokens.sum(1) > 2]).sum(0), None


KINDS: dict[str, tuple[Behind, Callable[[], nn.Module], list[int]]] = {
    # whose kernel splits a product without copying it
    "gru": (gated, lambda: nn.GRUCell(8 * 144, 10), [3, 3, 3]),
    "lstm": (forgetful, lambda: nn.LSTMCell(8 * 144, 10), [3, 3]),
    # Its padding copies edges into a fresh tensor, piece by piece.
    "circular": (plain, lambda: nn.Conv2d(8, 4, 3, padding=1, padding_mode="circular"), [3, 3]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_layer_has_all_its_timesteps(kind: str, tmp_path: Path) -> None:
    behind, part, weighted = KINDS[kind]
    with Trace.open(capture(Looped(behind, part), pictures(), tmp_path / "t.npz")) as trace:
        trace.verify()
        layers = [each for each in trace.operations if each.weight_bits]
        assert [each.timesteps for each in layers] == weighted
        assert trace.tensors[layers[1].input].kind == "spikes"
        assert [each.kind for each in trace.operations].count("neuron") == 1
        zeros = [each for each in trace.manifest["capture"]["folded"] if "of zeros" in each]
        assert bool(zeros) == (kind == "lstm")


def test_rows_that_change_in_time_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=said("rows that change in time")):
        capture(Looped(dropping, lambda: nn.Linear(8, 4)), pictures(), tmp_path / "t.npz")


@pytest.mark.parametrize(("kind", "causal"), [("PSN", False), ("SlidingPSN", True)])
def test_a_silent_network_shows_the_future_too(kind: str, causal: bool, tmp_path: Path) -> None:
    """No spike differs where none is fired, but what is summed does."""
    torch.manual_seed(0)
    made = neuron.PSN(T=T) if kind == "PSN" else neuron.SlidingPSN(k=2)
    with torch.no_grad():
        made.bias.fill_(-1e3)
    net = nn.Sequential(
        layer.Conv2d(3, 8, 3, padding=1), made, layer.Conv2d(8, 4, 3), neuron.IFNode()
    )
    functional.set_step_mode(net, "m")
    with pytest.warns(UserWarning, match=said("a network that never fires")):
        path = capture(net, pictures(), tmp_path / "t.npz", sequence=True, timesteps=T)
    with Trace.open(path) as trace:
        proof = trace.manifest["capture"]["proof"]
    assert proof["causality"] == ("causal" if causal else "not causal")
    assert proof.get("not_causal") == (None if causal else ["1"])


class Stacked(nn.Module):
    """Recurrent layers in a loop, all of whose neurons are one line."""

    def __init__(self, timesteps: int, layers: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.timesteps = timesteps
        self.forwards = nn.ModuleList(nn.Linear(432 if k == 0 else 16, 16) for k in range(layers))
        self.back = nn.ModuleList(nn.Linear(16, 16) for _ in range(layers))
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Any:
        potential: list[Any] = [0.0] * len(self.back)
        spikes = [torch.zeros(1, 16)] * len(self.back)
        total: Any = 0.0
        for _ in range(self.timesteps):
            y = x.flatten(1)
            for k, own in enumerate(self.forwards):
                potential[k] = 0.5 * potential[k] + own(y) + self.back[k](spikes[k])
                y = spikes[k] = (potential[k] >= 0.1).float()
                potential[k] = potential[k] * (1 - y)
            total = total + self.head(y)
        return total


@pytest.mark.parametrize("timesteps", [1, 2, 3])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_recurrent_layers_of_one_line_have_their_timesteps(
    timesteps: int, layers: int, tmp_path: Path
) -> None:
    path = capture(Stacked(timesteps, layers), pictures(), tmp_path / "t.npz")
    with Trace.open(path) as trace:
        assert trace.manifest["model"]["timesteps"] == timesteps
        weighted = [each.timesteps for each in trace.operations if each.weight_bits]
        # Recurrent layers on nothing but the zeros of the first timestep compute nothing.
        assert weighted == [timesteps] * ((2 if timesteps > 1 else 1) * layers + 1)
        assert [each.kind for each in trace.operations].count("neuron") == layers
