"""Tiles of real traces, bit by bit: what the lowering counts, for a device that computes it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.components.dataflows.base import ALL_TIMESTEPS
from simulator.lowering.pieces import RowCache, row_block
from simulator.lowering.plan import LayerPlan, Plan
from simulator.lowering.tiling import Chunks, RowGather, Rows, cut_heads
from simulator.operations import live_rows
from simulator.trace import Image

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


class Words(NamedTuple):
    """The words of one tile in order: bool (word, input), and the item and plane of each."""

    words: Bools
    item: Ints
    plane: Ints


class LayerTiles:
    """A layer of one image, cut as on a machine: the words of each (group, row block, chunk).

    Not for attention's context, whose rows are channels, cut anew at each timestep.
    """

    def __init__(self, plan: Plan, layer_plan: LayerPlan, image: Image) -> None:
        layer, array = layer_plan.layer, plan.architecture.core.pe_array
        self.layer = layer
        self.bits = image.tensors[layer.operand or ""]
        self.rows = _rows(plan, layer_plan, image)
        self.chunks: Chunks
        if layer.kind == "attention_scores":
            size = array.tile_inputs or layer.inputs
            self.chunks = cut_heads(layer.groups, layer.inputs, size)
        else:
            assert layer_plan.chunks is not None
            self.chunks = layer_plan.chunks

    @property
    def shape(self) -> tuple[int, int, int]:
        """Groups, row blocks of all scopes, and chunks."""
        return self.layer.groups, len(self.rows.block_ptr) - 1, len(self.chunks.inputs)

    def words(self, group: int, block: int, chunk: int) -> Words:
        """The words of one tile, item by item and plane by plane."""
        items = slice(int(self.rows.block_ptr[block]), int(self.rows.block_ptr[block + 1]))
        rows = self.rows._replace(
            timestep=self.rows.timestep[items],
            row=self.rows.row[items],
        )
        kept = np.ones(len(rows.row), np.bool_)
        gather = RowGather(self.bits, rows, self.layer.window, self.chunks, kept)
        return _unpacked(gather(group, chunk), int(self.chunks.inputs[chunk]))


def _unpacked(packed: npt.NDArray[np.uint64], inputs: int) -> Words:
    """Words of uint64 (row, plane, 64 inputs)."""
    rows, planes, _ = packed.shape
    flat = np.ascontiguousarray(packed.reshape(rows * planes, -1).astype("<u8")).view(np.uint8)
    bits = np.unpackbits(flat, axis=1, count=inputs, bitorder="little").view(np.bool_)
    item, plane = np.divmod(np.arange(rows * planes, dtype=np.int64), planes)
    return Words(bits, item, plane)


def _rows(plan: Plan, layer_plan: LayerPlan, image: Image) -> Rows:
    """The rows that run, cut as the lowering cuts them."""
    layer = layer_plan.layer
    live = live_rows(layer, image, plan.network.tokens)[: layer_plan.computed_timesteps]
    if not plan.architecture.token_skip.drops_rows and layer.mask is not None:
        live = [np.arange(plan.network.tokens, dtype=np.int32)] * len(live)
    scopes = layer_plan.scopes
    together = len(scopes) == 1 and plan.steps[scopes[0]].timestep == ALL_TIMESTEPS
    return RowCache().cut(live, together, row_block(plan, layer_plan, together))
