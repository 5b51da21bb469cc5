"""The joint design as a space, searched by `simulator.sweep`, and each network's best machines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from experiments.joint.traces import trace_of
from experiments.joint.variants import Variant
from models.errors import ModelError
from models.files import write_staged
from simulator.sweep.__main__ import main as sweep
from simulator.sweep.evaluation import OK

BASE = Path(__file__).parents[2] / "arch_configs/sparse_pe.yaml"
MACHINE: dict[str, Any] = {
    "dataflow.kind": {"choices": ["timestep_serial", "tick_batched"]},
    "dataflow.images_together": {"choices": [1, 16]},
    "cores.0.buffers.weights.size_kib": {"choices": [16, 64, 256]},
    "cores.0.buffers.membranes.size_kib": {"choices": [64, 512]},
}
METRICS = ("accuracy", "energy_uj", "latency_ms", "active_tokens")
COSTS = {"energy": "energy_uj", "time": "latency_ms"}


def space(
    work: Path, task: str, seeds: Sequence[int], variants: Sequence[Variant], images: int
) -> str:
    """The text of the space: each variant of each seed on each machine."""
    traces = [
        {"file": str(trace_of(work, task, seed, variant).resolve()), "seed": seed, **variant.axes}
        for seed in seeds
        for variant in variants
    ]
    written = {
        "schema": "stasim-space/1",
        "name": f"joint_{task}",
        "base": str(BASE.resolve()),
        "parameters": MACHINE,
        "traces": traces,
        "images": f"0:{images}",
        "objectives": {
            "latency_ms": "minimize",
            "energy_uj": "minimize",
            "accuracy": "maximize",
        },
        "search": {"strategy": "grid"},
    }
    return yaml.safe_dump(written, sort_keys=False)


def search(work: Path, task: str, text: str, workers: int) -> pd.DataFrame:
    """Run the sweep, or go on with it; its points. Raises ModelError where it fails."""
    folder = work / "joint" / task
    write_staged(folder / "space.yaml", text.encode())
    words = [str(folder / "space.yaml"), "--out", str(folder / "sweep"), "--jobs", str(workers)]
    code: Any = sweep(words)
    if code:
        raise ModelError(f"{folder / 'space.yaml'}", f"the sweep ended with {code}")
    return pd.read_parquet(folder / "sweep/points.parquet")


def chosen(points: pd.DataFrame, axes: Sequence[str]) -> pd.DataFrame:
    """The machine of each network that costs least in the mean over seeds, a row a seed.

    By energy and by time (column `by`), of the machines that can run the network with every seed.
    """
    ran = points[points.status == OK].rename(columns=_plain)
    ran = ran[["seed", *axes, *MACHINE, *METRICS]]
    seeds = ran.seed.nunique()
    found = []
    for by, cost in COSTS.items():
        means = ran.groupby([*axes, *MACHINE], sort=False)[cost].agg(["mean", "size"]).reset_index()
        means = means[means["size"] == seeds]
        cheapest = means.loc[means.groupby(list(axes), sort=False)["mean"].idxmin()]
        rows = cheapest[[*axes, *MACHINE]].merge(ran, on=[*axes, *MACHINE])
        found.append(rows.assign(by=by))
    return pd.concat(found, ignore_index=True)


def _plain(column: str) -> str:
    """A column of the points as the table names it: the parameter or the metric alone."""
    return column.removeprefix("parameter.").removeprefix("metric.")
