"""How operands are walked: one row a distinct walk, as integer tables that no image changes.

Layers that read the same rows in the same way, as q, k and v do, share a walk. A walk is either
ROWS (its rows are pixels or tokens, its inputs channels under a window) or COLUMNS (a transposed
operand: its rows are the channels of a head, its inputs live tokens).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from simulator.components.dataflows.base import ALL_TIMESTEPS
from simulator.config.arrays import Ints
from simulator.lowering.plan import LayerPlan, Plan
from simulator.lowering.tables import BLOCKS
from simulator.lowering.tiling import Chunks, cut_heads, of_groups
from simulator.operations import Layer
from simulator.operations.windows import ONES
from simulator.trace import TensorSpec

ROWS, COLUMNS = 0, 1

(
    KIND,  # ROWS or COLUMNS
    OFFSET,  # first byte of the operand in an image's row of the arena
    TIMESTEPS,  # shape of the stored operand, to ROW_BYTES
    PLANES,
    PIXELS,
    ROW_BYTES,
    KERNEL_DEPTH,  # the window, to OUT_WIDTH
    KERNEL_HEIGHT,
    KERNEL_WIDTH,
    STRIDE_Z,
    STRIDE_Y,
    STRIDE_X,
    PADDING_Z,
    PADDING_Y,
    PADDING_X,
    DILATION_Z,
    DILATION_Y,
    DILATION_X,
    IN_DEPTH,
    IN_HEIGHT,
    IN_WIDTH,
    OUT_DEPTH,
    OUT_HEIGHT,
    OUT_WIDTH,
    SPREAD_Z,  # from one input pixel to the next on the map that the window reads, zeros between
    SPREAD_Y,
    SPREAD_X,
    IS_LINE,  # 1: each row reads its own pixel
    GROUPS,  # loops of a product
    CHUNKS,
    FIRST_CHUNK,  # its place in `chunk_ptr`; chunks of group g follow those of group g - 1
    FIRST_RANGE,  # its channel ranges
    RANGES,
    PRODUCT_ROWS,  # rows of a group
    CHUNK_TOKENS,  # tokens of a chunk of COLUMNS
    ZEROED_BY,  # mask whose halted rows count as zeros, or -1
    ROW_BLOCK,  # rows of a block
    OUTPUTS,  # of the product, 0 where they are live tokens
    STORED_PLANES,  # that the trace stores, of which the upper PLANES are walked from OFFSET on
    WALK_COLUMNS,
) = range(40)
"""Columns of `WalkTables.table`."""


class Walk(NamedTuple):
    """Describe a walk and the layers that share it."""

    layers: tuple[int, ...]  # indices
    layer: Layer
    tensor: str  # name of the operand
    mask: int  # block of the halting mask, or -1
    timesteps: tuple[tuple[int, ...], ...]  # of each scope, those that it runs together
    row_block: int  # how rows are cut into blocks
    parts: int
    together: int
    chunk_inputs: Ints  # int64 (chunks,), empty for COLUMNS
    outputs: int  # of the product, 0 where they are live tokens

    @property
    def is_columns(self) -> bool:
        """Say whether rows are channels and inputs tokens."""
        return self.layer.transposed


class WalkTables(NamedTuple):
    """Hold all walks as integers; int64."""

    table: Ints  # (walks, WALK_COLUMNS)
    chunk_ptr: Ints  # segments of each (group, chunk) of each walk of ROWS
    tap: Ints  # (segments,), position in the kernel
    channel_range: Ints  # (segments,), number of the range
    start: Ints  # (ranges,), channels
    stop: Ints


class Walks(NamedTuple):
    """Hold all walks of a plan; int64."""

    walks: tuple[Walk, ...]
    tables: WalkTables
    of_layer: Ints  # (layers,), its walk, -1 if it is no product
    array: Ints  # (walks,), number of the array
    columns: Ints  # (walks,), outputs of a column tile
    chunk_inputs: Ints  # (walks, most chunks), 0 beyond a walk's and for COLUMNS
    tensor_offset: dict[str, int]  # bytes from an image's first to a tensor's first
    image_bytes: int  # of all tensors


def make_walks(plan: Plan) -> Walks:
    """List the distinct walks of a plan."""
    offsets, image_bytes = arena_layout(plan.network.tensors)
    found: dict[tuple[object, ...], Walk] = {}
    cuts: dict[tuple[object, ...], Chunks | None] = {}
    numbers: dict[tuple[object, ...], int] = {}
    of_layer = np.full(len(plan.layers), -1, np.int64)
    for layer_plan in plan.layers:
        layer = layer_plan.layer
        if layer.kind == "head" or layer.is_elementwise:
            continue
        walk, chunks = _walk(plan, layer_plan)
        shape = (layer.kind, layer.window, layer.groups, layer.inputs, layer.outputs)
        cut = (walk.timesteps, walk.row_block, walk.parts, walk.together)
        key = (layer.operand, layer.mask, layer_plan.array_number, *shape, *cut)
        if key in found:
            walk = found[key]._replace(layers=(*found[key].layers, layer.index))
        found[key], cuts[key] = walk, chunks
        of_layer[layer.index] = numbers.setdefault(key, len(numbers))
    walks, segments = tuple(found.values()), _Segments()
    table = np.zeros((len(walks), WALK_COLUMNS), np.int64)
    most = max((len(walk.chunk_inputs) for walk in walks), default=0)
    chunk_inputs = np.zeros((len(walks), max(most, 1)), np.int64)
    for place, (walk, chunks) in enumerate(zip(walks, cuts.values(), strict=True)):
        _fill(table[place], walk, plan, offsets[walk.tensor])
        chunk_inputs[place, : len(walk.chunk_inputs)] = walk.chunk_inputs
        if chunks is not None:
            table[place, [FIRST_CHUNK, FIRST_RANGE, RANGES]] = segments.add(chunks)
    tables = WalkTables(table, *segments.columns())
    first = [plan.layers[walk.layer.index] for walk in walks]
    array = np.array([each.array_number for each in first], np.int64)
    columns = np.array([each.columns for each in first], np.int64)
    return Walks(walks, tables, of_layer, array, columns, chunk_inputs, offsets, image_bytes)


def arena_layout(tensors: Mapping[str, TensorSpec]) -> tuple[dict[str, int], int]:
    """Return the offset of each tensor in an image's row of bytes, and the bytes of a row.

    Each tensor begins at a multiple of 8 bytes, so that its bits are read by words.
    """
    offsets, end = {}, 0
    for name, tensor in tensors.items():
        offsets[name] = end
        end += -(-math.prod(tensor.shape) // 8) * 8
    return offsets, end


def _walk(plan: Plan, layer_plan: LayerPlan) -> tuple[Walk, Chunks | None]:
    layer, array = layer_plan.layer, layer_plan.array
    steps = [plan.steps[scope].timestep for scope in layer_plan.scopes]
    every = tuple(range(layer_plan.computed_timesteps))
    timesteps = tuple(every if step == ALL_TIMESTEPS else (step,) for step in steps)
    chunks = layer_plan.chunks
    if layer.is_attention and not layer.transposed:
        chunks = cut_heads(layer.groups, layer.inputs, array.tile_inputs or layer.inputs)
    elif chunks is not None and layer.groups > 1:
        chunks = of_groups(chunks, layer.groups, layer.group_channels)
    walk = Walk(
        layers=(layer.index,),
        layer=layer,
        tensor=layer.operand or "",
        mask=-1 if layer.mask is None else int(layer.mask),
        timesteps=timesteps,
        row_block=layer_plan.row_block,
        parts=plan.machine.cores if layer_plan.share == BLOCKS and not layer.transposed else 1,
        together=layer.timesteps if len(timesteps[0]) > 1 or steps == [ALL_TIMESTEPS] else 1,
        chunk_inputs=np.zeros(0, np.int64) if chunks is None else chunks.inputs,
        outputs=0 if layer.outputs_are_tokens and layer.mask is not None else layer.outputs,
    )
    return walk, None if layer.transposed else chunks


def _fill(row: Ints, walk: Walk, plan: Plan, offset: int) -> None:
    layer, window = walk.layer, walk.layer.window
    tensor = plan.network.tensors[walk.tensor]
    array, skip = plan.layers[layer.index].array, plan.architecture.token_skip
    steps, stored, pixels, row_bytes = tensor.shape
    row[:] = [
        COLUMNS if walk.is_columns else ROWS,
        offset + (stored - layer.planes) * pixels * row_bytes,
        steps,
        layer.planes,
        pixels,
        row_bytes,
        *window.kernel,
        *window.stride,
        *window.padding,
        *window.dilation,
        *window.in_grid,
        *window.out_grid,
        *(window.spread if window.is_transposed else ONES),
        int(window.is_line),
        layer.groups,
        len(walk.chunk_inputs),
        0,
        0,
        0,
        layer.rows,
        array.tile_inputs or layer.inputs,
        walk.mask if not skip.drops_rows and not walk.is_columns else -1,
        walk.row_block,
        walk.outputs,
        stored,
    ]


class _Segments:
    """Collects the segments and channel ranges of all walks."""

    def __init__(self) -> None:
        self.ptr: list[Ints] = [np.zeros(1, np.int64)]
        self.tap: list[Ints] = []
        self.channel_range: list[Ints] = []
        self.start: list[Ints] = []
        self.stop: list[Ints] = []
        self.chunks = self.segments = self.ranges = 0

    def add(self, chunks: Chunks) -> tuple[int, int, int]:
        """Append the chunks of a walk; return its first chunk, first range, and ranges."""
        at = self.chunks, self.ranges, len(chunks.start)
        self.ptr.append(chunks.ptr[1:] + self.segments)
        self.tap.append(chunks.tap)
        self.channel_range.append(chunks.channel_range)
        self.start.append(chunks.start)
        self.stop.append(chunks.stop)
        self.chunks += len(chunks.ptr) - 1
        self.segments += len(chunks.tap)
        self.ranges += len(chunks.start)
        return at

    def columns(self) -> tuple[Ints, Ints, Ints, Ints, Ints]:
        """Return chunk_ptr, tap, channel_range, start and stop."""
        return (
            np.concatenate(self.ptr),
            _joined(self.tap),
            _joined(self.channel_range),
            _joined(self.start),
            _joined(self.stop),
        )


def _joined(parts: Sequence[Ints]) -> Ints:
    return np.concatenate([np.zeros(0, np.int64), *parts])
