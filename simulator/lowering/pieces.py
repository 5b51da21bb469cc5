"""One layer of one image on the array: its rows, its ones, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.components.dataflows.base import ALL_TIMESTEPS
from simulator.components.memories.base import Memory
from simulator.components.pe_arrays.base import ArrayCost, Work
from simulator.lowering.plan import LayerPlan, Plan
from simulator.lowering.tables import BLOCKS
from simulator.lowering.tiling import (
    ColumnGather,
    RowGather,
    Rows,
    count_column_ones,
    count_ones,
    cut_heads,
    cut_rows,
)
from simulator.operations import live_rows
from simulator.trace import Image

Ints = npt.NDArray[np.int64]


class RowBlock(NamedTuple):
    """How rows are cut: see tiling.cut_rows."""

    block: int
    parts: int
    together: int


RowList = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]


@dataclass(frozen=True)
class Part:
    """A layer cut and costed, one entry a scope where not said otherwise.

    `costs`: one for the blocks of all scopes, or one a scope (attention, whose sizes change with
    the tokens); `conflicts` (block,): cycles lost in the spike buffer, of one group and column
    tile; `rows`: of each block, scope after scope; `blocks`, `chunks`, `outputs`: the loops of each
    scope; `inputs`: of each chunk, for each of the costs.
    """

    costs: tuple[ArrayCost, ...]
    conflicts: Ints
    rows: Ints
    blocks: Ints
    chunks: Ints
    outputs: Ints
    inputs: tuple[Ints, ...]

    @cached_property
    def spans(self) -> list[slice]:
        """The blocks of each scope, among those of all."""
        counts = self.blocks.tolist()
        ends = accumulate(counts)
        return [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]

    @cached_property
    def scope_rows(self) -> list[int]:
        """Rows of each scope."""
        rows = self.rows.tolist()
        return [sum(rows[span]) for span in self.spans]

    @cached_property
    def input_totals(self) -> list[int]:
        """Inputs of all chunks of each scope."""
        totals = [int(inputs.sum()) for inputs in self.inputs]
        return totals if len(totals) > 1 else totals * len(self.blocks)

    def scope_cost(self, scope: int) -> tuple[ArrayCost, slice]:
        """The cost that holds a scope, and the scope's blocks in it."""
        if len(self.costs) > 1:
            return self.costs[scope], slice(0, int(self.blocks[scope]))
        return self.costs[0], self.spans[scope]

    def scope_inputs(self, scope: int) -> Ints:
        """Inputs of each chunk of a scope."""
        return self.inputs[scope if len(self.inputs) > 1 else 0]


class Pieces(NamedTuple):
    """`timed`: what the array executes; `counted`: what is paid for (the same unless gated).

    `useful`: accumulations of a one of a live row with a weight; `live_rows`: of all timesteps.
    """

    timed: Part
    counted: Part
    useful: int
    live_rows: int


class RowCache:
    """Row lists of one image: the layers of a block share them, and a stem's never change."""

    def __init__(self) -> None:
        self._gathered: dict[tuple[int, int], tuple[Rows, Ints, Ints]] = {}
        self._known: dict[tuple[object, ...], tuple[list[npt.NDArray[np.int32]], Rows]] = {}

    def cut(
        self, rows: list[npt.NDArray[np.int32]], together: bool, block: RowBlock, *key: object
    ) -> Rows:
        """The rows of all scopes, cut into blocks; `key` says whose rows they are."""
        whole = (together, block, len(rows), *key)
        if whole not in self._known:
            self._known[whole] = (rows, cut_rows(_scopes(rows, together), *block))
        return self._known[whole][1]

    def gather(self, rows: Rows, spikes: Memory, bits: int) -> tuple[Ints, Ints]:
        """Cycles to read each block's rows, `bits` each, and those lost to conflicts."""
        key = (id(rows), bits)
        if key not in self._gathered:
            found = spikes.gather_cycles(rows.row, rows.block_ptr, bits)
            self._gathered[key] = rows, *found
        return self._gathered[key][1:]


def row_block(plan: Plan, layer_plan: LayerPlan, together: bool) -> RowBlock:
    """How a layer's rows are cut, for one core or several; `together`: all timesteps at once."""
    parts = plan.machine.cores if layer_plan.share == BLOCKS else 1
    return RowBlock(layer_plan.row_block, parts, layer_plan.layer.timesteps if together else 1)


def layer_pieces(
    plan: Plan, layer_plan: LayerPlan, image: Image, cache: RowCache | None = None
) -> Pieces:
    """Cut and cost a layer; halted rows are dropped, gated or left as zeros by the token skip."""
    cache = cache or RowCache()
    layer, skip = layer_plan.layer, plan.architecture.token_skip
    live = live_rows(layer, image, plan.network.tokens)[: layer_plan.computed_timesteps]
    every = np.arange(plan.network.tokens if layer.is_attention else layer.rows, dtype=np.int32)
    executed = live if skip.drops_rows or layer.mask is None else [every] * len(live)
    active = None if layer.mask is None or executed is live else image.active[layer.mask]
    spared = executed is not live and skip.spares_energy
    if layer.transposed:
        return _columns(plan, layer_plan, image, executed, live if spared else executed, live)
    timed, useful = _product(plan, layer_plan, image, executed, active, live, cache)
    counted = _product(plan, layer_plan, image, live, None, live, cache)[0] if spared else timed
    return Pieces(timed, counted, useful, sum(map(len, live)))


def _product(
    plan: Plan,
    layer_plan: LayerPlan,
    image: Image,
    executed: list[npt.NDArray[np.int32]],
    active: npt.NDArray[np.bool_] | None,
    live: list[npt.NDArray[np.int32]],
    cache: RowCache,
) -> tuple[Part, int]:
    """A layer whose operand rows are tokens or pixels, and its useful accumulations."""
    layer, array = layer_plan.layer, plan.architecture.core.pe_array
    together = (
        len(layer_plan.scopes) == 1 and plan.steps[layer_plan.scopes[0]].timestep == ALL_TIMESTEPS
    )
    whose = layer.mask if executed is live else None
    block = row_block(plan, layer_plan, together)
    rows = cache.cut(executed, together, block, whose, len(executed[0]))
    bits = image.tensors[layer.operand or ""]
    if layer.is_attention:
        size = array.tile_inputs or layer.inputs
        chunks = cut_heads(layer.groups, layer.inputs, size)
        ones = count_ones(bits, rows, layer.window, chunks)
        by_head = ones.reshape(len(rows.row), layer.planes, layer.groups, len(chunks.inputs))
        ones = np.ascontiguousarray(by_head.transpose(2, 0, 1, 3))
    else:
        assert layer_plan.chunks is not None
        chunks = layer_plan.chunks
        ones = count_ones(bits, rows, layer.window, chunks)[None]
    kept = np.ones(len(rows.row), np.bool_)
    if active is not None:
        kept = active[rows.timestep, rows.row]
        ones = ones * kept[None, :, None, None].astype(np.int32)
    scope_blocks = np.diff(rows.scope_ptr)
    if layer.outputs_are_tokens:
        outputs = np.array([len(tokens) for tokens in executed], np.int64)
        live_outputs = [len(tokens) for tokens in live]
        per_row = ones.sum(axis=(0, 2, 3), dtype=np.int64)
        useful = sum(
            int(per_row[rows.timestep == step].sum()) * count
            for step, count in enumerate(live_outputs)
        )
    else:
        outputs = np.full(len(scope_blocks), layer.outputs, np.int64)
        useful = int(ones.sum(dtype=np.int64)) * layer.outputs
    work = Work(
        ones,
        rows.block_ptr,
        chunks.inputs,
        layer.integer_input,
        rows.timestep,
        rows.row,
        np.repeat(outputs, scope_blocks),
        layer.is_attention,
        RowGather(bits, rows, layer.window, chunks, kept) if array.reads_bits else None,
    )
    spikes = plan.architecture.core.buffers.spikes
    gathered = executed is live and layer.mask is not None and not together
    row_bits = chunks.inputs * layer.planes
    cost, conflicts = _fed(array.cost(work), spikes, rows, row_bits, cache if gathered else None)
    part = Part(
        costs=(cost,),
        conflicts=conflicts,
        rows=np.diff(rows.block_ptr),
        blocks=scope_blocks,
        chunks=np.full(len(scope_blocks), len(chunks.inputs), np.int64),
        outputs=outputs,
        inputs=(chunks.inputs,),
    )
    return part, useful


def _fed(
    cost: ArrayCost, spikes: Memory, rows: Rows, row_bits: Ints, cache: RowCache | None
) -> tuple[ArrayCost, Ints]:
    """The cost where the spike buffer feeds the array, and the cycles lost to conflicts (block,).

    The words of a chunk lie row after row over the banks, `row_bits` (chunk,) each. In sequence the
    buffer is taken to keep up. Gathered rows, those that halting has left, meet in its banks, and a
    tile takes the longer of array and buffer. `cache`: of gathered rows, else None.
    """
    blocks = len(rows.block_ptr) - 1
    conflicts = np.zeros(blocks, np.int64)
    if cache is None:
        return cost, conflicts
    reads = np.zeros((blocks, len(row_bits)), np.int64)
    for bits in np.unique(row_bits):
        cycles, lost = cache.gather(rows, spikes, int(bits))
        chunks = row_bits == bits
        reads[:, chunks] = cycles[:, None]
        conflicts += lost * int(chunks.sum())
    return cost._replace(cycles=np.maximum(cost.cycles, reads[None])), conflicts


def _columns(
    plan: Plan,
    layer_plan: LayerPlan,
    image: Image,
    executed: list[npt.NDArray[np.int32]],
    counted: list[npt.NDArray[np.int32]],
    live: list[npt.NDArray[np.int32]],
) -> Pieces:
    """A product walked as its operand transposed: rows are channels, inputs are tokens."""
    layer = layer_plan.layer
    ones = np.bitwise_count(image.tensors[layer.operand or ""][:, 0]).sum(
        axis=(1, 2), dtype=np.int64
    )
    outputs = [len(tokens) if layer.outputs_are_tokens else layer.outputs for tokens in live]
    timed = _transposed(plan, layer_plan, image, executed)
    same = counted is executed
    return Pieces(
        timed=timed,
        counted=timed if same else _transposed(plan, layer_plan, image, counted),
        useful=sum(int(count) * width for count, width in zip(ones, outputs, strict=True)),
        live_rows=sum(map(len, live)),
    )


def _transposed(
    plan: Plan, layer_plan: LayerPlan, image: Image, tokens: list[npt.NDArray[np.int32]]
) -> Part:
    """The product at each timestep: rows are a head's channels, inputs its tokens."""
    layer, array = layer_plan.layer, plan.architecture.core.pe_array
    size = array.tile_inputs or layer.inputs
    bits = image.tensors[layer.operand or ""]
    counts, ptr = count_column_ones(
        bits,
        cut_rows(_scopes(tokens, together=False), 1 << 30),
        layer.groups * layer.rows,
        size,
    )
    block_ptr = np.append(np.arange(0, layer.rows, layer_plan.row_block), layer.rows)
    outputs = [len(live) if layer.outputs_are_tokens else layer.outputs for live in tokens]
    costs, sizes = [], []
    for step, live in enumerate(tokens):
        part = counts[ptr[step] : ptr[step + 1]]
        by_head = part.reshape(len(part), layer.groups, layer.rows, 1)
        ones = np.ascontiguousarray(by_head.transpose(1, 2, 3, 0))
        sizes.append(np.minimum(size, len(live) - np.arange(len(part), dtype=np.int64) * size))
        work = Work(
            ones,
            block_ptr.astype(np.int64),
            sizes[-1],
            False,
            np.full(layer.rows, step, np.int32),
            np.arange(layer.rows, dtype=np.int32),
            np.full(len(block_ptr) - 1, outputs[step], np.int64),
            True,
            ColumnGather(bits[step if len(bits) > 1 else 0, 0], live, layer.rows, size)
            if array.reads_bits
            else None,
        )
        costs.append(array.cost(work))
    blocks = len(block_ptr) - 1
    live_blocks = [blocks if len(live) else 0 for live in tokens]
    return Part(
        costs=tuple(costs),
        conflicts=np.zeros(sum(live_blocks), np.int64),
        rows=np.tile(np.diff(block_ptr), sum(count > 0 for count in live_blocks)),
        blocks=np.array(live_blocks, np.int64),
        chunks=np.array([len(inputs) for inputs in sizes], np.int64),
        outputs=np.array(outputs, np.int64),
        inputs=tuple(sizes),
    )


def _scopes(rows: list[npt.NDArray[np.int32]], together: bool) -> list[RowList]:
    """(timestep, row) lists: one a timestep, or one of all, token-major and timestep-minor."""
    by_step = [(np.full(len(row), step, np.int32), row) for step, row in enumerate(rows)]
    if not together:
        return by_step
    steps = np.concatenate([step for step, _ in by_step])
    row = np.concatenate([row for _, row in by_step])
    order = np.lexsort((steps, row))
    return [(steps[order], row[order])]
