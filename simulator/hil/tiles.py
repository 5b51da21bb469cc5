"""Tiles of real traces, bit by bit: what the lowering counts, for a device that computes it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.lowering.plan import LayerPlan, Plan
from simulator.operations import live_rows
from simulator.tiling import Rows, cut_heads, cut_inputs, cut_rows
from simulator.trace import Image

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


class Words(NamedTuple):
    """The words of one tile in order: bool (word, input), and the item and plane of each."""

    words: Bools
    item: Ints
    plane: Ints


class LayerTiles:
    """A layer of one image, cut as on a machine: its (row block, chunk of inputs) pieces by number.

    Attention's context is left out: its rows are channels, cut anew at each timestep.
    """

    def __init__(self, plan: Plan, layer_plan: LayerPlan, image: Image) -> None:
        layer, array = layer_plan.layer, plan.architecture.core.pe_array
        self.layer = layer
        self.bits = image.tensors[layer.operand or ""]
        self.rows = _rows(plan, layer_plan, image)
        size = array.tile_inputs or layer.inputs
        if layer.kind == "attention_scores":
            self.chunks = cut_heads(layer.groups, layer.inputs, size)
        else:
            channels = layer.inputs // layer.window.taps
            taps = layer.window.taps
            self.chunks = cut_inputs(taps, channels, size, across_taps=array.across_taps)

    def __len__(self) -> int:
        return (len(self.rows.block_ptr) - 1) * (len(self.chunks.ptr) - 1)

    def __getitem__(self, number: int) -> Words:
        block, chunk = divmod(number, len(self.chunks.ptr) - 1)
        items = slice(int(self.rows.block_ptr[block]), int(self.rows.block_ptr[block + 1]))
        step = self.rows.timestep[items] if self.bits.shape[0] > 1 else 0
        pieces = [
            self._segment(step, self.rows.row[items], int(self.chunks.tap[segment]), segment)
            for segment in range(self.chunks.ptr[chunk], self.chunks.ptr[chunk + 1])
        ]
        words = np.concatenate(pieces, axis=2)
        count, planes, inputs = words.shape
        item, plane = np.divmod(np.arange(count * planes, dtype=np.int64), planes)
        return Words(words.reshape(-1, inputs), item, plane)

    def _segment(
        self, step: npt.NDArray[np.int32] | int, row: npt.NDArray[np.int32], tap: int, segment: int
    ) -> Bools:
        """bool (item, plane, input): a range of channels under one tap, zeros in the padding."""
        window, where = self.layer.window, self.chunks.channel_range[segment]
        start, stop = int(self.chunks.start[where]), int(self.chunks.stop[where])
        y = row // window.out_grid[1] * window.stride[0] - window.padding[0]
        x = row % window.out_grid[1] * window.stride[1] - window.padding[1]
        y, x = y + tap // window.kernel[1], x + tap % window.kernel[1]
        height, width = window.in_grid
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        pixel = np.where(inside, y * width + x, 0)
        packed = self.bits[step, :, pixel, start // 8 : -(-stop // 8)]
        bits = np.unpackbits(packed, axis=2, bitorder="little").view(np.bool_)
        found: Bools = bits[:, :, start % 8 : start % 8 + stop - start] & inside[:, None, None]
        return found


def _rows(plan: Plan, layer_plan: LayerPlan, image: Image) -> Rows:
    """The rows that run: those of each timestep, or of all together, token-major."""
    layer = layer_plan.layer
    live = live_rows(layer, image, plan.network.tokens)[: layer_plan.computed_timesteps]
    if not plan.architecture.token_skip.drops_rows and layer.mask is not None:
        live = [np.arange(plan.network.tokens, dtype=np.int32)] * len(live)
    scopes = [(np.full(len(row), step, np.int32), row) for step, row in enumerate(live)]
    if len(layer_plan.scopes) == 1:
        steps = np.concatenate([step for step, _ in scopes])
        row = np.concatenate([row for _, row in scopes])
        order = np.lexsort((steps, row))
        scopes = [(steps[order], row[order])]
    return cut_rows(scopes, layer_plan.row_block)
