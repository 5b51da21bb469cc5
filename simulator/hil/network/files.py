"""A fixed-point network with some images as a file: numpy's .npz, a JSON description, no pickle."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.config.staged_file import written_file
from simulator.errors import DeviceError
from simulator.hil.network.fixed import FixedLayer, FixedNetwork, FixedStage

SCHEMA = "stasim-fixed/1"
OURS = b"description"
Arrays = dict[str, npt.NDArray[Any]]


class FixedFile(NamedTuple):
    """Hold a network and images, uint8 (image, y, x), with labels, int (image,).

    origin: what network and images are, and how often the twin is right.
    """

    network: FixedNetwork
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    origin: dict[str, Any]


def write_fixed(path: Path, content: FixedFile) -> None:
    """Write the file as a whole or not at all. Raises DeviceError."""
    network = content.network
    arrays: Arrays = {"images": content.images, "labels": content.labels, "head": network.head}
    arrays |= {"head_shift": network.head_shift, "head_bias": network.head_bias}
    if network.scores is not None:
        arrays["scores"] = network.scores
    for name, layer in _layers(network):
        arrays |= {f"{name}.{field}": value for field, value in layer._asdict().items()}
        arrays[f"{name}.weights"] = layer.weights.astype(np.int8)
    description = {
        "schema": SCHEMA,
        "origin": content.origin,
        **{key: getattr(network, key) for key in ("name", "side", "timesteps", "heads")},
        "limit": network.limit,
        "logit_unit": network.logit_unit,
        "stages": [[stage.pooled, stage.integrated] for stage in network.stages],
        "blocks": [sorted(block) for block in network.blocks],
    }
    arrays["description"] = np.frombuffer(json.dumps(description).encode(), np.uint8)
    with written_file(path, OURS, DeviceError) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_fixed(path: Path) -> FixedFile:
    """Read a file. Raises DeviceError for anything else."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays: Arrays = {name: stored[name] for name in stored.files}
        facts = json.loads(arrays["description"].tobytes())
        if facts["schema"] != SCHEMA:
            raise DeviceError(path, f"schema {facts['schema']}", f"must be {SCHEMA}")
        network = FixedNetwork(
            name=str(facts["name"]),
            side=int(facts["side"]),
            timesteps=int(facts["timesteps"]),
            heads=int(facts["heads"]),
            stages=tuple(
                FixedStage(_layer(arrays, f"stage {index}"), bool(pooled), bool(integrated))
                for index, (pooled, integrated) in enumerate(facts["stages"])
            ),
            blocks=tuple(
                {part: _layer(arrays, f"block {index} {part}") for part in parts}
                for index, parts in enumerate(facts["blocks"])
            ),
            scores=arrays["scores"].astype(np.int64) if "scores" in arrays else None,
            limit=int(facts["limit"]),
            head=arrays["head"].astype(np.int64),
            head_shift=arrays["head_shift"].astype(np.int64),
            head_bias=arrays["head_bias"].astype(np.int64),
            logit_unit=float(facts["logit_unit"]),
        )
        images, labels = arrays["images"].astype(np.uint8), arrays["labels"].astype(np.int64)
        return FixedFile(network, images, labels, dict(facts["origin"]))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DeviceError(f"{path}: not a fixed-point network ({SCHEMA}): {error}") from error


def _layers(network: FixedNetwork) -> Iterator[tuple[str, FixedLayer]]:
    for index, stage in enumerate(network.stages):
        yield f"stage {index}", stage.layer
    for index, block in enumerate(network.blocks):
        for part, layer in block.items():
            yield f"block {index} {part}", layer


def _layer(arrays: Arrays, name: str) -> FixedLayer:
    return FixedLayer(*(arrays[f"{name}.{field}"].astype(np.int64) for field in FixedLayer._fields))
