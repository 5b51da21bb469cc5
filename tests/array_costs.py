"""What every registered array says of the same few tiles; as a script, in JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import yaml

from simulator.components.base import build, registry
from simulator.components.pe_arrays.base import ArrayCost, PEArray, Tiles
from tests.works import joined, tiles_of_bits


def works(part: PEArray) -> list[Tiles]:
    """Random layers, and all as one: one plane or group and several, weights and activations."""
    random = np.random.default_rng(3)
    found = []
    for groups, rows, planes, inputs, density in (
        (1, 40, 1, 100, 0.2),
        (3, 24, 1, 20, 0.5),
        (1, 16, 3, 70, 0.1),
    ):
        bits = random.random((groups, rows, planes, inputs)) < density
        tiles = tiles_of_bits(bits, part.tile_inputs, block=12, timesteps=4, outputs=40)
        found += [tiles, tiles._replace(attention=np.ones_like(tiles.attention))]
    return [*found, joined(found)]


def plain(cost: ArrayCost) -> dict[str, Any]:
    """A cost as JSON can hold it."""
    return {
        name: {key: each.tolist() for key, each in value.items()}
        if isinstance(value, dict)
        else value.tolist()
        for name, value in cost._asdict().items()
    }


def costs() -> dict[str, list[dict[str, Any]]]:
    """All costs by kind of array."""
    found = {}
    for kind, part in registry("pe_arrays").items():
        array = build("pe_arrays", yaml.safe_load(part.example))
        assert isinstance(array, PEArray)
        found[kind] = [plain(array.cost(tiles)) for tiles in works(array)]
    return found


if __name__ == "__main__":
    print(json.dumps(costs()))
