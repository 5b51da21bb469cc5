"""The ones of every tile: kernels over packed bits, one call for all layers and images.

Rows of a tile follow each other, planes within rows. A convolution is counted once for each input
pixel and channel range; the counts are then added line by line under the window.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.components.pe_arrays.popcount import popcount
from simulator.config.arrays import Bools, Bytes, Int32s, Ints, Words
from simulator.config.kernels import kernel, kernel_part
from simulator.lowering.pixels import pixel_under, tap_offset
from simulator.lowering.scopes import ScopePlan, Scopes
from simulator.lowering.walks import (
    CHUNK_TOKENS,
    COLUMNS,
    FIRST_CHUNK,
    FIRST_RANGE,
    GROUPS,
    IN_DEPTH,
    IN_HEIGHT,
    IN_WIDTH,
    IS_LINE,
    KIND,
    OFFSET,
    OUT_DEPTH,
    OUT_HEIGHT,
    OUT_WIDTH,
    PIXELS,
    PLANES,
    PRODUCT_ROWS,
    RANGES,
    ROW_BYTES,
    SPREAD_X,
    SPREAD_Y,
    SPREAD_Z,
    STORED_PLANES,
    STRIDE_X,
    STRIDE_Y,
    STRIDE_Z,
    TIMESTEPS,
    ZEROED_BY,
    Walks,
    WalkTables,
)

_SPREAD = (
    np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    .view("<u8")
    .ravel()
    .astype(np.uint64)
)
"""The bits of a byte as eight bytes of a word: a constant of the kernels."""


class Batch(NamedTuple):
    """The data of some images.

    arena: uint8 (images, bytes), each tensor at its offset (walks.arena_layout).
    active: bool (images, blocks, timesteps, tokens).
    """

    arena: Bytes
    active: Bools


class _Loops(NamedTuple):
    """What the kernels read of the scopes; int64 (images, scopes) or (scopes,)."""

    walk: Ints
    first_step: Ints
    steps: Ints
    rows: Ints
    blocks: Ints
    chunks: Ints
    first_block: Ints
    first_tile: Ints
    first_word: Ints
    first_row: Ints
    complete: Bools
    sizes: Ints
    timestep: Int32s
    row: Int32s


class TileLayout(NamedTuple):
    """Where each tile is; int64 (tiles,).

    ptr: (tiles + 1,) words of each tile. block, group, chunk, inputs: of each tile. pool: equal
    where tiles of an image and product meet the same chunk of weights.
    """

    ptr: Ints
    block: Ints
    group: Ints
    chunk: Ints
    inputs: Ints
    pool: Ints


def count_ones(
    walks: Walks, plan: ScopePlan, scopes: Scopes, batch: Batch, dtype: npt.DTypeLike
) -> npt.NDArray[Any]:
    """Count the set bits of each (row, plane) of each tile."""
    ones = np.zeros(int(scopes.words.sum()), dtype)
    table = walks.tables.table
    windows = np.flatnonzero((table[:, KIND] != COLUMNS) & (table[:, IS_LINE] == 0))
    # Scratch: counts of all input pixels, sums of all output rows.
    steps = np.ones(len(table), np.int64)
    np.maximum.at(steps, plan.walk, plan.steps)
    pixels = (table[:, PIXELS] * table[:, PLANES] * steps * table[:, RANGES])[windows]
    sums = (table[:, PRODUCT_ROWS] * table[:, PLANES] * steps)[windows]
    _count(
        batch.arena,
        batch.arena.view(np.uint64),
        batch.active,
        walks.tables,
        _loops(plan, scopes),
        np.empty(int(pixels.max(initial=1)), dtype),
        np.empty(int(sums.max(initial=1)), dtype),
        np.empty(int(table[:, ROW_BYTES].max(initial=1)), np.uint64),
        np.empty(int(table[:, ROW_BYTES].max(initial=1)) * 8, np.int64),
        ones,
    )
    return ones


def lay_out(walks: Walks, plan: ScopePlan, scopes: Scopes) -> TileLayout:
    """Number the tiles and say where their words are."""
    count = int(scopes.tiles.sum())
    layout = TileLayout(
        np.zeros(count + 1, np.int64), *(np.empty(count, np.int64) for _ in range(5))
    )
    _lay_out(walks.tables, walks.chunk_inputs, _loops(plan, scopes), layout)
    return layout


def _loops(plan: ScopePlan, scopes: Scopes) -> _Loops:
    return _Loops(
        plan.walk,
        plan.first_step,
        plan.steps,
        scopes.rows,
        scopes.blocks,
        scopes.chunks,
        scopes.first_block,
        scopes.first_tile,
        scopes.first_word,
        scopes.first_row,
        scopes.complete,
        scopes.sizes,
        scopes.timestep,
        scopes.row,
    )


@kernel
def _lay_out(walks: WalkTables, chunk_inputs: Ints, loops: _Loops, layout: TileLayout) -> None:
    pool = 0
    for image in range(loops.rows.shape[0]):
        for scope in range(loops.rows.shape[1]):
            walk = loops.walk[scope]
            shape = walks.table[walk]
            blocks, chunks = loops.blocks[image, scope], loops.chunks[image, scope]
            columns = shape[KIND] == COLUMNS
            if columns or scope == 0 or loops.walk[scope - 1] != walk:
                pool_base = pool
                pool += shape[GROUPS] * chunks
            tile = loops.first_tile[image, scope]
            word = loops.first_word[image, scope]
            planes = 1 if columns else shape[PLANES]
            first = loops.first_block[image, scope]
            for group in range(shape[GROUPS]):
                for block in range(first, first + blocks):
                    for chunk in range(chunks):
                        layout.ptr[tile] = word
                        word += loops.sizes[block] * planes
                        layout.block[tile] = block
                        layout.group[tile] = group
                        layout.chunk[tile] = chunk
                        if columns:
                            size = shape[CHUNK_TOKENS]
                            left = loops.rows[image, scope] - chunk * size
                            layout.inputs[tile] = min(left, size)
                        else:
                            layout.inputs[tile] = chunk_inputs[walk, chunk]
                        layout.pool[tile] = pool_base + group * chunks + chunk
                        tile += 1
            if blocks * chunks > 0:
                layout.ptr[tile] = word


@kernel_part
def _between(data: Bytes, start: int, stop: int) -> int:
    """Return set bits from bit `start` up to `stop`, little-endian."""
    total = 0
    for byte in range(start >> 3, (stop + 7) >> 3):
        value = data[byte]
        if byte == start >> 3:
            value &= np.uint8((0xFF << (start & 7)) & 0xFF)
        if byte == stop >> 3:
            value &= np.uint8((1 << (stop & 7)) - 1)
        total += popcount(np.uint64(value))
    return total


@kernel_part
def _range_ones(data: Bytes, words: Words, at: int, start: int, stop: int) -> int:
    """Return set bits of channels start..stop of the row that begins at byte `at`."""
    if (at & 7) == 0 and (start & 63) == 0 and (stop & 63) == 0:
        total = 0
        for word in range((at >> 3) + (start >> 6), (at >> 3) + (stop >> 6)):
            total += popcount(words[word])
        return total
    if (start & 7) == 0 and (stop & 7) == 0:
        total = 0
        for byte in range(at + (start >> 3), at + (stop >> 3)):
            total += popcount(np.uint64(data[byte]))
        return total
    return _between(data, 8 * at + start, 8 * at + stop)


@kernel
def _count(
    arena: Bytes,
    words: Words,
    active: Bools,
    walks: WalkTables,
    loops: _Loops,
    counts: npt.NDArray[Any],
    sums: npt.NDArray[Any],
    lanes: Words,
    totals: Ints,
    ones: npt.NDArray[Any],
) -> None:
    """Count scope by scope; see the three ways below."""
    for image in range(loops.rows.shape[0]):
        for scope in range(loops.rows.shape[1]):
            if loops.blocks[image, scope] == 0:
                continue
            shape = walks.table[loops.walk[scope]]
            if shape[KIND] == COLUMNS:
                _columns(arena[image], shape, loops, image, scope, lanes, totals, ones)
            elif shape[IS_LINE] == 1:
                _lines(arena[image], words[image], shape, walks, loops, image, scope, ones)
            else:
                _pixels(
                    arena[image], words[image], shape, walks, loops.first_step[scope],
                    loops.steps[scope], counts,
                )  # fmt: skip
                _windows(shape, walks, loops, image, scope, counts, sums, ones)
            if shape[ZEROED_BY] >= 0:
                _clear_halted(active[image, shape[ZEROED_BY]], shape, loops, image, scope, ones)


@kernel_part
def _lines(
    data: Bytes,
    words: Words,
    shape: Ints,
    walks: WalkTables,
    loops: _Loops,
    image: int,
    scope: int,
    ones: npt.NDArray[Any],
) -> None:
    """Count rows that read their own pixel: each chunk is one channel range."""
    place = loops.first_word[image, scope]
    planes, row_bytes = shape[PLANES], shape[ROW_BYTES]
    first = loops.first_block[image, scope]
    plane_bytes = shape[PIXELS] * row_bytes
    for group in range(shape[GROUPS]):
        item = loops.first_row[image, scope]
        for block in range(first, first + loops.blocks[image, scope]):
            for chunk in range(shape[RANGES] // shape[GROUPS]):
                piece = shape[FIRST_CHUNK] + group * (shape[RANGES] // shape[GROUPS]) + chunk
                channels = shape[FIRST_RANGE] + walks.channel_range[walks.chunk_ptr[piece]]
                start, stop = walks.start[channels], walks.stop[channels]
                for row in range(item, item + loops.sizes[block]):
                    step = loops.timestep[row] if shape[TIMESTEPS] > 1 else 0
                    at = shape[OFFSET] + step * shape[STORED_PLANES] * plane_bytes
                    at += loops.row[row] * row_bytes
                    for plane in range(planes):
                        ones[place] = _range_ones(
                            data, words, at + plane * plane_bytes, start, stop
                        )
                        place += 1
            item += loops.sizes[block]


@kernel_part
def _pixels(
    data: Bytes,
    words: Words,
    shape: Ints,
    walks: WalkTables,
    first_step: int,
    steps: int,
    counts: npt.NDArray[Any],
) -> None:
    """Count each (channel range, pixel, timestep, plane) of an operand."""
    planes, row_bytes = shape[PLANES], shape[ROW_BYTES]
    place = 0
    for number in range(shape[RANGES]):
        start = walks.start[shape[FIRST_RANGE] + number]
        stop = walks.stop[shape[FIRST_RANGE] + number]
        for pixel in range(shape[PIXELS]):
            for step in range(first_step, first_step + steps):
                stored = step if shape[TIMESTEPS] > 1 else 0
                for plane in range(planes):
                    row = (stored * shape[STORED_PLANES] + plane) * shape[PIXELS] + pixel
                    at = shape[OFFSET] + row * row_bytes
                    counts[place] = _range_ones(data, words, at, start, stop)
                    place += 1


@kernel_part
def _windows(
    shape: Ints,
    walks: WalkTables,
    loops: _Loops,
    image: int,
    scope: int,
    counts: npt.NDArray[Any],
    sums: npt.NDArray[Any],
    ones: npt.NDArray[Any],
) -> None:
    """Add the counts of the pixels under the window of each row, chunk by chunk."""
    first, blocks = loops.first_block[image, scope], loops.blocks[image, scope]
    chunks, planes = loops.chunks[image, scope], shape[PLANES]
    width = loops.steps[scope] * planes
    rows = loops.rows[image, scope]
    size = rows * planes
    apart = shape[SPREAD_Z] * shape[SPREAD_Y] * shape[SPREAD_X]
    for piece in range(shape[GROUPS] * chunks):
        sums[:size] = 0
        group, chunk = piece // chunks, piece % chunks
        begin = walks.chunk_ptr[shape[FIRST_CHUNK] + piece]
        end = walks.chunk_ptr[shape[FIRST_CHUNK] + piece + 1]
        for segment in range(begin, end):
            kernel_z, kernel_y, kernel_x = tap_offset(shape, walks.tap[segment])
            base = walks.channel_range[segment] * shape[PIXELS] * width
            if loops.complete[image, scope] and apart == 1:
                _add_maps(shape, kernel_z, kernel_y, kernel_x, width, base, counts, sums)
                continue
            for item in range(rows):
                row = loops.row[loops.first_row[image, scope] + item]
                step = loops.timestep[loops.first_row[image, scope] + item]
                pixel = pixel_under(shape, row, kernel_z, kernel_y, kernel_x)
                if pixel >= 0:
                    at = base + pixel * width
                    at += (step - loops.first_step[scope]) * planes
                    for plane in range(planes):
                        sums[item * planes + plane] += counts[at + plane]
        done = 0
        target = loops.first_word[image, scope] + group * size * chunks
        for block in range(first, first + blocks):
            own = loops.sizes[block] * planes
            place = target + done * chunks + chunk * own
            for word in range(own):
                ones[place + word] = sums[done + word]
            done += own


@kernel_part
def _add_maps(
    shape: Ints,
    kernel_z: int,
    kernel_y: int,
    kernel_x: int,
    width: int,
    base: int,
    counts: npt.NDArray[Any],
    sums: npt.NDArray[Any],
) -> None:
    """Add one tap of the window to all rows of a grid, map by map."""
    own, pixels = shape[OUT_HEIGHT] * shape[OUT_WIDTH], shape[IN_HEIGHT] * shape[IN_WIDTH]
    for out_z in range(shape[OUT_DEPTH]):
        z = out_z * shape[STRIDE_Z] + kernel_z
        if 0 <= z < shape[IN_DEPTH]:
            source, target = base + z * pixels * width, out_z * own * width
            _add_lines(shape, kernel_y, kernel_x, width, source, target, counts, sums)


@kernel_part
def _add_lines(
    shape: Ints,
    kernel_y: int,
    kernel_x: int,
    width: int,
    base: int,
    begin: int,
    counts: npt.NDArray[Any],
    sums: npt.NDArray[Any],
) -> None:
    """Add one tap of the window to all rows of a map, from `begin` on; `width` numbers a pixel."""
    stride = shape[STRIDE_X]
    first = max(0, -(kernel_x // stride))
    last = min(shape[OUT_WIDTH], (shape[IN_WIDTH] - 1 - kernel_x) // stride + 1)
    for out_y in range(shape[OUT_HEIGHT]):
        y = out_y * shape[STRIDE_Y] + kernel_y
        if y < 0 or y >= shape[IN_HEIGHT] or last <= first:
            continue
        target = begin + (out_y * shape[OUT_WIDTH] + first) * width
        source = base + (y * shape[IN_WIDTH] + first * stride + kernel_x) * width
        if stride == 1:
            count = (last - first) * width
            for place in range(count):
                sums[target + place] += counts[source + place]
        else:
            for pixel in range(last - first):
                for place in range(width):
                    sums[target + pixel * width + place] += counts[
                        source + pixel * stride * width + place
                    ]


@kernel_part
def _clear_halted(
    active: Bools, shape: Ints, loops: _Loops, image: int, scope: int, ones: npt.NDArray[Any]
) -> None:
    """Set the ones of halted rows, which run on as zeros, to 0."""
    place = loops.first_word[image, scope]
    first = loops.first_block[image, scope]
    for _ in range(shape[GROUPS]):
        item = loops.first_row[image, scope]
        for block in range(first, first + loops.blocks[image, scope]):
            for _ in range(loops.chunks[image, scope]):
                for row in range(item, item + loops.sizes[block]):
                    live = active[loops.timestep[row], loops.row[row]]
                    for _ in range(shape[PLANES]):
                        if not live:
                            ones[place] = 0
                        place += 1
            item += loops.sizes[block]


@kernel_part
def _columns(
    data: Bytes,
    shape: Ints,
    loops: _Loops,
    image: int,
    scope: int,
    lanes: Words,
    total: Ints,
    ones: npt.NDArray[Any],
) -> None:
    """Count each channel over the live tokens, chunk of tokens by chunk."""
    channels = shape[GROUPS] * shape[PRODUCT_ROWS]
    chunks, row_bytes = loops.chunks[image, scope], shape[ROW_BYTES]
    first, first_row = loops.first_block[image, scope], loops.first_row[image, scope]
    for chunk in range(chunks):
        begin = chunk * shape[CHUNK_TOKENS]
        end = min(begin + shape[CHUNK_TOKENS], loops.rows[image, scope])
        total[:channels] = 0
        for part in range(begin, end, 255):  # what eight lanes of a byte can hold
            lanes[:row_bytes] = 0
            for item in range(part, min(part + 255, end)):
                step = loops.timestep[first_row + item] if shape[TIMESTEPS] > 1 else 0
                row = step * shape[STORED_PLANES] * shape[PIXELS] + loops.row[first_row + item]
                at = shape[OFFSET] + row * row_bytes
                for byte in range(row_bytes):
                    lanes[byte] += _SPREAD[data[at + byte]]
            for channel in range(channels):
                lane = lanes[channel >> 3] >> np.uint64((channel & 7) * 8)
                total[channel] += np.int64(lane & np.uint64(0xFF))
        for group in range(shape[GROUPS]):
            channel = group * shape[PRODUCT_ROWS]
            place = loops.first_word[image, scope] + channel * chunks
            for block in range(first, first + loops.blocks[image, scope]):
                size = loops.sizes[block]
                for item in range(size):
                    ones[place + chunk * size + item] = total[channel + item]
                place += size * chunks
                channel += size
