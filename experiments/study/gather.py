"""From what the arms left in the work folder to the study's tables."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.study.arms import BY_NAME, TASK_BY_NAME, Arm
from experiments.study.jobs import FOUND, folder_of, load
from experiments.study.plans import PLANS
from experiments.study.tables import TABLES, write_tables
from experiments.study.tracing import COSTS
from models.data.sources import read_source
from models.errors import ModelError
from models.networks.config import ModelConfig, named_config
from models.training.curves import METRICS
from simulator.energy.field_convention import CONVENTIONS, MAC_PJ

Row = dict[str, Any]
KEY = ("task", "arm", "seed")


def write_arms(work: Path, out: Path, jobs: Sequence[tuple[str, int, str]]) -> None:
    """Write the tables of every arm that is trained; other tasks, arms and seeds keep their rows.

    `jobs`: task, seed and arm each. Machines and counts have those only that were simulated.
    Raises ModelError if no arm is there.
    """
    tables: dict[str, list[Row]] = {name: [] for name in TABLES}
    for task, seed, arm in jobs:
        folder = folder_of(work, TASK_BY_NAME[task], seed, arm)
        if (folder / FOUND).exists():
            here = {"task": task, "arm": arm, "seed": seed}
            found = json.loads((folder / FOUND).read_text("utf-8"))
            add_found(here, found | {"train_seconds": seconds_of(folder)}, tables)
            if (folder / COSTS).exists():
                costs = json.loads((folder / COSTS).read_text("utf-8"))
                tables["machines"] += [here | row for row in costs["costs"]]
                for name in ("counts", "cues", "scores"):
                    tables[name] += [here | row for row in costs.get(name, ())]
            if (folder / PLANS).exists():
                plans = json.loads((folder / PLANS).read_text("utf-8"))
                tables["plans"] += [{"seed": seed} | row for row in plans]
    if not tables["arms"]:
        raise ModelError(
            f"{work} holds no finished arm of the study: run its stages train, simulate"
        )
    write_tables(out, {name: kept(out, name, rows) for name, rows in tables.items() if rows})


def kept(out: Path, name: str, rows: list[Row]) -> list[Row]:
    """The rows, after those that the table that is there has of other tasks, arms and seeds."""
    path, key = out / f"{name}.csv", [each for each in KEY if each in rows[0]]
    if not path.exists():
        return rows
    made = {tuple(str(row[each]) for each in key) for row in rows}
    earlier = pd.read_csv(path, dtype=str, keep_default_na=False).to_dict("records")
    others = [row for row in earlier if tuple(row[each] for each in key) not in made]
    return [*({str(column): value for column, value in row.items()} for row in others), *rows]


def add_found(here: Row, found: Row, tables: dict[str, list[Row]]) -> None:
    """Add what was found out about an arm without a machine."""
    arm = BY_NAME[here["arm"]]
    config = config_of(here["task"], arm)
    alike = {f"similarity_block_{i}": value for i, value in enumerate(found["similarity"])}
    kept = ("test_top1", "test_images", "active_tokens", "train_seconds")
    more = {"entropy": found["entropy"] if arm.exits else ""}
    tables["arms"].append(here | {name: found[name] for name in kept} | alike | more)
    steps = [(t, b) for t in range(found["timesteps"]) for b in range(found["blocks"])]
    profile = found["profile"] or [1.0] * len(steps)
    tables["profiles"] += [
        here | {"timestep": t, "block": b, "active_tokens": share}
        for (t, b), share in zip(steps, profile, strict=True)
    ]
    tables["counts"] += [here | row for row in halting_counts(arm, config, profile)]


def seconds_of(folder: Path) -> float:
    """How long an arm's epochs took, 0 where nothing was trained."""
    metrics = folder / METRICS
    return float(pd.read_csv(metrics).wall_seconds.sum()) if metrics.exists() else 0.0


def config_of(task: str, arm: Arm) -> ModelConfig:
    """The size of an arm's network."""
    recipe = load(TASK_BY_NAME[task])
    network = arm.network(recipe.network.name)
    return named_config(network, _dataset(recipe.dataset), arm.timesteps)


@functools.cache
def _dataset(source: str) -> str:
    """The data set that a source's networks fit."""
    return read_source(source, None).dataset


def halting_counts(arm: Arm, config: ModelConfig, profile: Sequence[float]) -> Iterator[Row]:
    """The halting's own MACs, which the field's habit leaves out: for each token and check one for
    the score, and one a channel for a read-out and for the mean field. A gate's are those without
    exits, so at most. The controls' are not counted.
    """
    if not arm.halting.get("learned"):
        return
    checks, halting = profile, arm.halting
    if halting["granularity"] == "timestep":
        checks = profile[config.size.blocks - 1 :: config.size.blocks]
    if halting["granularity"] == "waking":  # sleepers are scored too; images that ended are not
        checks = [1.0] * config.timesteps
    each = 1 + config.size.embed_dim * (halting["output"] == "mean_field")
    each += config.size.embed_dim * (halting.get("score") == "readout")
    macs = sum(checks) * config.tokens * each
    for convention in CONVENTIONS:
        yield {
            "stage": "halting",
            "convention": convention,
            "macs": macs,
            "acs": 0.0,
            "energy_pj": MAC_PJ * macs,
        }
