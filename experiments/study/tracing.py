"""From an arm's weights to its costs: a trace of some held-out images, then the machines."""

from __future__ import annotations

import json
from pathlib import Path

from experiments.study.arms import BY_NAME, Task
from experiments.study.clock import by_cue, scores
from experiments.study.hardware import KINDS, MACHINES, simulate
from experiments.study.jobs import FOUND, Extent, arm_of, cut, folder_of, load
from experiments.study.plans import impose
from experiments.study.untrained import WAYS
from models.data.images import Images
from models.data.sources import read_source
from models.files import write_staged
from models.networks.arms import Prepared
from models.operations.writing import write_trace
from models.train import LAST

COSTS, TRACE = "costs.json", "trace.npz"
BATCH = 8


def impose_on(folder: Path, imposed: str, arm: Prepared, images: Images) -> None:
    """Take the tokens that an arm without a policy of its own halts out of the trace of all."""
    way, found = WAYS[imposed], json.loads((folder / FOUND).read_text("utf-8"))
    assert way.masks is not None
    masks = way.masks(arm.model, images, found)
    full = folder / "all_tokens.npz"
    (folder / TRACE).replace(full)
    impose(full, folder / TRACE, arm, images, masks, way.granularity)
    full.unlink()


def run_machines(work: Path, task: Task, seed: int, name: str, extent: Extent) -> None:
    """Trace an arm and run the trace on every machine, unless that was done before."""
    folder = folder_of(work, task, seed, name)
    if (folder / COSTS).exists():
        return
    source = cut(read_source(load(task).dataset, None), extent)
    imposed, on_stream = BY_NAME[name].imposed, task.name == "stream"
    weights = folder_of(work, task, seed, BY_NAME[name].start or name) if imposed else folder
    arm = arm_of(weights / LAST)
    images = source.shown(source.held_out.first(extent.traced), arm.model.config.timesteps)
    write_trace(folder / TRACE, arm, images, source.dataset, BATCH)
    if imposed:
        impose_on(folder, imposed, arm, images)
    costs, counts = simulate(folder / TRACE, machines=KINDS if on_stream else MACHINES)
    found = {"images": len(images.labels), "costs": costs, "counts": counts}
    if on_stream and not imposed:
        held_out = source.shown(source.held_out, arm.model.config.timesteps)
        found |= {"cues": by_cue(arm.model, held_out), "scores": scores(arm.model, held_out)}
    write_staged(folder / COSTS, json.dumps(found, indent=1).encode())
