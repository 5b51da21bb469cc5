"""Traces of SpikingJelly networks by hooks: their spikes, ours where we have the same network,
their operation counter's counts, and one error for what is unknown.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly.activation_based.op_counter import ACCounter, DispatchCounterMode, MACCounter
from torch import nn

from models import capture
from models.errors import ModelError
from models.foreign import capture_network
from models.networks.checkpoints import adopt
from models.networks.stas import STAS
from simulator.trace import Image, OperationSpec, Trace, unpack_bits
from tests.models.foreign_networks import (
    NETWORKS,
    TIMESTEPS,
    captured,
    entering,
    images_of,
    lively_network,
    our_config,
)
from tests.models.tiny_networks import Keeper

EXAMPLE = """
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn


def make_network():
    features = [layer.Conv2d(3, 16, 3, padding=1), neuron.LIFNode(), layer.MaxPool2d(2, 2)]
    classifier = [layer.Flatten(), layer.Linear(16 * 16 * 16, 10), neuron.LIFNode()]
    net = nn.Sequential(*features, *classifier)
    functional.set_step_mode(net, "m")
    return net
"""
CONVOLUTION = torch.ops.aten.convolution.default


def integers(trace: Trace, name: str, image: Image) -> np.ndarray:
    """(timestep, row, channel) values of a stored tensor."""
    bits = unpack_bits(image.tensors[name], trace.tensors[name].channels)
    return np.tensordot(bits, 2 ** np.arange(bits.shape[1]), axes=([1], [0]))


def run(name: str, network: nn.Module) -> torch.Tensor:
    pixels = torch.from_numpy(images_of(name).pixels).float()
    with torch.no_grad():
        output = network(entering(name)(pixels))
    functional.reset_net(network)
    return torch.as_tensor(output)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_neurons_spikes_are_stored(name: str, tmp_path: Path) -> None:
    network = lively_network(name)
    seen: list[torch.Tensor] = []
    handles = [
        module.register_forward_hook(lambda module, inputs, output: seen.append(output))
        for module in network.modules()
        if isinstance(module, neuron.BaseNode)
    ]
    run(name, network)
    for handle in handles:
        handle.remove()
    with Trace.open(captured(name, tmp_path / "t.npz", network)) as trace:
        trace.verify()
        stored = [o.output for o in trace.operations if o.kind == "lif"]
        ones = sum(trace.tensors[output].ones for output in stored)
        values = sum(
            math.prod(trace.tensors[o].shape[:3]) * trace.tensors[o].channels for o in stored
        )
        assert ones == sum(int(spikes.sum()) for spikes in seen)
        assert 2 * values == sum(spikes.numel() for spikes in seen)
        assert all(trace.tensors[output].ones for output in stored)


@pytest.mark.parametrize("name", ["spikformer", "sdt", "qkformer"])
def test_the_trace_is_that_of_our_own_network(name: str, tmp_path: Path) -> None:
    """The same operations in the same order, the same spikes bit for bit."""
    network, config = lively_network(name), our_config(name)
    ours = STAS(config).double().eval()
    ours.load_state_dict(adopt(network.state_dict(), config, Path("theirs")))
    keeper = Keeper()
    with torch.no_grad():
        ours(torch.from_numpy(images_of(name).pixels).double(), keeper)
    from models.operations import describe

    listed = describe(config).operations
    kept = keeper.tensors()
    with Trace.open(captured(name, tmp_path / "t.npz", network)) as trace:
        theirs = [o for o in trace.operations if o.kind == "lif"]
        mine = [o for o in listed if o["kind"] == "lif"]
        assert sorted(o.kind for o in trace.operations) == sorted(o["kind"] for o in listed)
        assert len(theirs) == len(mine)
        for image in trace:
            unmatched = [kept[o["output"]][:, image.index].numpy() for o in mine]
            for operation in theirs:
                stored = integers(trace, operation.output, image)
                at = [i for i, each in enumerate(unmatched) if np.array_equal(each, stored)]
                assert at, operation.name
                del unmatched[at[0]]


def uses(operation: OperationSpec, values: np.ndarray) -> int:
    """How often the weights of a layer are used by its non-zero inputs: a slow count."""
    shapes: Any = operation.shapes
    if operation.kind == "linear":
        return int((values != 0).sum()) * int(shapes["out_features"])
    maps = torch.from_numpy((values != 0).astype(np.float64)).transpose(1, 2)
    maps = maps.unflatten(2, tuple(shapes["in_grid"]))
    ones = torch.ones(1, maps.shape[1], *shapes["kernel"], dtype=torch.float64)
    sums = F.conv2d(maps, ones, stride=shapes["stride"], padding=shapes["padding"])
    return int(sums.sum()) * int(shapes["out_channels"])


def dense(operation: OperationSpec) -> int:
    shapes: Any = operation.shapes
    if operation.kind == "linear":
        return int(shapes["in_features"] * shapes["out_features"] * shapes["rows"])
    window = math.prod(shapes["kernel"]) * math.prod(shapes["out_grid"])
    return int(window * shapes["in_channels"] * shapes["out_channels"])


@pytest.mark.parametrize("name", NETWORKS)
def test_counts_are_those_of_spikingjellys_counter(name: str, tmp_path: Path) -> None:
    """Accumulations where inputs are spikes, multiplications where they are graded; see
    docs/stas.md for what their counter counts otherwise.
    """
    network = lively_network(name)
    accumulations, multiplications = ACCounter(), MACCounter()
    pixels = torch.from_numpy(images_of(name).pixels).float()
    with torch.no_grad(), DispatchCounterMode([accumulations, multiplications]):
        network(entering(name)(pixels))
    functional.reset_net(network)
    acs = macs = 0
    linears = 0
    with Trace.open(captured(name, tmp_path / "t.npz", network)) as trace:
        weighted = [o for o in trace.operations if o.kind in ("conv2d", "linear")]
        flat = name in ("cnn", "vgg")  # their fully connected layers are no convolutions
        for operation in weighted:
            tensor = trace.tensors[operation.input]
            total = 0
            for image in trace:
                values = integers(trace, operation.input, image)
                repeats = operation.timesteps // len(values)
                binary = tensor.kind == "spikes"
                total += repeats * uses(operation, values) if binary else 0
                macs += 0 if binary else dense(operation) * operation.timesteps
            connected = flat and (
                operation.kind == "linear" or list(operation.shapes["out_grid"]) == [1, 1]  # type: ignore[arg-type]
            )
            linears += total if connected else 0
            acs += 0 if connected else total
    counted = accumulations.records["Global"]
    assert counted[CONVOLUTION] == acs > 0
    fully_connected = counted[torch.ops.aten.addmm.default] + counted[torch.ops.aten.mm.default]
    if flat:
        assert fully_connected == linears > 0
    multiplied = multiplications.records["Global"]
    products = (CONVOLUTION, torch.ops.aten.addmm.default, torch.ops.aten.mm.default)
    head = 2 * 10 * 32 * (TIMESTEPS if name == "spikformer" else 1)
    expected = macs + (0 if flat else head)
    assert sum(multiplied[product] for product in products) == expected


def test_the_command_captures_a_function_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ten lines of docs/stas.md."""
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(EXAMPLE)
    words = ["--network", "mine:make_network", "--dataset", "cifar10", "--images", "2"]
    assert capture.main([*words, "--sequence", "--out", "mine.npz", "--threads", "1"]) == 0
    with Trace.open(tmp_path / "mine.npz") as trace:
        trace.verify()
        assert trace.manifest["model"]["name"] == "make_network"
        assert [o.kind for o in trace.operations].count("lif") == 2


def test_the_documentation_shows_these_ten_lines() -> None:
    page = (Path(__file__).parents[2] / "docs" / "stas.md").read_text()
    assert EXAMPLE.strip() in page
    assert len(EXAMPLE.strip().splitlines()) <= 12


def test_batches_do_not_matter_and_a_trace_is_the_same_twice(tmp_path: Path) -> None:
    network = lively_network("cnn")
    first = captured("cnn", tmp_path / "a.npz", network, batch=1).read_bytes()
    assert captured("cnn", tmp_path / "b.npz", network, batch=2).read_bytes() == first


def test_parameters_of_neurons_are_told(tmp_path: Path) -> None:
    with Trace.open(captured("cnn", tmp_path / "t.npz")) as trace:
        lifs = [o.parameters for o in trace.operations if o.kind == "lif"]
        pools = [o.parameters["type"] for o in trace.operations if o.kind == "pool"]
        kinds = [o.kind for o in trace.operations]
    assert [p.get("leak", 1) for p in lifs] == [1, 0, 1, 1]
    assert lifs[3]["soft_reset"] == 1
    assert lifs[2]["tau"] == pytest.approx(2.0)
    assert pools == ["max", "sum"]
    assert kinds.count("linear") == 1
    assert kinds.count("conv2d") == 3  # the first linear layer reads whole maps


class Strange(nn.Module):
    """Three things that no trace can list."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = layer.Conv2d(3, 8, 3, groups=1, dilation=2, step_mode="m")
        self.other = layer.Conv2d(3, 8, 3, padding=1, step_mode="m")
        self.lif = neuron.LIFNode(step_mode="m")
        self.izhikevich = neuron.IzhikevichNode(step_mode="m")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spikes = self.lif(self.other(x))
        strange = self.izhikevich(self.other(x))
        self.conv(x)
        return torch.sigmoid(spikes).mean((3, 4)) + strange.mean((3, 4))


def test_one_error_names_all_that_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        capture_network(
            tmp_path / "t.npz",
            Strange(),
            images_of("cnn"),
            timesteps=2,
            prepare=lambda pixels: (pixels / 256.0).unsqueeze(0).repeat(2, 1, 1, 1, 1),
        )
    told = str(caught.value)
    assert told.startswith("operations that a trace cannot list:")
    for part in ("conv: Conv2d in groups or dilated", "izhikevich: IzhikevichNode", "sigmoid"):
        assert part in told, told
    assert told.count("\n") == 3
    assert not list(tmp_path.iterdir())


class Swapped(nn.Module):
    """Tokens and channels that change places are followed, time and batch are not."""

    def __init__(self, *axes: tuple[int, int]) -> None:
        super().__init__()
        self.axes = axes
        self.conv = layer.Conv2d(3, 8, 4, stride=4, step_mode="m")
        self.first = neuron.LIFNode(v_threshold=0.1, step_mode="m")
        self.linear = nn.Linear(8, 16)
        self.second = neuron.LIFNode(v_threshold=0.1, step_mode="m")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.first(self.conv(x)).flatten(3)
        for pair in self.axes:
            tokens = tokens.transpose(*pair)
        out: torch.Tensor = self.second(self.linear(tokens))
        return out


def test_tokens_that_become_rows_are_followed(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network: nn.Module = Swapped((2, 3))
    options: dict[str, Any] = {"timesteps": 2, "prepare": entering("cnn")}
    path = capture_network(tmp_path / "t.npz", network.double(), images_of("cnn"), **options)
    spikes = run("cnn", network)
    with Trace.open(path) as trace:
        assert [o.kind for o in trace.operations] == ["conv2d", "lif", "linear", "lif"]
        for image in trace:
            stored = integers(trace, "second.spikes", image)
            assert np.array_equal(stored, spikes[:, image.index].numpy())
            assert stored.any()
    with pytest.raises(ModelError, match="transpose"):
        capture_network(
            tmp_path / "u.npz", Swapped((0, 1), (2, 3)).double(), images_of("cnn"), **options
        )


def test_single_step_networks_and_networks_of_nothing_are_refused(tmp_path: Path) -> None:
    single = nn.Sequential(layer.Conv2d(3, 4, 3), neuron.LIFNode())
    with pytest.raises(ModelError, match="single-step mode"):
        capture_network(tmp_path / "t.npz", single, images_of("cnn"), timesteps=1)
    dead = nn.Sequential(nn.Conv2d(3, 4, 3))
    with pytest.raises(ModelError, match="no neurons ran"):
        capture_network(tmp_path / "t.npz", dead, images_of("cnn"), timesteps=1)
