"""The traces of the joint design: each network run as a variant asks, its accuracy measured so."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from experiments.joint.variants import Variant
from experiments.study.arms import TASK_BY_NAME
from experiments.study.jobs import Extent, arm_of, cut, folder_of, load
from models.data.sources import Source, read_source
from models.files import write_staged
from models.networks.arms import Prepared, accuracy_of
from models.networks.config import HaltingConfig
from models.networks.stas import STAS
from models.networks.weights import load_weights, read_weights
from models.operations.writing import write_trace
from models.threads import keep_freed_memory, use_threads
from models.train import LAST

BATCH = 8
IMAGES = 16
NOTE = "Run with other timesteps or halting than it was trained with; its accuracy was measured so."


def trace_of(work: Path, task: str, seed: int, variant: Variant) -> Path:
    """Where a variant's trace lies."""
    return work / "joint" / task / f"seed{seed}" / f"{variant.stem}.npz"


def make(job: tuple[Path, str, int, Variant, Extent]) -> Path:
    """Trace a variant of a trained arm, unless that was done before."""
    work, task, seed, variant, extent = job
    path = trace_of(work, task, seed, variant)
    if path.exists():
        return path
    use_threads(1)
    keep_freed_memory()
    source = cut(read_source(load(TASK_BY_NAME[task]).dataset, None), extent)
    prepared = changed(folder_of(work, TASK_BY_NAME[task], seed, variant.arm) / LAST, variant)
    accuracy = measured(path.parent, variant, prepared.model, source)
    weights = prepared.weights | {"accuracy": accuracy}
    if variant.halting or variant.timesteps != 4:
        weights["notes"] = f"{NOTE} {weights['notes']}"
    images = source.shown(source.held_out.first(extent.traced), variant.timesteps)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_trace(path, prepared._replace(weights=weights), images, source.dataset, BATCH)
    return path


def changed(path: Path, variant: Variant) -> Prepared:
    """The network of a weights file with the variant's timesteps and halting."""
    prepared = arm_of(path)
    config = prepared.model.config
    fields = dataclasses.asdict(config.halting) | variant.halting
    config = dataclasses.replace(
        config, timesteps=variant.timesteps, halting=HaltingConfig(**fields)
    )
    if config == prepared.model.config:
        return prepared
    model = STAS(config)
    load_weights(model, read_weights(path)[0], path)
    return prepared._replace(model=model.eval())


def measured(folder: Path, variant: Variant, model: STAS, source: Source) -> dict[str, Any]:
    """Accuracy over the held-out images, from its file if that was measured before."""
    kept = folder / f"{variant.stem}.json"
    if kept.exists():
        return dict(json.loads(kept.read_text("utf-8")))
    found = accuracy_of(model, source.shown(source.held_out, variant.timesteps))
    folder.mkdir(parents=True, exist_ok=True)
    write_staged(kept, json.dumps(found).encode())
    return found
