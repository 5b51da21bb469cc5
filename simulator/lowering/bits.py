"""The bits behind tiles, for arrays that look at them: gathered run by run of tiles."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from simulator.config.arrays import Bools, Bytes, Int32s, Ints, Words
from simulator.config.kernels import kernel, kernel_part
from simulator.lowering import walks as w
from simulator.lowering.pixels import pixel_under, tap_offset
from simulator.lowering.scopes import ScopePlan, Scopes
from simulator.lowering.tiles import Batch, TileLayout
from simulator.lowering.walks import Walks, WalkTables


class BlockRows(NamedTuple):
    """Hold the operand rows of all blocks: `ptr` (blocks + 1,), the rest int32 (rows,)."""

    ptr: Ints
    timestep: Int32s
    row: Int32s


def block_rows(walks: Walks, plan: ScopePlan, scopes: Scopes) -> BlockRows:
    """List the rows of all blocks; those of a transposed operand are the channels of a head."""
    ptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(scopes.sizes)])
    number = scopes.block_scope % max(len(plan.walk), 1)
    before = ptr[:-1] - ptr[scopes.first_block.ravel()[scopes.block_scope]]
    within = np.arange(ptr[-1]) - np.repeat(ptr[:-1], scopes.sizes) + np.repeat(
        before, scopes.sizes
    )  # fmt: skip
    columns = (walks.tables.table[plan.walk, w.KIND] == w.COLUMNS)[number]
    first = np.where(columns, 0, scopes.first_row.ravel()[scopes.block_scope])
    place = within + np.repeat(first, scopes.sizes)
    is_column = np.repeat(columns, scopes.sizes)
    listed = np.where(is_column, 0, place)
    step = np.repeat(plan.first_step[number], scopes.sizes)
    if not len(scopes.row):
        return BlockRows(ptr, step.astype(np.int32), place.astype(np.int32))
    return BlockRows(
        ptr,
        np.where(is_column, step, scopes.timestep[listed]).astype(np.int32),
        np.where(is_column, place, scopes.row[listed]).astype(np.int32),
    )


class BitGather(NamedTuple):
    """Give the bits of a run of tiles: see Tiles.word_runs."""

    walks: Walks
    plan: ScopePlan
    scopes: Scopes
    batch: Batch
    layout: TileLayout
    rows: BlockRows

    def __call__(self, first: int, last: int) -> tuple[Words, Ints]:
        """Return words and ptr of tiles first..last."""
        layout = self.layout
        counts = np.diff(layout.ptr[first : last + 1]) * -(-layout.inputs[first:last] // 64)
        ptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        words = np.zeros(int(ptr[-1]), np.uint64)
        _gather(
            self.batch.arena,
            self.batch.active,
            self.walks.tables,
            self.plan.walk,
            self.scopes.first_row.ravel(),
            (self.scopes.block_scope, self.scopes.sizes, self.scopes.timestep, self.scopes.row),
            self.rows,
            layout,
            first,
            ptr,
            words,
        )
        return words, ptr


@kernel
def _gather(
    arena: Bytes,
    active: Bools,
    walks: WalkTables,
    scope_walk: Ints,
    first_row: Ints,
    listed: Any,
    rows: BlockRows,
    layout: TileLayout,
    first: int,
    ptr: Ints,
    words: Words,
) -> None:
    block_scope, sizes, timestep, row_of = listed
    for number in range(len(ptr) - 1):
        tile = first + number
        block = layout.block[tile]
        flat = block_scope[block]
        image = flat // len(scope_walk)
        shape = walks.table[scope_walk[flat % len(scope_walk)]]
        width = (layout.inputs[tile] + 63) // 64
        begin = rows.ptr[block]
        if shape[w.KIND] == w.COLUMNS:
            begins = first_row[flat] + layout.chunk[tile] * shape[w.CHUNK_TOKENS]
            for item in range(layout.inputs[tile]):
                place = begins + item
                step = timestep[place] if shape[w.TIMESTEPS] > 1 else 0
                stored = step * shape[w.STORED_PLANES] * shape[w.PIXELS] + row_of[place]
                at = shape[w.OFFSET] + stored * shape[w.ROW_BYTES]
                for own in range(sizes[block]):
                    channel = layout.group[tile] * shape[w.PRODUCT_ROWS] + rows.row[begin + own]
                    bit = np.uint64((arena[image, at + (channel >> 3)] >> (channel & 7)) & 1)
                    words[ptr[number] + own * width + (item >> 6)] |= bit << np.uint64(item & 63)
            continue
        piece = shape[w.FIRST_CHUNK] + layout.group[tile] * shape[w.CHUNKS] + layout.chunk[tile]
        for own in range(sizes[block]):
            step, row = rows.timestep[begin + own], rows.row[begin + own]
            if shape[w.ZEROED_BY] >= 0 and not active[image, shape[w.ZEROED_BY], step, row]:
                continue
            target = ptr[number] + own * shape[w.PLANES] * width
            _append_row(arena[image], shape, walks, piece, step, row, width, target, words)


@kernel_part
def _append_row(
    data: Bytes,
    shape: Ints,
    walks: WalkTables,
    piece: int,
    step: int,
    row: int,
    width: int,
    target: int,
    words: Words,
) -> None:
    """Copy the inputs of a row under its window, segment after segment, plane by plane."""
    stored = step if shape[w.TIMESTEPS] > 1 else 0
    position = 0
    for segment in range(walks.chunk_ptr[piece], walks.chunk_ptr[piece + 1]):
        channels = shape[w.FIRST_RANGE] + walks.channel_range[segment]
        start, stop = walks.start[channels], walks.stop[channels]
        pixel = pixel_under(shape, row, tap_offset(shape, walks.tap[segment]))
        if pixel >= 0:
            for plane in range(shape[w.PLANES]):
                own = (stored * shape[w.STORED_PLANES] + plane) * shape[w.PIXELS] + pixel
                at = shape[w.OFFSET] + own * shape[w.ROW_BYTES]
                _append_bits(data, at, start, stop, words, target + plane * width, position)
        position += stop - start


@kernel_part
def _append_bits(
    data: Bytes, at: int, start: int, stop: int, words: Words, target: int, position: int
) -> None:
    """Copy bits start..stop of the row at byte `at` to `position` of a row of words, set to 0."""
    while start < stop:
        taken = min(8 - (start & 7), stop - start)
        value = np.uint64((data[at + (start >> 3)] >> (start & 7)) & ((1 << taken) - 1))
        place = position & 63
        words[target + (position >> 6)] |= value << np.uint64(place)
        if place + taken > 64:
            words[target + (position >> 6) + 1] |= value >> np.uint64(64 - place)
        start += taken
        position += taken
