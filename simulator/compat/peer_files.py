"""Files of spikes in the layout of Prosperity's simulator, and the network that they are of.

Each tensor of NAME.npz is `np.packbits` of its flattened bits, its shape beside it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from simulator.compat.networks import sdt, spikformer, vgg9
from simulator.compat.workload import Operation
from simulator.config.arrays import Bools

Arrays = dict[str, Bools]


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
