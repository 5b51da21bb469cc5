"""Traces of SpikingJelly networks: the spikes of ours where we have the same network, and their
operation counter's counts.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based.op_counter import ACCounter, DispatchCounterMode, MACCounter

from models import capture
from models.networks.checkpoints import adopt
from models.networks.stas import STAS
from models.operations import describe
from simulator.trace import Trace
from tests.models.foreign_networks import (
    NETWORKS,
    captured,
    entering,
    images_of,
    lively_network,
    our_config,
)
from tests.models.stored import additions, integers, macs
from tests.models.tiny_networks import Keeper

EXAMPLE = """
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn


def make_network():
    lif = neuron.LIFNode
    features = [layer.Conv2d(3, 16, 3, padding=1), lif(v_threshold=0.1), layer.MaxPool2d(2, 2)]
    classifier = [layer.Flatten(), layer.Linear(16 * 16 * 16, 10), lif(v_threshold=0.1)]
    net = nn.Sequential(*features, *classifier)
    functional.set_step_mode(net, "m")
    return net
"""
CONVOLUTION = torch.ops.aten.convolution.default


@pytest.mark.parametrize("name", ["sdt", "qkformer", "spikformer"])
def test_the_trace_is_that_of_our_own_network(name: str, tmp_path: Path) -> None:
    """Every spike tensor that our network's weighted sums read, bit for bit."""
    network, config = lively_network(name), our_config(name)
    ours = STAS(config).double().eval()
    ours.load_state_dict(adopt(network.state_dict(), config, Path("theirs")))
    keeper = Keeper()
    with torch.no_grad():
        ours(torch.from_numpy(images_of(name).pixels).double(), keeper)
    kept = keeper.tensors()
    weighted = [o for o in describe(config).operations if o["kind"] in ("conv2d", "linear")]
    read = {o["input"] for o in weighted} & kept.keys()
    with Trace.open(captured(name, tmp_path / "t.npz", network)) as trace:
        trace.verify()
        for image in trace:
            stored = [integers(trace, name, image) for name in trace.tensors]
            for name in read:
                mine = kept[name][:, image.index].numpy()
                assert mine.any()
                assert any(np.array_equal(mine, theirs) for theirs in stored), name
    assert len(read) > 8


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
    acs = multiplied = linears = 0
    with Trace.open(captured(name, tmp_path / "t.npz", network)) as trace:
        weighted = [o for o in trace.operations if o.kind in ("conv2d", "linear")]
        flat = name in ("cnn", "vgg")  # their fully connected layers are no convolutions
        for operation in weighted:
            tensor = trace.tensors[operation.input]
            total = 0
            for image in trace:
                read = torch.from_numpy(integers(trace, operation.input, image) != 0)
                repeats = operation.timesteps // len(read)
                binary = tensor.kind == "spikes"
                total += repeats * additions(operation, read) if binary else 0
                multiplied += 0 if binary else macs(operation) * operation.timesteps
            connected = flat and operation.kind == "linear"
            linears += total if connected else 0
            acs += 0 if connected else total
    counted = accumulations.records["Global"]
    assert counted[CONVOLUTION] == acs > 0
    fully_connected = counted[torch.ops.aten.addmm.default] + counted[torch.ops.aten.mm.default]
    if flat:
        assert fully_connected == linears > 0
    found = multiplications.records["Global"]
    products = (CONVOLUTION, torch.ops.aten.addmm.default, torch.ops.aten.mm.default)
    assert sum(found[product] for product in products) == multiplied


CODER = """
import torch
from spikingjelly.activation_based import encoding, layer, neuron
from torch import nn


def make_network():
    torch.manual_seed(0)
    linear = layer.Linear(256, 8)
    nn.init.uniform_(linear.weight, 0.0, 0.1)
    return nn.Sequential(layer.Flatten(), encoding.PoissonEncoder(), linear, neuron.LIFNode())
"""


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
        assert [o.kind for o in trace.operations].count("neuron") == 2
        assert not trace.manifest["capture"]["never_fires"]


def test_the_seed_draws_a_random_coders_spikes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("coder.py").write_text(CODER)
    words = ["--network", "coder:make_network", "--dataset", "digits", "--images", "1"]
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        options = ["--seed", str(seed), "--out", f"{name}.npz", "--threads", "1"]
        assert capture.main([*words, *options]) == 0
    drawn = []
    for name in "abc":
        with Trace.open(tmp_path / f"{name}.npz") as trace:
            drawn.append({key: value.tobytes() for key, value in trace.read(0).tensors.items()})
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_documentation_shows_these_ten_lines() -> None:
    page = (Path(__file__).parents[2] / "docs" / "stas.md").read_text()
    assert EXAMPLE.strip() in page
    assert len(EXAMPLE.strip().splitlines()) <= 12


def test_a_trace_is_the_same_twice(tmp_path: Path) -> None:
    network = lively_network("cnn")
    first = captured("cnn", tmp_path / "a.npz", network).read_bytes()
    assert captured("cnn", tmp_path / "b.npz", network).read_bytes() == first


def test_parameters_of_neurons_are_found(tmp_path: Path) -> None:
    with Trace.open(captured("cnn", tmp_path / "t.npz")) as trace:
        lifs = [o.parameters for o in trace.operations if o.kind == "neuron"]
        pools = [o.parameters["type"] for o in trace.operations if o.kind == "pool"]
    assert [p.get("leak", 1) for p in lifs] == [1, 0, 1, 1]
    assert lifs[3]["soft_reset"] == 1
    assert lifs[2]["tau"] == pytest.approx(2.0)
    assert pools == ["max", "sum"]
