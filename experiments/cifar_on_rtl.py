"""python -m experiments.cifar_on_rtl: an image of CIFAR-10 on RTL of Spikformer-4-384's shapes.

The shapes are those of traces/cifar10.npz; its weights are in no file, so they are drawn, 8-bit,
with a seed. Every value is compared with the fixed-point twin's, every layer's cycles with the
simulator's for the same spikes.
"""

from __future__ import annotations

import argparse
import re
import resource
import sys
from collections.abc import Sequence

import numpy as np

from experiments.generated import ROOT
from models.data.images import sample_images
from simulator.architecture import load_architecture
from simulator.command import command
from simulator.hil.network.compare import LayerCycles, image_cycles, wrong_values
from simulator.hil.network.engine import LARGER, network_design, run_images
from simulator.hil.network.fixed import FixedLayer, FixedNetwork, FixedStage
from simulator.hil.network.program import compile_network
from simulator.hil.network.twin import run_twin
from simulator.hil.verilator import build, find_verilator
from simulator.lowering import make_plan
from simulator.operations import read_network
from simulator.trace import Trace

WHAT = "Run an image of CIFAR-10 on RTL of Spikformer-4-384's shapes; some two minutes."
TRACE = ROOT / "traces" / "cifar10.npz"
ARCH = ROOT / "arch_configs" / "sparse_pe.yaml"
DECISION = "cores.0.vector_unit.score_latency_cycles=2"
"""As the RTL takes it; docs/calibration.md measures it."""
CHANNELS, POOLED = (3, 48, 96, 192, 384, 384), (2, 3)
DIM, HIDDEN, BLOCKS, HEADS, TIMESTEPS, CLASSES, SEED = 384, 1536, 4, 12, 4, 10, 7
LARGEST_WEIGHT, SUMS = 40, 32767


def drawn_network() -> FixedNetwork:
    """Weights that let no sum wrap, with biases and thresholds of the sums' size."""
    random = np.random.default_rng(SEED)

    def layer(inputs: int, outputs: int, largest: int) -> FixedLayer:
        most = min(SUMS // (inputs * largest), LARGEST_WEIGHT)
        weights = random.integers(-most, most + 1, (inputs, outputs))
        scale = max(4, int(np.abs(weights).mean() * largest * np.sqrt(inputs)))
        bias = random.integers(-scale, scale, outputs)
        return FixedLayer(weights, bias, random.integers(1, 2 * scale, outputs))

    largest = (255, TIMESTEPS, 1, 1, 1)
    stages = tuple(
        FixedStage(layer(9 * CHANNELS[n], CHANNELS[n + 1], largest[n]), n in POOLED, n == 0)
        for n in range(len(largest))
    )
    blocks = tuple(
        {part: layer(DIM, DIM, 2 + 2 * block) for part in "qkv"}
        | {"proj": layer(DIM, DIM, 1), "fc1": layer(DIM, HIDDEN, 3 + 2 * block)}
        | {"fc2": layer(HIDDEN, DIM, 1)}
        for block in range(BLOCKS)
    )
    scores = np.sort(random.integers(2000, 12000, 16))
    head, shift = random.integers(-127, 128, (CLASSES, DIM)), np.zeros(CLASSES, np.int64)
    bias = random.integers(-(1 << 40), 1 << 40, CLASSES)
    name = "stas_spikformer_4_384, drawn weights"
    return FixedNetwork(
        name, 32, TIMESTEPS, HEADS, stages, blocks, scores, 65000, head, shift, bias, 1.0
    )


def over_blocks(layers: dict[str, LayerCycles]) -> dict[str, LayerCycles]:
    """Sum the cycles of layers that are alike, block by block."""
    found: dict[str, LayerCycles] = {}
    for name, layer in layers.items():
        alike = re.sub(r"^blocks\.\d+", "all blocks", name)
        before = found.get(alike, LayerCycles(0, 0))
        found[alike] = LayerCycles(before.rtl + layer.rtl, before.model + layer.model)
    return found


@command()
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the image and print the table."""
    argparse.ArgumentParser(prog="python -m experiments.cifar_on_rtl", description=WHAT).parse_args(
        arguments
    )
    network, architecture = drawn_network(), load_architecture(ARCH, [DECISION])
    design = network_design(architecture, LARGER)
    compiled = compile_network(network, design.parameters)
    build(design)
    pixels = sample_images("cifar10", 1).pixels[0].transpose(1, 2, 0)
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    run = next(run_images(architecture, compiled, [pixels], LARGER))
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - used
    twin = run_twin(network, pixels, design.parameters["MEMBRANE_BITS"])
    wrong = wrong_values(compiled, run, twin)
    with Trace.open(TRACE) as trace:
        plan = make_plan(read_network(trace), architecture)
    cycles = image_cycles(plan, compiled, run, twin)
    values = sum(tensor.size for tensor in twin.tensors.values())
    live = {block: masks.sum(axis=1).tolist() for block, masks in twin.active.items()}
    print(f"{find_verilator().version}; {used:.0f} s of CPU for the image")
    print(f"{values:,} values, {sum(wrong.values())} of them differ {wrong or ''}")
    print(f"live tokens by block and timestep: {live}\n")
    print("| layer | RTL cycles | model cycles | deviation |\n|---|---|---|---|")
    for name, layer in over_blocks(cycles.layers).items():
        print(f"| {name} | {layer.rtl:,} | {layer.model:,} | {layer.deviation:+.2%} |")
    print(f"| whole image | {cycles.rtl:,} | {cycles.model:,} | {cycles.deviation:+.2%} |")


if __name__ == "__main__":
    sys.exit(main())
