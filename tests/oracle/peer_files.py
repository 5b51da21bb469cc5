"""The oracle files of Prosperity's simulator: real and random spikes, and its figures for them.

Nothing of them is part of this project; where they are absent the tests say so and skip.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from simulator.compat.networks import sdt, spikformer, vgg9
from simulator.compat.workload import Attention, Operation, Product, pack_rows, unfold

FOLDER = Path(__file__).parents[2].parent / "shared" / "oracles" / "prosperity"
NAMES = sorted(path.stem for path in FOLDER.glob("*.npz"))
ABSENT = "the figures of Prosperity's simulator are not beside the project"

Arrays = dict[str, np.ndarray]


def expected(name: str) -> dict[str, Any]:
    """The peer's figures by design."""
    return json.loads((FOLDER / f"{name}.expected.json").read_text())


def workload(name: str) -> list[Operation]:
    """The operations of a file with their spikes."""
    with np.load(FOLDER / f"{name}.npz") as file:
        arrays = {
            key: np.unpackbits(file[key], count=int(np.prod(file[f"{key}__shape"])))
            .reshape(file[f"{key}__shape"])
            .view(np.bool_)
            for key in file.files
            if not key.endswith("__shape")
        }
    return [_with_spikes(operation, arrays) for operation in _network(arrays)]


def _network(arrays: Arrays) -> list[Operation]:
    """The shapes, from those of the spikes: which network it is shows in its operations."""
    if "conv2d_1_sps" not in arrays:
        return vgg9(*(arrays["conv2d_1"].shape[index] for index in (0, 2)))
    stem = [arrays[f"conv2d_{name}_sps"] for name in ("1", "2", "3", "rpe")]
    sizes = [maps.shape[2] for maps in stem]
    timesteps, dim = stem[3].shape[:2]
    depth = sum(key.startswith("fc_q_enc_") for key in arrays)
    # Heads are in no shape: those of the published networks of that width and those timesteps.
    if dim == 512:
        return sdt(dim, depth, 8, timesteps, sizes)
    heads = {(384, 4): 12, (256, 16): 16}.get((dim, timesteps), dim // 32)
    return spikformer(dim, depth, heads, timesteps, sizes)


def _with_spikes(operation: Operation, arrays: Arrays) -> Operation:
    if isinstance(operation, Product):
        spikes = arrays[operation.name]
        if spikes.ndim == 4:
            words = unfold(spikes, (3, 3), (1, 1), (1, 1))
        else:
            shape = (operation.timesteps, operation.positions, operation.inputs)
            words = pack_rows(spikes.reshape(shape))
        return operation._replace(rows=lambda: words)
    if isinstance(operation, Attention) and f"{operation.name}_q" in arrays:
        three = np.stack([arrays[f"{operation.name}_{part}"] for part in "qkv"])
        return operation._replace(spikes=lambda: three)
    return operation
