"""Tiles and masks for the tests of the RTL: from the shipped traces, and adversarial ones."""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from experiments.calibration.tiles import LayerTiles, Words
from experiments.counted import counted_tiles
from simulator.architecture import load_architecture
from simulator.components.base import build
from simulator.components.pe_arrays.spike_skip import SpikeSkip
from simulator.components.precision import Precision
from simulator.errors import DeviceError
from simulator.hil.verilator import find_verilator
from simulator.lowering import make_plan
from simulator.operations import read_network
from simulator.trace import Trace

ROOT = Path(__file__).parents[2]
TRACES = ("cifar10", "cifar10_baseline", "cifar100", "imagenet", "mnist", "mnist_baseline")


def missing_tool() -> str:
    """What keeps the RTL from being built; empty if nothing does."""
    try:
        find_verilator()
    except DeviceError as error:
        return str(error)
    compiler = os.environ.get("CXX", "g++")
    return "" if shutil.which(compiler) else f"no C++ compiler: {compiler} not found"


needs_verilator = pytest.mark.skipif(bool(missing_tool()), reason=missing_tool() or "it is there")


def spike_skip(**fields: int) -> SpikeSkip:
    bits = fields.pop("weight_bits", 8)
    part = build("pe_arrays", {"kind": "spike_skip", "rows": 8, "columns": 32} | fields)
    assert isinstance(part, SpikeSkip)
    return part.put_in(Precision(weights_bits=bits))


def model_cycles(array: SpikeSkip, words: Words) -> int:
    """What the Numba kernel says of a tile."""
    ones = words.words.sum(axis=1, keepdims=True)
    inputs = np.array([words.words.shape[1]], np.int64)
    return int(array.cost(counted_tiles(ones, inputs)).cycles[0])


def product(words: Words, weights: np.ndarray, bits: int) -> np.ndarray:
    """The integer matrix product of a tile, its planes shifted and summed, wrapped to its width."""
    sums = np.zeros((int(words.item.max(initial=-1)) + 1, weights.shape[1]), np.int64)
    partial = (words.words.astype(np.int64) @ weights) << words.plane[:, None]
    np.add.at(sums, words.item, partial)
    half = 1 << (bits - 1)
    return (sums + half) % (2 * half) - half


@cache
def trace_tiles(name: str, count: int) -> tuple[Words, ...]:
    """So many tiles of a shipped trace, spread over all its layers on the flagship."""
    random = np.random.default_rng(sum(name.encode()))
    architecture = load_architecture("sparse_pe")
    found: list[Words] = []
    with Trace.open(ROOT / "traces" / f"{name}.npz") as trace:
        plan = make_plan(read_network(trace), architecture)
        image = trace.read(0)
        layers = [
            LayerTiles(plan, each, image)
            for each in plan.layers
            if each.layer.kind in ("conv2d", "linear", "attention_scores")
        ]
        layers = [each for each in layers if 0 not in each.shape]
        for turn in range(count):
            layer = layers[turn % len(layers)]
            group, block, chunk = (int(random.integers(size)) for size in layer.shape)
            found.append(layer.words(group, block, chunk))
    return tuple(found)


def adversarial(word_inputs: int) -> list[Words]:
    """Tiles that break what is nearly right: all zero, all one, one hot row, one word, bursts."""
    random = np.random.default_rng(5)
    full = np.ones((40, word_inputs), bool)
    hot, slow = np.zeros_like(full), np.eye(40, word_inputs, dtype=bool)
    hot[11] = True
    slow[0] = True
    # All FIFOs fill behind full words, then empty at a word a cycle in every row at once.
    burst = np.eye(120, word_inputs, dtype=bool)
    burst[np.arange(120), random.integers(0, word_inputs, 120)] = True
    burst[:8] = True
    shapes = [
        np.zeros_like(full),
        full,
        hot,
        slow,
        burst,
        full[:1],
        np.zeros_like(full[:1]),
        random.random((200, word_inputs)) < 0.01,
        np.tile([[True], [False]], (20, word_inputs)),
    ]
    tiles = [Words(bits, np.arange(len(bits)), np.zeros(len(bits), np.int64)) for bits in shapes]
    # Planes of one item one after another: its sums are read while they are being written.
    item, plane = np.divmod(np.arange(96), 3)
    tiles.append(Words(random.random((96, word_inputs)) < 0.1, item, plane))
    return tiles
