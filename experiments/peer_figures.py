"""The workloads of Prosperity's evaluation, and the figures of its simulator for files of spikes.

A folder holds NAME.npz and NAME.expected.json (by design and operation). Nothing of them is part
of this project.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from experiments.prosperity.peer_files import Arrays, network_of, read_arrays, sdt, spikformer
from experiments.prosperity.workload import Attention, Operation, Product, pack_rows, unfold

_CIFAR, _DVS = (32, 32, 16, 8), (64, 32, 16, 8)

PUBLISHED: dict[str, list[Operation]] = {
    "spikformer_cifar10": spikformer(384, 4, 12, 4, _CIFAR),
    "spikformer_cifar100": spikformer(384, 4, 12, 4, _CIFAR),
    "spikformer_cifar10dvs": spikformer(256, 2, 16, 16, _DVS),
    "sdt_cifar10": sdt(512, 4, 8, 4, _CIFAR),
    "sdt_cifar100": sdt(512, 4, 8, 4, _CIFAR),
    "sdt_cifar10dvs": sdt(512, 2, 8, 10, _DVS),
}
"""The vision Transformers of the published table, by its names of them."""


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
