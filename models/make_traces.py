"""Rebuild the traces that come with the project: python -m models.make_traces [--out traces]
[--only cifar10 ...].
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from models import capture
from models.errors import ModelError
from simulator.command import command

WEIGHTS = Path(__file__).parent / "weights" / "stas_spikformer_2_128_mnist.safetensors"
RECIPES = {
    "cifar10": ("stas_spikformer_4_384", 20, "calibrated"),
    "cifar100": ("stas_spikformer_4_384", 8, "calibrated"),
    "imagenet": ("stas_spikformer_8_512", 1, "calibrated"),
    "mnist": ("stas_spikformer_2_128", 64, str(WEIGHTS)),
}


@command("models.make_traces", "the trace at work was not written")
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m models.make_traces", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("traces"), help="folder (default traces)")
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=list(RECIPES))
    options = parser.parse_args(arguments)
    run(options)


def run(options: argparse.Namespace) -> None:
    """Write the traces, one after another. Raises SimulatorError for bad input."""
    if not options.out.is_dir():
        raise ModelError(f"--out {options.out}: the folder does not exist")
    for dataset in options.only:
        for baseline in (False, True):
            print(capture.capture(options_of(dataset, options.out, baseline)), flush=True)


def options_of(dataset: str, folder: Path, baseline: bool) -> argparse.Namespace:
    """The capture options of one trace."""
    model, images, weights = RECIPES[dataset]
    name = f"{dataset}_baseline.npz" if baseline else f"{dataset}.npz"
    words = ["--model", model, "--dataset", dataset, "--images", str(images), "--weights", weights]
    words += ["--out", str(folder / name)] + ["--baseline"] * baseline
    return capture.parser().parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
