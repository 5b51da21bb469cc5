"""Rebuild the traces that come with the project: python -m experiments.make_traces [--out traces]
[--only cifar10 ...].
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from models import capture
from models.errors import ModelError
from simulator.command import command

FOLDER = Path(__file__).parents[1] / "models" / "weights"
WEIGHTS = FOLDER / "stas_spikformer_2_128_mnist.safetensors"


class TraceRecipe(NamedTuple):
    """A trace and its twin without halting.

    `words`: options of the trace that halts, where its weights file does not say how.
    """

    model: str
    images: int
    weights: str
    words: tuple[str, ...] = ()


def of_task(name: str, images: int, words: tuple[str, ...]) -> TraceRecipe:
    """The trace of a network that is stored under its name and its task's."""
    model = name.rpartition("_")[0]
    return TraceRecipe(model, images, str(FOLDER / f"{name}.safetensors"), words)


# DT-SNN's exit; a threshold (relay's in tenths) is the highest that costs at most 0.2 points on
# 500 training pictures.
EXIT = ("--policy", "entropy_exit", "--granularity", "timestep", "--entropy")
# TP-Spikformer's score: half of the tokens run the second block. Nothing of it was trained.
HALF = ("--policy", "token_importance", "--granularity", "block", "--budget", "0.75")
RECIPES = {
    "cifar10": TraceRecipe("stas_spikformer_4_384", 20, "calibrated"),
    "cifar100": TraceRecipe("stas_spikformer_4_384", 8, "calibrated"),
    "imagenet": TraceRecipe("stas_spikformer_8_512", 1, "calibrated"),
    "mnist": TraceRecipe("stas_spikformer_2_128", 64, str(WEIGHTS)),
    "stream": of_task("spikformer_2_48_stream", 64, (*EXIT, "0.78")),
    "clutter": of_task("spikformer_2_48_clutter", 32, HALF),
    "pointed": of_task("spikformer_2_48_pointed", 32, HALF),
    "relay": of_task("spikformer_1_32_relay", 32, (*EXIT, "0.6")),
}


@command("experiments.make_traces", "the trace at work was not written")
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m experiments.make_traces", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("traces"), help="folder (default traces)")
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=list(RECIPES))
    options = parser.parse_args(arguments)
    run(options)


def run(options: argparse.Namespace) -> None:
    """Write the traces, one after another. Raises SimulatorError for bad input."""
    if not options.out.is_dir():
        raise ModelError(f"--out {options.out}", "the folder does not exist")
    for dataset in options.only:
        for baseline in (False, True):
            print(capture.capture(options_of(dataset, options.out, baseline)), flush=True)


def options_of(dataset: str, folder: Path, baseline: bool) -> argparse.Namespace:
    """The capture options of one trace."""
    model, images, weights, halting = RECIPES[dataset]
    name = f"{dataset}_baseline.npz" if baseline else f"{dataset}.npz"
    words = ["--model", model, "--dataset", dataset, "--images", str(images), "--weights", weights]
    words += ["--out", str(folder / name)]
    if halting:
        words += [] if baseline else halting
    elif baseline:
        words += ["--baseline"]
    return capture.parser().parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
