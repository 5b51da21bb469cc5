"""Which array costs which tiles: those of a core's arrays side by side, in the order of all tiles.

A core with one array hands it all tiles in one call. With several, each gets the tiles of its own
products, as if there were no others; what it says is put back to the places of its tiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.components.pe_arrays.base import ArrayCost, Gather, PEArray, RowLists, Tiles
from simulator.config.arrays import Ints, Words

Masks = npt.NDArray[np.bool_]


class Costs(NamedTuple):
    """Hold what tiles cost; as ArrayCost, but per_output and per_pass have keys (array, action)."""

    cycles: Ints
    per_output: dict[tuple[str, str], Ints]
    per_pass: dict[tuple[str, str], Ints]
    partial_sum_read_vectors: Ints
    partial_sum_write_vectors: Ints
    spike_bits: Ints
    weights_per_output: Ints


def cost_tiles(arrays: Mapping[str, PEArray], tiles: Tiles, array_of: Ints) -> Costs:
    """Return the costs of tiles; `array_of`: int64 (blocks,), number of the array of each block."""
    if len(arrays) == 1:
        ((path, array),) = arrays.items()
        cost = array.cost(tiles)
        per_output, per_pass = (
            {(path, action): values for action, values in each.items()}
            for each in (cost.per_output, cost.per_pass)
        )
        return Costs(cost.cycles, per_output, per_pass, *cost[3:])
    blocks = len(tiles.sizes)
    total = Costs(
        np.zeros(len(tiles.block), np.int64),
        {},
        {},
        *(np.zeros(blocks, np.int64) for _ in range(4)),
    )
    for number, (path, array) in enumerate(arrays.items()):
        own = array_of == number
        if own.any():
            _put(total, path, array.cost(_chosen(tiles, own)), own, own[tiles.block])
    return total


def additions(costs: Costs, arrays: Mapping[str, PEArray]) -> tuple[Ints, Ints]:
    """Return int64 (blocks,) twice: additions that are needed, of an output and of a column tile.

    Those of arrays that add zeros too are not known from what they count: 0.
    """
    keys = [
        (path, action)
        for path, array in arrays.items()
        if not array.computes_zeros
        for action in array.adds
    ]
    nothing = np.zeros_like(costs.spike_bits)
    of_output, of_pass = (
        sum((counts[key] for key in keys if key in counts), nothing)
        for counts in (costs.per_output, costs.per_pass)
    )
    return of_output, of_pass


def _put(total: Costs, path: str, cost: ArrayCost, blocks: Masks, tiles: Masks) -> None:
    """Put what an array says of its blocks and tiles to their places."""
    total.cycles[tiles] = cost.cycles
    for name in ArrayCost._fields[3:]:
        getattr(total, name)[blocks] = getattr(cost, name)
    for found, counted in ((total.per_output, cost.per_output), (total.per_pass, cost.per_pass)):
        for action, values in counted.items():
            found[path, action] = np.zeros(len(blocks), np.int64)
            found[path, action][blocks] = values


def _chosen(tiles: Tiles, own: Masks) -> Tiles:
    """Return the tiles of some blocks alone."""
    chosen = np.flatnonzero(own[tiles.block])
    words = np.diff(tiles.ptr)
    number = np.cumsum(own) - 1
    of_tile = {name: getattr(tiles, name)[chosen] for name in ("chunk", "inputs", "pool")}
    of_block = {
        name: getattr(tiles, name)[own]
        for name in (
            "sizes", "planes", "groups", "chunks", "product_inputs", "outputs", "integer",
            "attention", "sharers", "grids",
        )
        if getattr(tiles, name) is not None
    }  # fmt: skip

    def rows() -> RowLists:
        every = tiles.rows()
        sizes = np.diff(every.ptr)
        listed = np.repeat(own, sizes)
        return RowLists(_ends(sizes[own]), every.timestep[listed], every.row[listed])

    return tiles._replace(
        ones=tiles.ones[np.repeat(own[tiles.block], words)],
        ptr=_ends(words[chosen]),
        block=number[tiles.block[chosen]],
        rows=rows,
        gather=None if tiles.gather is None else _Chosen(tiles.gather, chosen),
        **of_tile,
        **of_block,
    )


class _Chosen(NamedTuple):
    """Gives the bits of tiles chosen from others, run by run of neighbours."""

    gather: Gather
    chosen: Ints

    def __call__(self, first: int, last: int) -> tuple[Words, Ints]:
        tiles = self.chosen[first:last]
        breaks = np.flatnonzero(np.diff(tiles) > 1) + 1
        words, sizes = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
        for run in np.split(tiles, breaks):
            found, ptr = self.gather(int(run[0]), int(run[-1]) + 1)
            words.append(found)
            sizes.append(np.diff(ptr))
        return np.concatenate(words), _ends(np.concatenate(sizes))


def _ends(sizes: Ints) -> Ints:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
