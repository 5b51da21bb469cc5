"""Halting imposed on a trace: masks of a stated share of active tokens, drawn at random.

What a machine does with a share of active tokens needs no network that has learned to halt. The
spikes of live rows stay as they are; those of halted rows are wiped out. (In a network fewer keys
and values would make smaller attention currents, so its live rows would fire a little less.)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.data.images import Images
from models.halting.budget import kept_fractions
from models.networks.arms import Prepared
from models.networks.config import HaltingConfig, ModelConfig
from models.networks.stas import STAS
from models.operations.writing import announce
from simulator.trace import Trace, open_writer

Masks = dict[str, npt.NDArray[np.bool_]]
NOTE = "Masks imposed at random on the trace of a network that does not halt: {share} of tokens."


def impose(source: Path, path: Path, config: ModelConfig, share: float, images: Images) -> None:
    """Write the trace `path`: `source`, of `config` without halting, with a mean share of tokens.

    Of its images the first, as many as `images` has. Halting is two-dimensional, its score and mean
    field listed as A-SSA's, each check halting the same fraction of the tokens that run.
    """
    halting = HaltingConfig(granularity="two_dimensional")
    with Trace.open(source) as trace:
        section = trace.manifest["weights"]
    weights = {**section, "notes": NOTE.format(share=share), "calibration": {}}
    halts = Prepared(STAS(dataclasses.replace(config, halting=halting)), weights)
    write_masked(source, path, halts, images, lambda index: random_masks(config, share, index))


def write_masked(
    source: Path, path: Path, halts: Prepared, images: Images, masks_of: Callable[[int], Masks]
) -> None:
    """Write the trace `path` of `halts`: the first images of `source`, halted rows wiped out.

    `masks_of`: bool (timestep, token) by block, of an image's index.
    """
    with Trace.open(source) as trace:
        topology, manifest = announce(halts, images, trace.manifest["dataset"]["name"])
        with open_writer(path, manifest) as writer:
            for image in map(trace.read, range(len(images.labels))):
                masks = masks_of(image.index)
                tensors = dict(image.tensors)
                for name, tensor in tensors.items():
                    mask = topology.tensors[name].mask
                    if mask is not None:
                        tensors[name] = wiped(tensor, masks[mask])
                writer.add(tensors, masks, image.label)


def random_masks(config: ModelConfig, share: float, seed: int) -> Masks:
    """bool (timestep, token) by block: tokens halt in a random order, `share` of them active."""
    blocks, tokens = config.size.blocks, config.tokens
    halting = HaltingConfig(
        granularity="two_dimensional", policy="random", output="last", budget=share
    )
    kept = kept_fractions(halting, config.timesteps, blocks)
    order = np.random.default_rng(seed).permutation(tokens)
    counts = np.rint(np.array(kept) * tokens).astype(np.int64)
    active = order < counts.reshape(config.timesteps, blocks, 1)
    return {str(block): active[:, block] for block in range(blocks)}


def wiped(tensor: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """(timestep, plane, row, byte) with the rows of halted tokens zero."""
    return tensor * mask[:, None, :, None].astype(np.uint8)
