"""Files of spikes with the figures of Prosperity's simulator for them, to be compared with.

A folder holds NAME.npz (each tensor `np.packbits` of its flattened bits, its shape beside it) and
NAME.expected.json (by design and operation). Nothing of them is part of this project.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.compat.networks import sdt, spikformer, vgg9
from simulator.compat.workload import Attention, Operation, Product, pack_rows, unfold

Arrays = dict[str, npt.NDArray[np.bool_]]


def names(folder: Path) -> list[str]:
    """The files of a folder that have both spikes and figures."""
    return sorted(
        path.stem
        for path in folder.glob("*.npz")
        if path.with_name(f"{path.stem}.expected.json").is_file()
    )


def figures(folder: Path, name: str) -> dict[str, Any]:
    """The peer's figures by design."""
    found: dict[str, Any] = json.loads((folder / f"{name}.expected.json").read_text("utf-8"))
    return found


def workload(folder: Path, name: str) -> list[Operation]:
    """The operations of a file with their spikes."""
    arrays = read_arrays(folder / f"{name}.npz")
    return [_with_spikes(operation, arrays) for operation in network_of(arrays)]


def read_arrays(path: Path) -> Arrays:
    """The tensors of a file by name. Raises ValueError for a file of another layout."""
    with np.load(path, allow_pickle=False) as file:
        return {
            key: np.unpackbits(file[key], count=int(np.prod(file[f"{key}__shape"])))
            .reshape(file[f"{key}__shape"])
            .view(np.bool_)
            for key in file.files
            if not key.endswith("__shape")
        }


def network_of(arrays: Arrays) -> list[Operation]:
    """The shapes, from those of the spikes: which network it is shows in its operations."""
    if "conv2d_1_sps" not in arrays:
        timesteps, _, size, _ = arrays["conv2d_1"].shape
        return vgg9(timesteps, size)
    stem = [arrays[f"conv2d_{name}_sps"] for name in ("1", "2", "3", "rpe")]
    sizes = [maps.shape[2] for maps in stem]
    timesteps, dim = stem[3].shape[:2]
    depth = sum(key.startswith("fc_q_enc_") for key in arrays)
    # Neither heads nor the kind of attention are in a shape: those of the published networks.
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
