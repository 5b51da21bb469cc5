"""Convolutions in groups, transposed and of three axes cost what PyTorch's own sums say.

The twin of a layer is PyTorch's convolution of its stored bits with weights of ones: what comes out
is, for each output, the additions that it takes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import stasim
from models.capturing import capture
from simulator.architecture import load_architecture
from simulator.engine.replay import replay
from simulator.lowering import Lowering, make_plan
from simulator.operations import read_network
from simulator.simulate import simpy_engine
from simulator.trace import OperationSpec, Trace, unpack_bits
from tests.machines import GENERAL
from tests.models.any_networks import case, lif
from tests.models.stored import additions

ROOT = Path(__file__).parents[2]
VARIANTS = [
    *((machine, []) for machine in GENERAL),
    ("sparse_pe", ["dataflow.kind=tick_batched"]),
    ("sparse_pe", ["cores.pe_array.word_inputs=8", "cores.pe_array.columns=3"]),
    ("sparse_pe", ["cores.buffers.weights.size_kib=4", "cores.buffers.spikes.size_kib=1"]),
    ("sparse_pe_mesh4", ["split=tokens"]),
]


class Volumes(nn.Module):
    """Three axes, transposed ones among them, in groups, dilated and strided."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([
            nn.Conv3d(1, 6, (2, 3, 3), stride=(1, 2, 1), padding=(1, 0, 1)),
            nn.Conv3d(6, 9, 3, padding=2, dilation=2, groups=3),
            nn.ConvTranspose3d(9, 6, 2, stride=(2, 1, 2), groups=3),
            nn.ConvTranspose3d(6, 2, 3, stride=2, padding=1, output_padding=(1, 0, 1), dilation=2),
        ])  # fmt: skip
        self.neurons = nn.ModuleList([lif(step_mode="m") for _ in self.layers])

    def forward(self, x: Tensor) -> Tensor:
        steps = x.shape[0]
        x = x.flatten(0, 1).unsqueeze(1)
        for layer, neuron in zip(self.layers, self.neurons, strict=True):
            x = neuron(layer(x).unflatten(0, (steps, -1))).flatten(0, 1)
        return x


@pytest.fixture(scope="module", params=["windows", "ranks", "volumes"])
def path(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("traces")
    if request.param == "volumes":
        images = torch.randint(0, 256, (1, 4, 7, 6), dtype=torch.uint8)
        return capture(Volumes(), images, folder / "t.npz", sequence=True, timesteps=3)
    own = case(request.param)
    return capture(own.network, own.images, folder / "t.npz", **own.options)


def parameters(operation: OperationSpec) -> int:
    shapes: Any = operation.shapes
    taps = int(np.prod(shapes["kernel"]))
    return taps * shapes["in_channels"] * shapes["out_channels"] // shapes.get("groups", 1)


@pytest.mark.parametrize(
    ("machine", "overrides"), VARIANTS, ids=lambda v: v if isinstance(v, str) else ",".join(v)
)
def test_each_layer_adds_what_its_twin_adds(machine: str, overrides: list[str], path: Path) -> None:
    architecture = load_architecture(ROOT / "arch_configs" / f"{machine}.yaml", overrides)
    architecture = architecture.model_copy(
        update={"dataflow": architecture.dataflow.model_copy(update={"reuse_static_input": False})}
    )
    with Trace.open(path) as trace:
        image = trace.read(0)
        plan = make_plan(read_network(trace), architecture)
        lowered = Lowering(plan).lower([image]).image(0)
        operations = {each.name: each for each in trace.operations}
        checked = 0
        for layer in plan.network.layers:
            own = operations[layer.name]
            if own.kind not in ("conv2d", "convolution"):
                continue
            spec = trace.tensors[own.input]
            bits = torch.from_numpy(unpack_bits(image.tensors[own.input], spec.channels))
            added = additions(own, bits.flatten(0, 1)) * (own.timesteps // spec.timesteps)
            checked += 1
            assert lowered.useful_accumulations[layer.index] == added, layer.name
            read = sum(
                count
                for (index, part, action), count in lowered.counts.items()
                if index == layer.index and part == "memories.dram" and action == "read_bit"
            )
            pruned = architecture.core.pe_array.stored_weight_bits(64, 64, 8) / (64 * 64 * 8)
            weights = parameters(operations[layer.name]) * 8
            assert read >= min(pruned, 1) * weights * 0.9, layer.name
    assert checked >= 2
    assert (replay(lowered.program).finish == simpy_engine(lowered.program).finish).all()


def test_a_chosen_mapping_adds_the_same_in_less_time(path: Path) -> None:
    fixed, chosen = (
        stasim.simulate(path, "sparse_pe", 1, dataflow__mapping=each) for each in ("fixed", "auto")
    )
    added = [each.tables["layers"].useful_accumulations.tolist() for each in (fixed, chosen)]
    assert added[0] == added[1]
    latency = [each.tables["images"].latency_cycles[0] for each in (fixed, chosen)]
    assert latency[1] <= latency[0]
