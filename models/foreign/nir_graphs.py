"""NIR graphs (Pedersen et al., 2024) as multi-step SpikingJelly networks, built by nirtorch.

    network = network_of_nir("net.nir", dt=1e-4)
    capture(network, images, "net.npz", timesteps=4, prepare=...)

Known are Affine, Linear, Conv2d, AvgPool2d, Flatten, LIF and IF nodes with one set of parameters
for all their neurons, without loops. NIR's equations are continuous; they are discretised with the
step `dt` as SpikingJelly does: v' = v + (dt / tau) (v_leak - v + r x).
"""

from __future__ import annotations

from collections.abc import Callable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import nir
import nirtorch
import numpy as np
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import Tensor, nn

from models.errors import ModelError
from simulator.config.read_back import check_regular

TOLERANCE = 1e-6
MOST_BYTES = 1 << 31
"""A larger file is refused."""


class NIRNetwork(nn.Module):
    """Run a graph's network on sequences (timestep, image, ...)."""

    def __init__(self, graph: nn.Module) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, sequence: Tensor) -> Tensor:
        """Return the output's sequence; nirtorch returns it with a state that is not used."""
        output: Tensor = self.graph(sequence)[0]
        return output


def network_of_nir(source: nir.NIRGraph | str | Path, dt: float = 1e-4) -> NIRNetwork:
    """Return the network of a NIR graph or file, its neurons stepped by `dt` seconds.

    Raises one ModelError that names every node that is not known or has no discrete form.
    """
    graph = source if isinstance(source, nir.NIRGraph) else _read(Path(source))
    problems: list[str] = []
    for name, node in graph.nodes.items():
        if type(node) not in (*MAKERS, nir.Input, nir.Output):
            problems.append(f"{name}: {type(node).__name__}")
            continue
        try:
            if type(node) in MAKERS:
                MAKERS[type(node)](node, dt)
        except ModelError as error:
            problems.append(f"{name}: {type(node).__name__}: {error}")
    if _loops(graph):
        problems.append("edges that form a loop")
    if problems:
        raise ModelError("NIR nodes that a trace cannot list:\n  " + "\n  ".join(problems))
    makers = {kind: _bound(maker, dt) for kind, maker in MAKERS.items()}
    network = NIRNetwork(nirtorch.nir_to_torch(graph, makers))
    functional.set_step_mode(network, "m")
    return network


def _read(path: Path) -> nir.NIRGraph:
    check_regular(path, MOST_BYTES, ModelError)
    try:
        return nir.read(path)
    except (
        OSError,
        LookupError,
        ValueError,
        TypeError,
        AssertionError,
        AttributeError,
        RuntimeError,
    ) as error:
        raise ModelError(f"{path} is not a NIR file: {error}") from error


def _loops(graph: nir.NIRGraph) -> bool:
    sources: dict[str, set[str]] = {name: set() for name in graph.nodes}
    for source, target in graph.edges:
        sources.setdefault(target, set()).add(source)
    try:
        TopologicalSorter(sources).prepare()
    except CycleError:
        return True
    return False


def _bound(maker: Callable[[Any, float], nn.Module], dt: float) -> Callable[[Any], nn.Module]:
    return lambda node: maker(node, dt)


def _linear(node: Any, dt: float) -> nn.Module:
    weight = torch.from_numpy(np.asarray(node.weight, np.float32))
    bias = getattr(node, "bias", None)
    made = layer.Linear(weight.shape[-1], weight.shape[-2], bias=bias is not None)
    _fill(made, weight, bias)
    return made


def _convolution(node: Any, dt: float) -> nn.Module:
    weight = torch.from_numpy(np.asarray(node.weight, np.float32))
    groups = int(node.groups)
    made = layer.Conv2d(
        weight.shape[1] * groups,
        weight.shape[0],
        tuple(weight.shape[2:]),
        stride=_pair(node.stride),
        padding=node.padding if isinstance(node.padding, str) else _pair(node.padding),
        dilation=_pair(node.dilation),
        groups=groups,
    )
    _fill(made, weight, node.bias)
    return made


def _fill(made: Any, weight: Tensor, bias: Any) -> None:
    with torch.no_grad():
        made.weight.copy_(weight)
        if bias is not None:
            made.bias.copy_(torch.from_numpy(np.asarray(bias, np.float32)))


def _average_pool(node: Any, dt: float) -> nn.Module:
    if _pair(node.padding) != (0, 0):
        raise ModelError("padding")
    return layer.AvgPool2d(_pair(node.kernel_size), _pair(node.stride))


def _flatten(node: Any, dt: float) -> nn.Module:
    """NIR counts axes without those of time and batch, which layer.Flatten knows half of."""
    start, end = int(node.start_dim), int(node.end_dim)
    return layer.Flatten(start + 1 if start >= 0 else start, end + 1 if end >= 0 else end)


def _lif(node: Any, dt: float) -> nn.Module:
    tau, resistance = _one(node.tau, "tau") / dt, _one(node.r, "r")
    leak, reset = _one(node.v_leak, "v_leak"), _one(getattr(node, "v_reset", 0.0), "v_reset")
    if not np.isclose(leak, reset, rtol=TOLERANCE):
        raise ModelError("v_leak differs from v_reset")
    if tau <= 1.0:
        raise ModelError(f"tau is {tau:.4g} dt; it must be over 1")
    decays = bool(np.isclose(resistance, 1.0, rtol=TOLERANCE))
    if not decays and not np.isclose(resistance, tau, rtol=TOLERANCE):
        raise ModelError("r is neither 1 nor tau / dt")
    threshold = _one(node.v_threshold, "v_threshold")
    return neuron.LIFNode(tau=tau, decay_input=decays, v_threshold=threshold, v_reset=reset)


def _integrate_and_fire(node: Any, dt: float) -> nn.Module:
    if not np.isclose(_one(node.r, "r") * dt, 1.0, rtol=TOLERANCE):
        raise ModelError("r is not 1 / dt")
    reset = _one(getattr(node, "v_reset", 0.0), "v_reset")
    return neuron.IFNode(v_threshold=_one(node.v_threshold, "v_threshold"), v_reset=reset)


def _one(value: Any, name: str) -> float:
    """The one value that all neurons share."""
    values = np.unique(np.asarray(value, np.float64))
    if values.size != 1:
        raise ModelError(f"{name} differs between neurons")
    return float(values[0])


def _pair(value: Any) -> tuple[int, int]:
    sizes = np.atleast_1d(np.asarray(value)).astype(int).tolist()
    return (sizes[0], sizes[-1])


MAKERS: dict[type, Callable[[Any, float], nn.Module]] = {
    nir.Affine: _linear,
    nir.Linear: _linear,
    nir.Conv2d: _convolution,
    nir.AvgPool2d: _average_pool,
    nir.Flatten: _flatten,
    nir.LIF: _lif,
    nir.IF: _integrate_and_fire,
}
