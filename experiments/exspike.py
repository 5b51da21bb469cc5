"""python -m experiments.exspike: traces of ExSpike's networks, at its published densities.

What is published, and what we chose, is in experiments/exspike_networks.yaml. Every layer is a
convolution; the classifier sees the map as one row.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from experiments.drawn_convolutions import (
    IMAGE,
    IMAGE_PLANES,
    Bits,
    ConvLayer,
    ConvolutionListing,
    drawn_pairs,
    list_network,
    write_network,
)
from models.operations.topology import Tensor
from simulator.command import check_counts, check_target, command

NETWORKS = ("vgg11", "resnet18", "spikingformer_4_256", "spikingformer_2_512")
SIDE, COLOURS = 32, 3
NOTES = "no weights: spikes drawn at densities of ExSpike (experiments/exspike_networks.yaml)"


@cache
def exspike_networks() -> dict[str, Any]:
    """The networks of ExSpike with what is published of their spikes; the tree of the file."""
    text = Path(__file__).with_name("exspike_networks.yaml").read_text("utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


class Rate(NamedTuple):
    """Ones in the input of a layer, and events before compression by pairs over those after it."""

    density: float
    reduction: float

    @property
    def copied(self) -> float:
        """The share of a pixel's bits that its partner copies."""
        common = 2 - 2 / self.reduction  # of an active channel, that its partner is active too
        return max(0.0, (common - self.density) / (1 - self.density))


class ExSpikeNetwork(NamedTuple):
    """Layers with the rates of their inputs."""

    name: str
    layers: tuple[ConvLayer, ...]
    rates: dict[str, Rate]
    timesteps: int

    def listing(self) -> ConvolutionListing:
        """List its tensors and operations."""
        return list_network(self.layers, SIDE, COLOURS, self.timesteps, planes=IMAGE_PLANES)


def network(name: str) -> ExSpikeNetwork:
    """Return one of NETWORKS."""
    data = exspike_networks()
    build = _Builder(data["classes"][name])
    if name == "vgg11":
        build.chain(data[name])
    elif name == "resnet18":
        _resnet(build, data[name]["events_a_pair"], data[name]["reduction"])
    else:
        width = int(name.rpartition("_")[2])
        inner = [{**layer, **data["stem"][name]} for layer in data["vgg11"][1:4]]
        build.chain([data["vgg11"][0], *inner[:-1], {**inner[-1], "outputs": width, "pool": 2}])
        for number, block in enumerate(data[name]):
            _block(build, number, width, block)
    if build.layers[-1].kernel:
        build.add("classifier", build.last, build.classes, Rate(0.05, 1.0), kernel=0)
    return ExSpikeNetwork(name, tuple(build.layers), build.rates, data["timesteps"][name])


class _Builder:
    def __init__(self, classes: int) -> None:
        self.layers: list[ConvLayer] = []
        self.rates: dict[str, Rate] = {}
        self.classes = classes
        self.last = IMAGE

    def add(self, name: str, reads: str, outputs: int, rate: Rate, **more: Any) -> str:
        """Add a layer; the first that reads a tensor says its rate."""
        self.layers.append(ConvLayer(name, reads, outputs, **more))
        self.rates.setdefault(reads, rate)
        self.last = name
        return name

    def chain(self, items: Sequence[dict[str, Any]]) -> None:
        """Add layers that each read the one before."""
        for item in items:
            rate = Rate(item["density"], item["reduction"])
            kernel = 3 if "outputs" in item else 0
            outputs = item.get("outputs", self.classes)
            self.add(
                item["name"], self.last, outputs, rate, kernel=kernel, pool=item.get("pool", 1)
            )


def _block(build: _Builder, number: int, width: int, block: dict[str, float]) -> None:
    """Add K, V, Q with attention, projection, and two layers of the same width, with residuals."""

    def rate(name: str) -> Rate:
        if "all" in block:
            return Rate(block["all"], block["reduction"])
        return Rate(block[name], block[f"{name}_reduction"])

    stream, name = build.last, f"block{number}"
    k = build.add(f"{name}.k", stream, width, rate("qkv"))
    v = build.add(f"{name}.v", stream, width, rate("qkv"))
    q = build.add(f"{name}.q", stream, width, rate("qkv"), attention=(k, v))
    proj = build.add(f"{name}.proj", q, width, rate("proj"), residual=stream)
    fc1 = build.add(f"{name}.fc1", proj, width, rate("fc1"))
    build.add(f"{name}.fc2", fc1, width, rate("fc2"), residual=proj)


def _resnet(build: _Builder, events: float, reduction: float) -> None:
    """Add ResNet18's layers; the same events in a pair of pixels, whatever its channels."""

    def rate(channels: int) -> Rate:
        return Rate(events * reduction / (2 * channels), reduction)

    stream = build.add("conv0", IMAGE, 64, Rate(0.5, reduction))
    for stage, width in enumerate((64, 128, 256, 512)):
        for half in range(2):
            name, stride = f"stage{stage}.{half}", 2 if stage and not half else 1
            before = width // stride
            short = stream
            if stride == 2:
                short = build.add(
                    f"{name}.short", stream, width, rate(before), kernel=1, stride=stride
                )
            first = build.add(f"{name}.a", stream, width, rate(before), stride=stride)
            stream = build.add(f"{name}.b", first, width, rate(width), residual=short)


def write_exspike(name: str, path: Path, seed: int = 0, *, pairs: bool = True) -> Path:
    """Write the trace of a network; without `pairs` every bit is drawn alone."""
    found, random = network(name), np.random.default_rng(seed)
    unread = np.random.default_rng([seed, 1])

    def bits(tensor: Tensor) -> Bits:
        rate = found.rates.get(tensor.name)
        if rate is not None:
            return drawn_pairs(tensor, rate.density, rate.copied if pairs else 0.0, random)
        # No layer reads what a pool, an OR or a gate takes: as many ones as give its result.
        after = found.rates.get(tensor.name.rpartition(".")[0], Rate(0.5, 1.0))
        return drawn_pairs(tensor, 1 - (1 - after.density) ** 0.25, 0.0, unread)

    return write_network(path, name, found.listing(), found.timesteps, bits, NOTES)


@command("experiments.exspike")
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.exspike",
        description="Draw the spikes of a network of ExSpike (FPL'26) at its published densities.",
        epilog="example: python -m experiments.exspike --network vgg11 --out vgg11.npz",
    )
    parser.add_argument("--network", required=True, choices=NETWORKS, help="which of them")
    parser.add_argument("--out", type=Path, required=True, help="the trace to write")
    parser.add_argument("--seed", type=int, default=0, help="of the spikes (default 0)")
    options = parser.parse_args(arguments)
    check_counts(options, "seed") if options.seed else None
    check_target(options.out, "--out")
    print(write_exspike(options.network, options.out, options.seed))


if __name__ == "__main__":
    sys.exit(main())
