"""python -m models.drawn: a trace of a network's shapes with spikes drawn at published rates.

For machines that were measured on networks whose spikes are not published: the operations are the
network's, every spike is drawn alone, with the published rate of its layer. Nothing is computed, so
no spike follows from another, and the trace says so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.data.images import Images
from models.errors import ModelError
from models.networks.config import ModelConfig, named_config
from models.topology import Tensor
from simulator.command import check_counts, check_target, command
from simulator.data import firing_rates
from simulator.trace import open_writer, pack_bits

RATES = "spikingformer_8_512_imagenet"
# The input of a layer, as the table names it, is this tensor of a block.
BLOCK_TENSORS = {
    "attn.in": "qkv_input",
    "attn.q": "q",
    "attn.k": "k",
    "attn.v": "v",
    "attn.out": "proj_input",
    "mlp.in": "fc1_input",
    "mlp.hidden": "fc2_input",
}
STEM = ("proj_conv1", "proj_conv2", "proj_conv3", "rpe_conv")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m models.drawn",
        description=f"Draw the spikes of a Spikingformer at the published rates of {RATES}.",
        epilog="example: python -m models.drawn --model spikingformer_4_256 --dataset cifar10 "
        "--out drawn.npz",
    )
    made.add_argument("--model", required=True, help="such as spikingformer_4_256")
    made.add_argument("--dataset", required=True, help="whose shapes it has, such as cifar10")
    made.add_argument("--out", type=Path, required=True, help="the trace to write")
    made.add_argument("--images", type=int, default=1, help="how many (default 1)")
    made.add_argument("--timesteps", type=int, default=4, help="default 4")
    made.add_argument("--seed", type=int, default=0, help="of the spikes (default 0)")
    return made


def rate_of(name: str, rates: dict[str, Any]) -> float:
    """The published rate of a stored tensor. Raises ModelError where there is none."""
    place = name.split(".")
    if place[0] == "blocks":
        layer = BLOCK_TENSORS.get(".".join(place[2:]))
        if layer is not None and int(place[1]) < len(rates["blocks"][layer]):
            return float(rates["blocks"][layer][int(place[1])])
    # A pool of spikes leaves more ones; the rate that is published is that of the layer's input.
    elif place[0] == "sps" and place[1].isdigit() and int(place[1]) < len(STEM):
        return float(rates["sps_conv_inputs"][STEM[int(place[1])]])
    raise ModelError(f"tensor {name}: {RATES} has no rate for it")


def drawn(tensor: Tensor, rate: float, random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """The packed bits of one tensor."""
    shape = (tensor.timesteps, tensor.planes, tensor.rows, tensor.channels)
    return pack_bits(random.random(shape) < rate)


def write_drawn(config: ModelConfig, dataset: str, out: Path, images: int, seed: int) -> None:
    """Write the trace, whole or not at all."""
    if config.family != "spikingformer" or config.halts or config.isps != "none":
        raise ModelError(f"{config.name}: the published rates are those of a plain Spikingformer")
    from models.operations import describe
    from models.writing import manifest_of

    topology, rates = describe(config), firing_rates()[RATES]
    name = config.name
    section = {
        "name": name,
        "family": config.family,
        "timesteps": config.timesteps,
        "blocks": config.size.blocks,
        "embed_dim": config.size.embed_dim,
        "heads": config.size.heads,
        "tokens": config.tokens,
        "token_grid": list(config.grid),
        "parameters": 0,
        "isps": config.isps,
        "pool": config.pool,
        "attention_order": config.order_of_attention,
        "halting": {"granularity": "none"},
    }
    weights = {
        "origin": "random",
        "seed": seed,
        "accuracy": None,
        "sha256": "0" * 64,
        "notes": f"no weights: spikes drawn one by one at the rates of {RATES}; pixels drawn too",
    }
    announced = Images(
        pixels=np.zeros((images, 1), np.uint8),
        labels=np.full(images, -1, np.int64),
        ids=tuple(f"drawn/{index}" for index in range(images)),
        split="none",
        source="random numbers",
    )
    random = np.random.default_rng(seed)
    everything = np.ones((config.timesteps, config.tokens), dtype=np.bool_)
    masks = {str(block): everything for block in range(config.size.blocks)}
    manifest = manifest_of(section, weights, topology, announced, dataset)
    with open_writer(out, manifest) as writer:
        for _ in range(images):
            tensors = {
                each.name: drawn(each, _share(each.name, rates), random)
                for each in topology.tensors.values()
            }
            writer.add(tensors, masks, -1, -1)


def _share(name: str, rates: dict[str, Any]) -> float:
    return 0.5 if name == "sps.image" else rate_of(name, rates)


@command("models.drawn")
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = parser().parse_args(arguments)
    run(options)


def run(options: argparse.Namespace) -> None:
    """Write the trace. Raises SimulatorError for bad input."""
    check_counts(options, "images", "timesteps")
    check_target(options.out, "--out")
    config = named_config(options.model, options.dataset, options.timesteps)
    write_drawn(config, options.dataset, options.out, options.images, options.seed)
    print(options.out)


if __name__ == "__main__":
    sys.exit(main())
