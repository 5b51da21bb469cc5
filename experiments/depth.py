"""python -m experiments.depth: does a second block help on `relay` at equal training cost?

python -m experiments.depth --write docs/tasks.md

Trains the networks that docs/tasks/depth.csv does not have yet, on one thread, and adds a line for
each as it ends; with the file as shipped nothing is trained. Cost is CPU time of the whole run:
EPOCHS were chosen so that it is the same, by one epoch's time of each network.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil

from experiments.generated import ROOT, command, line, markdown
from simulator.errors import ResultError
from simulator.streams.statistics import independent_mean

EPOCHS = {1: 11, 2: 8}
"""Epochs by blocks."""
SEEDS = 3
FILE = ROOT / "docs/tasks/depth.csv"
SHARES = {"top1": "accuracy", "look_ups_1": "one look-up", "look_ups_2": "two look-ups"}
HEADER = f"| blocks | epochs | CPU s | {' | '.join(SHARES.values())} |"


def trained(blocks: int, epochs: int, seed: int) -> dict[str, Any]:
    """Train one network on one thread; its accuracy by look-ups, and what it took."""
    import torch

    from models.data import composites
    from models.data.sources import read_source
    from models.evaluate import metrics_of, tally
    from models.threads import keep_freed_memory, use_threads
    from models.training.loop import RunPlace, TrainingRun
    from models.training.recipe import FOLDER, load_recipe

    keep_freed_memory()
    use_threads(1)
    recipe = load_recipe(FOLDER / "relay.yaml")
    network = recipe.network.model_copy(update={"name": f"spikformer_{blocks}_32"})
    if recipe.static is None:
        raise ResultError("models/recipes/relay.yaml", "static", "must be there")
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
    digits = composites.TASKS["relay"].digits()[1]
    drawn = composites.drawn("relay", digits, len(images.labels), (composites.HELD_OUT_SEED, 0))

    def share(which: np.ndarray) -> float:
        """The accuracy on some of the held-out images."""
        return metrics_of(tally(network_of_last, images.take(which), "layers")).accuracy

    return {
        "blocks": blocks,
        "epochs": epochs,
        "seed": seed,
        "top1": share(np.arange(len(images.labels))),
        "look_ups_1": share(np.flatnonzero(drawn.cue == 1)),
        "look_ups_2": share(np.flatnonzero(drawn.cue == 2)),
        "cpu_s": round(seconds, 1),
        "wall_s": round(wall, 1),
        "load": round(load, 1),
    }


def runs() -> pd.DataFrame:
    """All runs, trained where the file lacks them."""
    kept = (
        pd.read_csv(FILE) if FILE.exists() else pd.DataFrame(columns=["blocks", "epochs", "seed"])
    )
    for seed in range(SEEDS):
        for blocks, epochs in EPOCHS.items():
            own = (kept.blocks == blocks) & (kept.epochs == epochs) & (kept.seed == seed)
            if not own.any():
                row = pd.DataFrame([trained(blocks, epochs, seed)])
                kept = row if kept.empty else pd.concat([kept, row], ignore_index=True)
                kept.to_csv(FILE, index=False, float_format="%.6g")
    return kept


def estimate(values: np.ndarray, signed: bool = False) -> str:
    """A mean of percentages over seeds with its 95 % interval by Student's t."""
    mean, low, high = independent_mean(100 * values)
    form = "+.1f" if signed else ".1f"
    return f"{mean:{form}} [{low:{form}}, {high:{form}}]"


def table(found: pd.DataFrame) -> str:
    """Accuracies by blocks, and the difference of each depth to one block, paired by seed."""
    counts = sorted(int(blocks) for blocks in found.blocks.unique())
    of = {blocks: found[found.blocks == blocks].sort_values("seed") for blocks in counts}
    rows = []
    for blocks, each in of.items():
        cpu = f"{each.cpu_s.mean():.0f} ({each.cpu_s.min():.0f} to {each.cpu_s.max():.0f})"
        cells = [estimate(each[name].to_numpy()) for name in SHARES]
        rows.append(line([str(blocks), str(each.epochs.iloc[0]), cpu, *cells]))
    for blocks, each in of.items():
        if blocks > 1:
            less = [each[name].to_numpy() - of[1][name].to_numpy() for name in SHARES]
            ratio = each.cpu_s.mean() / of[1].cpu_s.mean()
            cells = [estimate(values, signed=True) for values in less]
            rows.append(line([f"{blocks} less 1, paired", "", f"x {ratio:.2f}", *cells]))
    return markdown(HEADER, rows)


def main(arguments: list[str] | None = None) -> int:
    """Print the table, or write it into the page."""
    return command(
        "experiments.depth",
        __doc__ or "",
        "docs/tasks.md",
        lambda: {"depth": table(runs())},
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
