"""The loops of each walk at each of its scopes, for all images of a batch: columns of integers.

A scope is what runs together: a timestep, or all of them. Blocks of rows, chunks of inputs and
outputs of a scope follow from its live rows alone; tiles and blocks are numbered image by image, so
that those of an image follow each other.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.config.arrays import Int32s, Ints
from simulator.lowering import walks as w
from simulator.lowering.tiling import block_ends
from simulator.lowering.walks import Walk, Walks

Masks = npt.NDArray[np.bool_]


class ScopePlan(NamedTuple):
    """List the scopes of all walks, walk after walk; int64 (scopes,) where not said otherwise."""

    walk: Ints
    first_step: Ints  # timesteps that it runs together
    steps: Ints
    row_list: Ints  # number of its list of rows
    list_scope: Ints  # its place among the scopes of that list
    groups: Ints  # of its product
    product_inputs: Ints  # 0: live tokens
    first_of_walk: Ints  # (walks + 1,)
    lists: tuple[RowListPlan, ...]  # the distinct ways to list and cut rows


class RowListPlan(NamedTuple):
    """Say how to list rows and to cut them into blocks."""

    mask: int  # block whose live tokens are listed, or -1 for all rows
    rows: int  # that there are
    timesteps: tuple[tuple[int, ...], ...]  # of each scope
    row_block: int  # see tiling.block_ends
    parts: int
    together: int


class RowList(NamedTuple):
    """List the rows of all images and scopes in one way; int64 (images, scopes) if not said."""

    rows: Ints
    first: Ints  # place of the first row
    timestep: Int32s  # (rows,)
    row: Int32s  # (rows,)
    blocks: Ints
    first_block: Ints  # among the blocks of this list
    sizes: Ints  # (blocks,), rows of each


class Scopes(NamedTuple):
    """Hold the loops of a batch; int64 (images, scopes) where not said otherwise."""

    rows: Ints  # of the operand that run, or tokens of a transposed one
    blocks: Ints
    chunks: Ints
    outputs: Ints
    tiles: Ints
    first_block: Ints  # where those of the scope begin among all
    first_tile: Ints
    first_word: Ints
    words: Ints  # of the tiles of the scope, one a (row, plane)
    first_row: Ints  # in `timestep` and `row`, its rows or tokens
    timestep: Int32s
    row: Int32s
    complete: Masks  # all rows of a grid run
    sizes: Ints  # (blocks,), rows of each
    block_scope: Ints  # (blocks,), flat (image, scope)


def plan_scopes(walks: tuple[Walk, ...], *, listed: bool) -> ScopePlan:
    """Number the scopes of walks. `listed`: only live tokens run, else all with their zeros."""
    lists: dict[RowListPlan, int] = {}
    columns: list[tuple[int, ...]] = []
    ends = [0]
    for index, walk in enumerate(walks):
        layer = walk.layer
        rows = layer.inputs if walk.is_columns else layer.rows
        cut = (walk.row_block, walk.parts, walk.together)
        if walk.is_columns:
            cut = (1 << 30, 1, 1)
        mask = walk.mask if listed else -1
        row_list = lists.setdefault(RowListPlan(mask, rows, walk.timesteps, *cut), len(lists))
        inputs = 0 if walk.is_columns else int(walk.chunk_inputs.sum())
        columns += [
            (index, steps[0], len(steps), row_list, place, layer.groups, inputs)
            for place, steps in enumerate(walk.timesteps)
        ]
        ends.append(len(columns))
    table = np.array(columns, np.int64).reshape(-1, 7)
    parts = [np.ascontiguousarray(column) for column in table.T]
    return ScopePlan(
        walk=parts[0],
        first_step=parts[1],
        steps=parts[2],
        row_list=parts[3],
        list_scope=parts[4],
        groups=parts[5],
        product_inputs=parts[6],
        first_of_walk=np.array(ends, np.int64),
        lists=tuple(lists),
    )


def list_rows(plan: RowListPlan, active: Masks) -> RowList:
    """List the rows of all images; `active`: bool (image, block, timestep, token)."""
    images, scopes = len(active), len(plan.timesteps)
    steps = np.array(plan.timesteps, np.int64)
    if plan.mask < 0:
        live = np.ones((1, int(steps.max()) + 1, plan.rows), np.bool_)
    else:
        live = active[:, plan.mask]
    chosen = live[:, steps]  # (image, scope, timestep of the scope, row)
    count = chosen.sum(axis=(2, 3), dtype=np.int64)
    # A token's timesteps follow each other.
    _, scope, row, step = np.nonzero(chosen.transpose(0, 1, 3, 2))
    timestep = steps[scope, step].astype(np.int32)
    first = starts(count)
    if plan.parts == 1:
        blocks = -(-count // plan.row_block)
        scope_of = np.repeat(np.arange(count.size), blocks.ravel())
        place = np.arange(len(scope_of)) - np.repeat(starts(blocks).ravel(), blocks.ravel())
        left = count.ravel()[scope_of] - place * plan.row_block
        sizes = np.minimum(left, plan.row_block)
    else:
        cuts = [_sizes(int(n), plan.row_block, plan.parts, plan.together) for n in count.flat]
        blocks = np.array([len(cut) for cut in cuts], np.int64).reshape(count.shape)
        sizes = np.array([size for cut in cuts for size in cut], np.int64)
    first_block = starts(blocks)
    if plan.mask < 0 and images > 1:
        count, first, blocks, first_block = (
            np.broadcast_to(each, (images, scopes)) for each in (count, first, blocks, first_block)
        )
    return RowList(count, first, timestep, row.astype(np.int32), blocks, first_block, sizes)


@lru_cache(maxsize=4096)
def _sizes(rows: int, block: int, parts: int, together: int) -> tuple[int, ...]:
    """Return the rows of each block of a scope."""
    return tuple(np.diff([0, *block_ends(rows, block, parts, together)]).tolist())


def make_scopes(plan: ScopePlan, walks: Walks, images: int, lists: tuple[RowList, ...]) -> Scopes:
    """Lay out the loops of all images; `lists`: of `plan.lists`."""
    table = walks.tables.table[plan.walk]
    columns = table[:, w.KIND] == w.COLUMNS
    row_ends = np.cumsum([0] + [len(each.row) for each in lists])
    rows, first_row, blocks = (np.empty((images, len(columns)), np.int64) for _ in range(3))
    for place, (number, scope) in enumerate(zip(plan.row_list, plan.list_scope, strict=True)):
        each = lists[number]
        rows[:, place] = each.rows[:, scope]
        blocks[:, place] = each.blocks[:, scope]
        first_row[:, place] = each.first[:, scope] + row_ends[number]
    live = rows > 0
    channels = table[:, w.PRODUCT_ROWS]
    blocks = np.where(columns, -(-channels // table[:, w.ROW_BLOCK]) * live, blocks)
    chunks = np.where(columns, -(-rows // table[:, w.CHUNK_TOKENS]), table[:, w.CHUNKS])
    outputs = np.where(table[:, w.OUTPUTS] > 0, table[:, w.OUTPUTS], rows)
    product_rows = np.where(columns, channels * live, rows)
    tiles = table[:, w.GROUPS] * blocks * chunks
    words = tiles // np.maximum(blocks, 1) * product_rows * np.where(columns, 1, table[:, w.PLANES])
    complete = rows == channels * plan.steps
    sizes, block_scope = _block_sizes(plan, table, lists, blocks, product_rows)
    empty = np.zeros(0, np.int32)
    return Scopes(
        rows=rows,
        blocks=blocks,
        chunks=chunks,
        outputs=outputs,
        tiles=tiles,
        first_block=starts(blocks),
        first_tile=starts(tiles),
        first_word=starts(words),
        words=words,
        first_row=first_row,
        timestep=np.concatenate([empty, *(each.timestep for each in lists)]),
        row=np.concatenate([empty, *(each.row for each in lists)]),
        complete=complete,
        sizes=sizes,
        block_scope=block_scope,
    )


def _block_sizes(
    plan: ScopePlan, table: Ints, lists: tuple[RowList, ...], blocks: Ints, product_rows: Ints
) -> tuple[Ints, Ints]:
    """Return the rows of each block, and its flat (image, scope)."""
    flat = blocks.ravel()
    scope = np.repeat(np.arange(flat.size), flat)
    place = np.arange(len(scope)) - np.repeat(starts(flat), flat)
    row_block = table[scope % len(plan.walk), w.ROW_BLOCK]
    sizes = np.minimum(product_rows.ravel()[scope] - place * row_block, row_block)
    for number, each in enumerate(plan.lists):
        if each.parts > 1:
            for column in np.flatnonzero(plan.row_list == number):
                own = scope % len(plan.walk) == column
                image = scope[own] // len(plan.walk)
                first = lists[number].first_block[image, plan.list_scope[column]]
                sizes[own] = lists[number].sizes[first + place[own]]
    return sizes, scope


def starts(counts: Ints) -> Ints:
    """Return where each entry begins when all are laid one after another, in the same shape."""
    ends = np.cumsum(counts.ravel())
    begin: Ints = (ends - counts.ravel()).reshape(counts.shape)
    return begin
