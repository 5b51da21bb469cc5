"""A trained network's weights and batch-norms as the whole numbers that the RTL computes with.

The rule: weights lie on their 8-bit grid already (models.networks.weights). Of a layer any of whose
sums could leave SUM_BITS they are rounded to a power of two coarser, as often as needed. A
channel's batch-norm becomes a bias, rounded to a whole weight, and a threshold, rounded to a
quarter of one (simulator.hil.network.fixed). Halting scores have 16 bits behind the point.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.data.images import held_out_digits
from models.errors import ModelError
from models.networks.config import named_config
from models.networks.weights import LEAST_WEIGHT, read_weights
from simulator.command import command
from simulator.hil.network.files import FixedFile, write_fixed
from simulator.hil.network.fixed import (
    BLOCK_LAYERS,
    SCORE_BITS,
    WEIGHT_FRACTION,
    FixedLayer,
    FixedNetwork,
    FixedStage,
)
from simulator.hil.network.twin import run_twin

Floats = npt.NDArray[np.float64]
SUM_BITS, MEMBRANE_BITS = 16, 16
NORM_EPS = 1e-5
SCORE_VALUES = 16
STAGES = 5
EXAMPLE = (
    "python -m models.fixed_point models/weights/stas_spikformer_2_128_mnist.safetensors "
    "--out build/mnist_fixed.npz"
)


def quantised(path: Path) -> FixedNetwork:
    """Quantise a file of weights. Raises ModelError for a network that the RTL does not run."""
    state, metadata = read_weights(path)
    config = metadata.get("config", {})
    halting = config.get("halting", {})
    _check(path, config, halting)
    named = named_config(metadata["model"], metadata["dataset"], int(config["timesteps"]))
    pooled_stages, side = named.dataset.pooled_stages, named.dataset.image_size
    tensors = {name: tensor.double().numpy() for name, tensor in state.items()}
    timesteps = named.timesteps
    blocks = 1 + max(int(n.split(".")[1]) for n in tensors if n.startswith("blocks."))
    stages, largest = [], 255
    for index in range(STAGES):
        base = f"sps.stages.{index}"
        # Sums of spikes over time enter the next stage as their mean.
        unit = 1.0 / 256.0 if index == 0 else 1.0 / timesteps if index == 1 else 1.0
        layer = fixed_layer(tensors, base, "conv", unit, largest)
        stages.append(FixedStage(layer, index in pooled_stages, index == 0))
        largest = timesteps if index == 0 else 1
    fixed_blocks = []
    for block in range(blocks):
        # The stream holds 0 to 2 at first and grows by 2 a block, by 1 ahead of the MLP.
        most = dict.fromkeys("qkv", 2 + 2 * block) | {"proj": 1, "fc1": 3 + 2 * block, "fc2": 1}
        names = {part: ("" if part.startswith("fc") else "attn.") + part for part in BLOCK_LAYERS}
        fixed_blocks.append(
            {
                part: fixed_layer(tensors, f"blocks.{block}.{name}", "linear", 1.0, most[part])
                for part, name in names.items()
            }
        )
    if np.any(tensors.get("halting.offset", 0.0)):
        raise ModelError("halting.offset: must be 0 everywhere: the engine has one score table")
    values = np.arange(SCORE_VALUES)
    score = 1.0 / (1.0 + np.exp(-(tensors["halting.gamma"] * values + tensors["halting.beta"])))
    one = 1 << SCORE_BITS
    steps = grid_steps(tensors["head.weight"])
    tokens = (side >> len(pooled_stages)) ** 2
    unit = steps.min() / (one * tokens)
    return FixedNetwork(
        name=metadata["model"],
        side=side,
        timesteps=timesteps,
        heads=named.size.heads,
        stages=tuple(stages),
        blocks=tuple(fixed_blocks),
        scores=np.rint(score * one).astype(np.int64),
        limit=int(np.rint((1.0 - halting["eps"]) * one)),
        head=np.rint(tensors["head.weight"] / steps[:, None]).astype(np.int64),
        head_shift=np.rint(np.log2(steps / steps.min())).astype(np.int64),
        head_bias=np.rint(tensors["head.bias"] / unit).astype(np.int64),
        logit_unit=float(unit),
    )


def fixed_layer(
    tensors: dict[str, Any], base: str, kind: str, unit: float, largest: int
) -> FixedLayer:
    """Fold a batch-norm. `unit`: the value of 1 of an input; `largest`: the largest input."""
    weight = tensors[f"{base}.{kind}.weight"]
    steps = grid_steps(weight)
    flat = weight.reshape(len(weight), -1)
    if kind == "conv":
        flat = weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)
    integers = np.rint(flat / steps[:, None])
    while np.abs(integers).sum(axis=1).max() * largest >= 1 << (SUM_BITS - 1):
        steps = steps * 2.0
        integers = np.rint(flat / steps[:, None])
    norm = f"{base}.norm"
    scale = tensors[f"{norm}.weight"] / np.sqrt(tensors[f"{norm}.running_var"] + NORM_EPS)
    shift = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * scale
    per_sum = scale * steps * unit
    sign = np.where(per_sum < 0, -1.0, 1.0)
    per_sum = np.maximum(np.abs(per_sum), LEAST_WEIGHT * LEAST_WEIGHT)
    most = (1 << (SUM_BITS - 1)) - 1
    return FixedLayer(
        (integers.T * sign).astype(np.int64),
        np.clip(np.rint(shift / per_sum), -most, most).astype(np.int64),
        np.clip(np.rint((1 << WEIGHT_FRACTION) / per_sum), 1, most).astype(np.int64),
    )


def grid_steps(weight: Floats) -> Floats:
    """Return each output channel's power of two (axis 0), of which 8-bit weights are multiples."""
    largest = np.maximum(np.abs(weight).reshape(len(weight), -1).max(axis=1), LEAST_WEIGHT)
    steps: Floats = 2.0 ** np.ceil(np.log2(largest / 127.0))
    return steps


def _check(path: Path, config: dict[str, Any], halting: dict[str, Any]) -> None:
    needed = (
        ("isps", config.get("isps"), "early_integration"),
        ("pool", config.get("pool"), "before_lif"),
        ("integration", config.get("integration"), "mean"),
        ("halting granularity", halting.get("granularity"), "two_dimensional"),
        ("halting score", halting.get("score"), "channel0"),
    )
    for what, found, wanted in needed:
        if found != wanted:
            raise ModelError(path, f"{what} is {found}; the RTL's network needs {wanted}")


@command()
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    network = quantised(Path(options.weights))
    held_out = held_out_digits("mnist")
    if not 1 <= options.images <= options.judged <= len(held_out.labels):
        raise ModelError(
            f"--images {options.images} --judged {options.judged}: must be 1 or more, of "
            f"{len(held_out.labels)} held-out digits, and no more images than are judged"
        )
    right = 0
    for image, label in zip(held_out.pixels[: options.judged, 0], held_out.labels, strict=False):
        right += int(run_twin(network, image, MEMBRANE_BITS).logits.argmax() == label)
    origin = {
        "weights": Path(options.weights).name,
        "images": held_out.source,
        "split": held_out.split,
        "right": right,
        "judged": options.judged,
    }
    chosen = slice(options.images)
    content = FixedFile(network, held_out.pixels[chosen, 0], held_out.labels[chosen], origin)
    Path(options.out).parent.mkdir(parents=True, exist_ok=True)
    write_fixed(Path(options.out), content)
    print(f"{right} of {options.judged} held-out digits right; {options.out}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m models.fixed_point",
        description="Quantise a trained MNIST network for the RTL; held-out digits go with it.",
        epilog=f"example: {EXAMPLE}",
    )
    add = parser.add_argument
    add("weights", metavar="WEIGHTS", help="safetensors file of a network that halts in 2-D")
    add("--out", required=True, metavar="FILE", help="fixed-point network, .npz")
    add("--images", type=int, default=20, metavar="N", help="digits in the file (default 20)")
    add("--judged", type=int, default=100, metavar="N", help="digits to classify (default 100)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
