"""The shipped MNIST network in fixed point, and held-out digits, for the tests of the RTL."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from simulator.architecture import Architecture, load_architecture
from simulator.hil.network.engine import network_design
from simulator.hil.network.fixed import FixedLayer, FixedNetwork, FixedStage
from simulator.hil.network.program import Compiled, compile_network
from tests.rtl.rtl_cases import ROOT

WEIGHTS = ROOT / "models" / "weights" / "stas_spikformer_2_128_mnist.safetensors"
DECISION = "cores.0.vector_unit.score_latency_cycles=2"
"""What the RTL needs behind a block's last score; the flagship's own figure is a choice."""


@cache
def network() -> FixedNetwork:
    """The network. Skips where torch is absent."""
    pytest.importorskip("torch")
    from models.fixed_point import quantised

    return quantised(WEIGHTS)


@cache
def digits() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Held-out digits, uint8 (image, y, x), and their labels."""
    from models.data.images import mnist_digits

    held_out = mnist_digits()[1]
    return held_out.pixels[:, 0], held_out.labels


@cache
def machine(*overrides: str) -> Architecture:
    """The flagship with the RTL's decision latency."""
    path = ROOT / "arch_configs" / "sparse_pe.yaml"
    return load_architecture(path, [DECISION, *overrides])


@cache
def compiled() -> Compiled:
    """The network's program."""
    return compile_network(network(), network_design(machine()).parameters)


def other_network(scores: bool) -> FixedNetwork:
    """A network of other shape: three blocks, colour images, three timesteps.

    Without `scores` nothing halts.
    """
    return drawn("other", (3, 8, 24, 40, 64, 64), 192, heads=2, blocks=3, classes=5, scores=scores)


def drawn(
    name: str,
    channels: tuple[int, ...],
    hidden: int,
    *,
    heads: int,
    blocks: int,
    classes: int,
    scores: bool = True,
) -> FixedNetwork:
    """A network of random weights for images of 16 x 16 pixels, three timesteps."""
    random = np.random.default_rng(7)

    def layer(inputs: int, outputs: int, largest: int) -> FixedLayer:
        most = 32767 // (inputs * largest)
        weights = random.integers(-min(most, 40), min(most, 40) + 1, (inputs, outputs))
        scale = max(4, int(np.abs(weights).mean() * largest * np.sqrt(inputs)))
        bias = random.integers(-scale, scale, outputs)
        return FixedLayer(weights, bias, random.integers(1, 2 * scale, outputs))

    stages = tuple(
        FixedStage(
            layer(9 * channels[n], channels[n + 1], (255, 3, 1, 1, 1)[n]), n in (1, 3), n == 0
        )
        for n in range(5)
    )
    dim = channels[-1]
    parts = tuple(
        {part: layer(dim, dim, 2 + 2 * block) for part in "qkv"}
        | {"proj": layer(dim, dim, 1), "fc1": layer(dim, hidden, 3 + 2 * block)}
        | {"fc2": layer(hidden, dim, 1)}
        for block in range(blocks)
    )
    table = np.sort(random.integers(2000, 30000, 16)) if scores else None
    head = random.integers(-127, 128, (classes, dim))
    shift, bias = random.integers(0, 3, classes), random.integers(-(1 << 40), 1 << 40, classes)
    return FixedNetwork(name, 16, 3, heads, stages, parts, table, 65000, head, shift, bias, 1.0)
