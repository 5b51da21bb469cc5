"""NIR graphs: the network they describe, its trace, and one error for nodes that are unknown."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch

from models.capturing import capture
from models.errors import ModelError
from models.foreign.nir_graphs import network_of_nir
from simulator.trace import Trace
from tests.messages import said
from tests.models.foreign_networks import images_of
from tests.models.stored import integers

DT = 1e-4


def neurons(size: tuple[int, ...], **changes: Any) -> nir.LIF:
    ones = np.ones(size, np.float32)
    fields = {"tau": 2 * DT * ones, "r": ones, "v_leak": 0 * ones, "v_reset": 0 * ones}
    fields["v_threshold"] = 0.6 * ones
    return nir.LIF(**{**fields, **changes})


def graph(**changes: Any) -> nir.NIRGraph:
    """Convolution, LIF, average pool, flatten, affine, IF, linear, LIF on 3 x 32 x 32 images."""
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> np.ndarray:
        return rng.normal(0.0, 2.0 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)

    ones = np.ones(20, np.float32)
    nodes: dict[str, Any] = {
        "input": nir.Input({"input": np.array([3, 32, 32])}),
        "conv": nir.Conv2d((32, 32), weights(8, 3, 3, 3), 2, 1, 1, 1, np.full(8, 0.5, np.float32)),
        "lif": neurons((8, 16, 16)),
        "pool": nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "flatten": nir.Flatten({"input": np.array([8, 8, 8])}, 0, -1),
        "fc": nir.Affine(weights(20, 512), np.full(20, 0.3, np.float32)),
        "if": nir.IF(ones / DT, ones, 0 * ones),
        "out": nir.Linear(weights(10, 20)),
        "last": neurons((10,), v_threshold=np.full(10, 0.1, np.float32)),
        "output": nir.Output({"output": np.array([10])}),
    }
    nodes |= changes
    names = list(nodes)
    return nir.NIRGraph(nodes, list(itertools.pairwise(names)))


def twice(pixels: torch.Tensor) -> torch.Tensor:
    return pixels.unsqueeze(0).repeat(2, 1, 1, 1, 1)


def test_the_trace_is_the_graph_run_by_hand(tmp_path: Path) -> None:
    described = graph()
    path = tmp_path / "net.nir"
    nir.write(path, described)
    network = network_of_nir(path, DT)
    images = images_of("cnn")
    path = tmp_path / "t.npz"
    out = capture(network, images, path, timesteps=2, prepare=twice, divisor=256.0)
    with Trace.open(out) as trace:
        trace.verify()
        kinds = [o.kind for o in trace.operations]
        weighted = [kind for kind in kinds if kind in ("conv2d", "linear", "neuron", "pool")]
        assert weighted == ["conv2d", "neuron", "pool", "linear", "neuron", "linear", "neuron"]
        x = torch.from_numpy(images.pixels[:1]).float() / 256.0
        conv = described.nodes["conv"]
        weight, bias = torch.from_numpy(conv.weight), torch.from_numpy(conv.bias)
        current = torch.nn.functional.conv2d(x, weight, bias, 2, 1)
        spec = trace.tensors[next(o.input for o in trace.operations if o.kind == "linear")]
        sums = integers(trace, spec.name, trace.read(0))
        membrane = torch.zeros_like(current)
        for step in range(2):
            membrane = membrane + (current - membrane) / 2.0
            fired = membrane >= 0.6
            membrane = membrane * ~fired
            means = torch.nn.functional.avg_pool2d(fired.float(), 2).flatten()
            # Another order of additions may turn a few spikes.
            assert (means.numpy() == sums[step].ravel() * spec.scale).mean() > 0.99
        assert not trace.manifest["capture"]["never_fires"]
        assert trace.operations[1].parameters["tau"] == 2.0


def test_one_error_names_every_unknown_node() -> None:
    ones = np.ones(10, np.float32)
    cuba = nir.CubaLIF(ones * DT * 2, ones * DT * 2, ones, 0 * ones, ones, 0 * ones)
    uneven = neurons((8, 16, 16), tau=np.linspace(2, 3, 2048).reshape(8, 16, 16) * DT)
    slow = nir.IF(np.ones(20, np.float32), np.ones(20, np.float32), np.zeros(20, np.float32))
    with pytest.raises(ModelError) as caught:
        network_of_nir(graph(last=cuba, lif=uneven, **{"if": slow}), DT)
    told = str(caught.value).splitlines()
    assert told[0] == "NIR nodes that a trace cannot list:"
    assert sorted(line.strip() for line in told[1:]) == [
        "if: IF: r is not 1 / dt",
        "last: CubaLIF",
        "lif: LIF: tau differs between neurons",
    ]


def test_loops_and_files_that_are_none_are_refused(tmp_path: Path) -> None:
    looped = graph()
    looped.edges.append(("last", "out"))
    with pytest.raises(ModelError, match=said("a graph that is a loop")):
        network_of_nir(looped, DT)
    with pytest.raises(ModelError, match=said("a file that is not there")):
        network_of_nir(tmp_path / "no.nir")
    (tmp_path / "x.nir").write_bytes(b"nothing")
    with pytest.raises(ModelError, match=said("a file that is no graph")):
        network_of_nir(tmp_path / "x.nir")
