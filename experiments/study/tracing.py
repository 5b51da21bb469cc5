"""From an arm's weights to its costs: a trace of some held-out images, then the machines."""

from __future__ import annotations

import json
from pathlib import Path

from experiments.study.arms import Task
from experiments.study.clock import by_cue, scores
from experiments.study.hardware import KINDS, MACHINES, simulate
from experiments.study.jobs import Extent, arm_of, cut, folder_of, load
from models.data.sources import read_source
from models.files import write_staged
from models.operations.writing import write_trace
from models.train import LAST

COSTS, TRACE = "costs.json", "trace.npz"
BATCH = 8


def run_machines(work: Path, task: Task, seed: int, name: str, extent: Extent) -> None:
    """Trace an arm and run the trace on every machine, unless that was done before."""
    folder = folder_of(work, task, seed, name)
    if (folder / COSTS).exists():
        return
    source = cut(read_source(load(task).dataset, None), extent)
    arm = arm_of(folder / LAST)
    images = source.shown(source.held_out.first(extent.traced), arm.model.config.timesteps)
    write_trace(folder / TRACE, arm, images, source.dataset, BATCH)
    on_stream = task.name == "stream"
    costs, counts = simulate(folder / TRACE, machines=KINDS if on_stream else MACHINES)
    found = {"images": len(images.labels), "costs": costs, "counts": counts}
    if on_stream:
        held_out = source.shown(source.held_out, arm.model.config.timesteps)
        found |= {"cues": by_cue(arm.model, held_out), "scores": scores(arm.model, held_out)}
    write_staged(folder / COSTS, json.dumps(found, indent=1).encode())
