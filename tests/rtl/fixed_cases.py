"""The shipped MNIST network in fixed point, and held-out digits, for the tests of the RTL."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from simulator.architecture import Architecture, load_architecture
from simulator.hil.network.engine import network_design
from simulator.hil.network.fixed import FixedNetwork
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
