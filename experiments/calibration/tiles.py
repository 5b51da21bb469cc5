"""Tiles of real traces, bit by bit: what the lowering counts, for a device that computes it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Bools, Ints
from simulator.lowering import Lowering, Plan
from simulator.lowering.bits import BitGather, block_rows
from simulator.lowering.constants import Constants
from simulator.lowering.plan import LayerPlan
from simulator.lowering.scopes import list_rows, make_scopes
from simulator.lowering.tiles import Batch, lay_out
from simulator.trace import Image


class Words(NamedTuple):
    """The words of one tile in order: bool (word, input), and the item and plane of each."""

    words: Bools
    item: Ints
    plane: Ints


class TileBits:
    """The tiles of a batch and their bits, for a device that computes with them."""

    def __init__(self, constants: Constants, batch: Batch) -> None:
        plan, walks = constants.timed, constants.walks
        lists = tuple(list_rows(each, batch.active) for each in plan.lists)
        self.constants = constants
        self.scopes = make_scopes(plan, walks, len(batch.active), lists)
        self.layout = lay_out(walks, plan, self.scopes)
        self.rows = block_rows(walks, plan, self.scopes)
        self.gather = BitGather(walks, plan, self.scopes, batch, self.layout, self.rows)

    def blocks_of(self, layer: int) -> tuple[int, int]:
        """Return the first block of a layer of the first image, and its blocks."""
        walk = int(self.constants.walks.of_layer[layer])
        first, last = self.constants.timed.first_of_walk[walk : walk + 2].tolist()
        return int(self.scopes.first_block[0, first]), int(self.scopes.blocks[0, first:last].sum())


class LayerTiles:
    """A layer of one image, cut as on a machine: the words of each (group, row block, chunk)."""

    def __init__(self, plan: Plan, layer_plan: LayerPlan, image: Image) -> None:
        lowering = Lowering(plan)
        self.bits = TileBits(lowering.constants, lowering.batch_of([image]))
        self.layer = layer_plan.layer
        self.first, self.blocks = self.bits.blocks_of(layer_plan.layer.index)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Groups, row blocks of all scopes, and chunks."""
        chunks = int(self.bits.layout.chunk[self._own].max(initial=-1)) + 1
        return self.layer.groups, self.blocks, chunks

    @property
    def _own(self) -> Bools:
        block = self.bits.layout.block
        return (block >= self.first) & (block < self.first + self.blocks)

    def words(self, group: int, block: int, chunk: int) -> Words:
        """Return the words of one tile, item by item and plane by plane."""
        layout = self.bits.layout
        chosen = (layout.block == self.first + block) & (layout.group == group)
        tile = int(np.flatnonzero(chosen & (layout.chunk == chunk))[0])
        packed, _ = self.bits.gather(tile, tile + 1)
        count, inputs = int(np.diff(layout.ptr)[tile]), int(layout.inputs[tile])
        flat = packed.reshape(count, -1).astype("<u8").view(np.uint8)
        bits = np.unpackbits(flat, axis=1, count=inputs, bitorder="little").view(np.bool_)
        item, plane = np.divmod(np.arange(count, dtype=np.int64), self.layer.planes)
        return Words(bits, item, plane)
