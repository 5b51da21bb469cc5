"""Running a network batch by batch and writing what it did as a trace."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from models.data.images import Images
from models.evaluate import batches
from models.halting.recursion import Halting
from models.networks.arms import Prepared
from models.networks.stas import STAS
from models.operations import describe
from models.operations.recording import RecordingProbe
from models.operations.topology import Topology, manifest_head
from simulator.trace import open_writer


@torch.no_grad()
def write_trace(path: Path, arm: Prepared, images: Images, dataset: str, batch: int) -> None:
    """Run the arm on `images` and write the trace `path`, whole or not at all.

    Memory is bounded by one batch. Predictions are stored for trained weights only.
    """
    model = arm.model
    topology, manifest = announce(arm, images, dataset)
    probe = RecordingProbe(topology)
    trained = arm.weights["origin"] == "trained"
    bar = tqdm(
        total=len(images.labels), desc=path.name, unit="image", disable=not sys.stderr.isatty()
    )
    with bar, open_writer(path, manifest) as writer:
        at = 0
        for pixels, labels in batches(images, batch):
            probe.record_image(images.pixels[at : at + len(labels)])
            at += len(labels)
            predictions = model(pixels, probe).logits.argmax(1).tolist()
            for recording, label, prediction in zip(
                probe.take(), labels.tolist(), predictions, strict=True
            ):
                shown = prediction if trained else -1
                writer.add(recording.tensors, _masks(recording.active, model), label, shown)
                bar.update()


def announce(arm: Prepared, images: Images, dataset: str) -> tuple[Topology, dict[str, Any]]:
    """Return what a trace of the arm on `images` will list, and its manifest before they have run.

    The manifest lacks what the writer counts and hashes.
    """
    topology = describe(arm.model.config, *_slope_and_offset(arm.model))
    manifest = manifest_head(
        _model_section(arm.model), dataset, images.split, images.source, images.ids
    )
    tensors = [tensor.manifest() for tensor in topology.tensors.values()]
    listed = {"tensors": tensors, "operations": topology.operations}
    return topology, {**manifest, "weights": arm.weights, **listed}


def _slope_and_offset(model: STAS) -> tuple[float, float]:
    """gamma and beta of the halting; zeros where no score is accumulated."""
    halting = model.halting
    if not isinstance(halting, Halting):
        return 0.0, 0.0
    return float(halting.gamma.detach()), float(halting.beta.detach())


def _masks(active: dict[str, Any], model: STAS) -> dict[str, Any]:
    """The masks of one image; without halting every token is active everywhere."""
    if active:
        return active
    config = model.config
    everything = np.ones((config.timesteps, config.tokens), dtype=np.bool_)
    return {str(block): everything for block in range(config.size.blocks)}


def _model_section(model: STAS) -> dict[str, Any]:
    """The manifest's section `model`."""
    config = model.config
    section: dict[str, Any] = {
        "name": config.name,
        "family": config.family,
        "timesteps": config.timesteps,
        "blocks": config.size.blocks,
        "embed_dim": config.size.embed_dim,
        "heads": config.size.heads,
        "tokens": config.tokens,
        "token_grid": list(config.grid),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "isps": config.isps,
        "pool": config.pool,
        "attention_order": config.order_of_attention,
        "halting": _halting_section(model),
    }
    if config.membrane_leak:
        section["membrane_leak"] = True
    if config.isps in ("late_sum", "early_integration"):
        section["integration"] = config.integration
    return section


def _halting_section(model: STAS) -> dict[str, Any]:
    """What the section `model` says of halting: what is not as by default, or always stated."""
    switches = model.config.halting
    section: dict[str, Any] = {"granularity": switches.granularity}
    if not model.config.halts:
        return section
    section["output"] = switches.output
    if model.config.fits_beta:
        gamma, beta = _slope_and_offset(model)
        learning = {"learned": switches.learned, "eps": switches.eps, "score": switches.score}
        section |= {"gamma": gamma, "beta": beta, **learning}
        if isinstance(model.halting, Halting) and model.halting.offset is not None:
            section["offsets"] = model.halting.offset.tolist()
    if not model.config.scores:
        section["policy"] = switches.policy
    assert model.halting is not None
    if switches.exit != "none":
        assert model.halting.exit is not None
        section |= {"exit": switches.exit, "entropy": float(model.halting.exit.level.detach())}
    section |= model.halting.stated()
    if switches.membranes != "frozen":
        section["membranes"] = switches.membranes
    return section
