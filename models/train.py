"""Train a network by a recipe: python -m models.train --help."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.errors import ModelError
from models.threads import keep_freed_memory, use_threads
from simulator.command import check_counts, check_target, command

if TYPE_CHECKING:
    import torch

    from models.training.loop import Trained, TrainingRun
    from models.training.recipe import Recipe

EXAMPLE = """examples:
  python -m models.train --recipe models/recipes/mnist5k.yaml --out runs/mnist5k
  python -m models.train --recipe models/recipes/mnist5k.yaml --out runs/mnist5k --resume
  torchrun --nproc-per-node 8 -m models.train --recipe models/recipes/imagenet.yaml \\
      --data /data/imagenet --out runs/imagenet

The folder gets last.safetensors and best.safetensors, recipe.json, metrics.csv, curves.png and
checkpoint.safetensors. Best is chosen on the held-out images: report last.
"""
LAST, BEST, RECIPE = "last.safetensors", "best.safetensors", "recipe.json"


def parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    made = argparse.ArgumentParser(
        prog="python -m models.train",
        description="Train a network by a recipe (models/recipes/*.yaml).",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--recipe", required=True, type=Path, help="the recipe (YAML)")
    made.add_argument("--out", required=True, type=Path, help="the folder of the run")
    made.add_argument("--data", type=Path, help="folder of a full data set")
    made.add_argument("--start", type=Path, help="weights (.safetensors) to begin from")
    made.add_argument("--seed", type=int, help="in place of the recipe's")
    made.add_argument("--resume", action="store_true", help="go on from the folder's checkpoint")
    made.add_argument("--device", choices=("cpu", "cuda"), help="default cuda where there is one")
    made.add_argument("--threads", type=int, default=2, help="of torch (default 2)")
    return made


@command("models.train", "--resume goes on from the checkpoint")
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = parser().parse_args(arguments)
    accuracy = run(options)
    if accuracy is not None:  # in the process that leads
        top1, active = accuracy["test_top1"], accuracy["active_tokens"]
        print(f"{options.out / LAST}: test_top1 {top1:.4f}, active_tokens {active}")


def run(options: argparse.Namespace) -> dict[str, Any] | None:
    """Train and store; return the last epoch's accuracy, None in a process that does not lead.

    Raises ModelError for a bad recipe, folder or option, before any work.
    """
    from models.training.recipe import load_recipe

    recipe = load_recipe(options.recipe)
    if options.seed is not None:
        if options.seed < 0:
            raise ModelError(f"--seed is {options.seed}; it must be at least 0")
        recipe = recipe.model_copy(update={"seed": options.seed})
    check_counts(options, "threads")
    check_folder(options.out, options.resume)
    use_threads(options.threads)
    keep_freed_memory()
    from models.data.sources import read_source
    from models.training.loop import RunPlace, TrainingRun
    from models.training.sharding import joined_group

    device = _device(options.device)
    with joined_group(device) as group:
        source = read_source(recipe.dataset, options.data, recipe.network.timesteps)
        began = time.monotonic()
        job = TrainingRun(recipe, source, RunPlace(options.out, device, group, options.start))
        if group.leads:
            options.out.mkdir(exist_ok=True)
        job.on_save = lambda run: store_so_far(run, recipe)
        trained = job.train(options.resume, _report if group.leads else lambda row: None)
        if not group.leads:
            return None
        return store(job, trained, recipe, time.monotonic() - began)


def check_folder(folder: Path, resume: bool) -> None:
    """Raise ModelError where a run cannot begin, or cannot go on."""
    from models.training.checkpoint import CHECKPOINT

    there = (folder / CHECKPOINT).exists()
    check_target(folder, "--out")
    if folder.exists() and not folder.is_dir():
        raise ModelError(f"--out {folder}", "must be a folder")
    if resume and not there:
        raise ModelError("--resume", f"{folder} holds no {CHECKPOINT}")
    if there and not resume:
        raise ModelError(f"--out {folder}", "holds a run; give --resume or another folder")
    for name in (LAST, BEST, RECIPE):
        if not resume and (folder / name).exists():
            raise ModelError(f"--out {folder}: holds {name} of something else; give another folder")


def store(job: TrainingRun, trained: Trained, recipe: Recipe, seconds: float) -> dict[str, Any]:
    """Store the weights of the last and the best epoch with what is true of them."""
    import json

    from models.files import write_staged
    from models.networks.arms import accuracy_of
    from models.networks.weights import save_weights

    folder = job.place.folder
    held_out = job.source.shown(job.source.held_out, job.config.timesteps)
    accuracies = {}
    for name, model, epoch in (
        (BEST, trained.best, trained.best_epoch),
        (LAST, trained.last, len(trained.rows)),
    ):
        accuracies[name] = accuracy_of(model, held_out)
        metadata = metadata_of(job, recipe, name, epoch)
        metadata |= {"accuracy": accuracies[name], "wall_seconds": round(seconds, 1)}
        save_weights(folder / name, model, metadata)
    text = json.dumps(recipe.model_dump(mode="json"), indent=1)
    write_staged(folder / RECIPE, text.encode())
    return accuracies[LAST]


def store_so_far(job: TrainingRun, recipe: Recipe) -> None:
    """Store the weights of a run that goes on: as they are, and as they were best.

    They are on their grids, but their batch-norm statistics are those of training, so the accuracy
    given is the epoch's, of weights before rounding; of an epoch that is not at its end it is None.
    """
    from models.networks.weights import save_weights

    rows, position = job.position.rows, job.position
    ended = position.step == 0
    states = {LAST: (job.shown_model.state_dict(), len(rows) if ended else len(rows) + 1)}
    if job.kept.best:
        states[BEST] = (job.kept.best, position.best_epoch)
    for name, (state, epoch) in states.items():
        metadata = metadata_of(job, recipe, name, epoch) | {"accuracy": None, "finished": False}
        if epoch <= len(rows):
            row = {key: rows[epoch - 1][key] for key in ("test_top1", "active_tokens")}
            metadata["accuracy"] = {**row, "test_images": len(job.source.held_out.labels)}
        save_weights(job.place.folder / name, job.on_grid(state), metadata)


def metadata_of(job: TrainingRun, recipe: Recipe, name: str, epoch: int) -> dict[str, Any]:
    """Return what is true of a weights file of a run, whether it has ended or not."""
    from models.networks.arms import switches_of

    return {
        "model": job.config.name,
        "dataset": job.source.dataset,
        "seed": recipe.seed,
        "epoch": epoch,
        "chosen_by": "held-out accuracy" if name == BEST else "last epoch",
        "recipe": recipe.model_dump(mode="json"),
        "config": switches_of(job.config),
        "train_images": len(job.source.training.labels),
    }


def _device(name: str | None) -> torch.device:
    import os

    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise ModelError("--device cuda", "torch finds no GPU here")
    if (name or ("cuda" if torch.cuda.is_available() else "cpu")) == "cpu":
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def _report(row: dict[str, Any]) -> None:
    line = ", ".join(f"{key} {value}" for key, value in row.items())
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
