"""python -m experiments.equal_cost: do blocks or timesteps help at equal training cost?

python -m experiments.equal_cost --write docs/tasks.md

Depth on `relay`, time on the still `clutter`. Trains the networks that docs/tasks/*.csv do not have
yet, on one thread, and adds a line for each as it ends; with the files as shipped nothing is
trained. Cost is CPU time of the whole run: epochs were chosen so that it is the same, by one
epoch's time of each network.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import psutil

from experiments.generated import ROOT, command, line, markdown
from simulator.errors import ResultError
from simulator.streams.statistics import independent_mean

FOLDER = ROOT / "docs/tasks"


class Question(NamedTuple):
    """Networks of one task that differ in one thing, `varied`: `blocks` or `timesteps`.

    `epochs`: by its values; `shares`: columns of accuracies, and their titles; a column `..._N` is
    over the held-out images whose cue is N.
    """

    name: str
    task: str
    varied: str
    epochs: Mapping[int, int]
    shares: Mapping[str, str]
    seeds: int = 3

    @property
    def file(self) -> Path:
        """The table of its runs."""
        return FOLDER / f"{self.name}.csv"


QUESTIONS = (
    Question(
        "depth",
        "relay",
        "blocks",
        {1: 11, 2: 8},
        {"top1": "accuracy", "look_ups_1": "one look-up", "look_ups_2": "two look-ups"},
    ),
    Question("clutter", "clutter", "timesteps", {1: 24, 4: 8}, {"top1": "accuracy"}),
)


def trained(question: Question, value: int, seed: int) -> dict[str, Any]:
    """Train one network on one thread; its accuracies, and what it took."""
    import torch

    from models.data import composites
    from models.data.sources import read_source
    from models.evaluate import metrics_of, tally
    from models.threads import keep_freed_memory, use_threads
    from models.training.loop import RunPlace, TrainingRun
    from models.training.recipe import FOLDER as RECIPES
    from models.training.recipe import load_recipe

    keep_freed_memory()
    use_threads(1)
    recipe = load_recipe(RECIPES / f"{question.task}.yaml")
    if recipe.static is None:
        raise ResultError(f"models/recipes/{question.task}.yaml", "static", "must be there")
    changed: dict[str, Any] = {"timesteps": value}
    if question.varied == "blocks":
        changed = {"name": f"spikformer_{value}_32"}
    epochs = question.epochs[value]
    network = recipe.network.model_copy(update=changed)
    static = recipe.static.model_copy(update={"epochs": epochs})
    recipe = recipe.model_copy(update={"network": network, "static": static, "seed": seed})
    source = read_source(recipe.dataset, None)
    own, load = psutil.Process(), psutil.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        began, cpu = time.monotonic(), own.cpu_times()
        run = TrainingRun(recipe, source, RunPlace(Path(folder), torch.device("cpu")))
        network_of_last = run.train(False, lambda row: print(row, file=sys.stderr)).last
        spent, wall = own.cpu_times(), time.monotonic() - began
    seconds = spent.user + spent.system - cpu.user - cpu.system
    images = source.shown(source.held_out, network.timesteps)
    digits = composites.TASKS[question.task].digits()[1]
    drawn = composites.drawn(
        question.task, digits, len(images.labels), (composites.HELD_OUT_SEED, 0)
    )

    def share(column: str) -> float:
        """The accuracy on the held-out images that a column is over."""
        cue = column.rpartition("_")[2]
        every = np.arange(len(images.labels))
        which = every[drawn.cue == int(cue)] if cue.isdigit() else every
        return metrics_of(tally(network_of_last, images.take(which), "layers")).accuracy

    return {
        question.varied: value,
        "epochs": epochs,
        "seed": seed,
        **{column: share(column) for column in question.shares},
        "cpu_s": round(seconds, 1),
        "wall_s": round(wall, 1),
        "load": round(load, 1),
    }


def runs(question: Question) -> pd.DataFrame:
    """All runs of a question, trained where its file lacks them."""
    keys = [question.varied, "epochs", "seed"]
    kept = pd.read_csv(question.file) if question.file.exists() else pd.DataFrame(columns=keys)
    for seed in range(question.seeds):
        for value, epochs in question.epochs.items():
            if not (kept[keys] == [value, epochs, seed]).all(axis=1).any():
                row = pd.DataFrame([trained(question, value, seed)])
                kept = row if kept.empty else pd.concat([kept, row], ignore_index=True)
                kept.to_csv(question.file, index=False, float_format="%.6g")
    return kept


def estimate(values: np.ndarray, signed: bool = False) -> str:
    """A mean of percentages over seeds with its 95 % interval by Student's t; of one seed none."""
    mean, low, high = independent_mean(100 * values)
    form = "+.1f" if signed else ".1f"
    return f"{mean:{form}}" + ("" if low is None else f" [{low:{form}}, {high:{form}}]")


def table(question: Question, found: pd.DataFrame) -> str:
    """Accuracies by what varies, and the difference to the least of it, paired by seed."""
    varied = question.varied
    values = sorted(int(value) for value in found[varied].unique())
    of = {value: found[found[varied] == value].sort_values("seed") for value in values}
    least, rows = min(of), []
    for value, each in of.items():
        cpu = f"{each.cpu_s.mean():.0f} ({each.cpu_s.min():.0f} to {each.cpu_s.max():.0f})"
        cells = [estimate(each[name].to_numpy()) for name in question.shares]
        rows.append(line([str(value), str(each.epochs.iloc[0]), cpu, *cells]))
    for value, each in of.items():
        if value > least:
            less = [each[name].to_numpy() - of[least][name].to_numpy() for name in question.shares]
            ratio = each.cpu_s.mean() / of[least].cpu_s.mean()
            cells = [estimate(values, signed=True) for values in less]
            rows.append(line([f"{value} less {least}, paired", "", f"x {ratio:.2f}", *cells]))
    return markdown(f"| {varied} | epochs | CPU s | {' | '.join(question.shares.values())} |", rows)


def main(arguments: list[str] | None = None) -> int:
    """Print the tables, or write them into the page."""
    return command(
        "experiments.equal_cost",
        __doc__ or "",
        "docs/tasks.md",
        lambda: {question.name: table(question, runs(question)) for question in QUESTIONS},
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
