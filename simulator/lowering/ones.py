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
from simulator.lowering import walks as w
from simulator.lowering.pixels import pixel_under, tap_offset
from simulator.lowering.scopes import ScopePlan, Scopes
from simulator.lowering.tiles import Batch
from simulator.lowering.walks import Walks, WalkTables

_SPREAD = (
    np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    .view("<u8")
    .ravel()
    .astype(np.uint64)
)
"""The bits of a byte as eight bytes of a word: a constant of the kernels."""


_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


(
    S_WALK,
    S_FIRST_STEP,
    S_STEPS,
    S_ROWS,
    S_BLOCKS,
    S_CHUNKS,
    S_FIRST_BLOCK,
    S_FIRST_WORD,
    S_FIRST_ROW,
    S_COMPLETE,
) = range(10)
"""Columns of what the kernels read of a scope of an image, see ScopePlan and Scopes."""


class _Arrays(NamedTuple):
    """The operand rows of blocks, room to count in, and the ones that are counted."""

    sizes: Ints  # (blocks,)
    timestep: Int32s  # (rows,)
    row: Int32s
    counts: npt.NDArray[Any]  # of all input pixels
    sums: npt.NDArray[Any]  # of all output rows
    lanes: Words  # of the bytes of a row
    totals: Ints  # of the channels of a row
    ones: npt.NDArray[Any]  # (words,)


def count_ones(
    walks: Walks, plan: ScopePlan, scopes: Scopes, batch: Batch, dtype: npt.DTypeLike
) -> npt.NDArray[Any]:
    """Count the set bits of each (row, plane) of each tile."""
    ones = np.zeros(int(scopes.words.sum()), dtype)
    table = walks.tables.table
    windows = np.flatnonzero((table[:, w.KIND] != w.COLUMNS) & (table[:, w.IS_LINE] == 0))
    steps = np.ones(len(table), np.int64)
    np.maximum.at(steps, plan.walk, plan.steps)
    pixels = (table[:, w.PIXELS] * table[:, w.PLANES] * steps * table[:, w.RANGES])[windows]
    sums = (table[:, w.PRODUCT_ROWS] * table[:, w.PLANES] * steps)[windows]
    row_bytes = int(table[:, w.ROW_BYTES].max(initial=1))
    arrays = _Arrays(
        *(scopes.sizes, scopes.timestep, scopes.row),
        counts=np.empty(int(pixels.max(initial=1)), dtype),
        sums=np.empty(int(sums.max(initial=1)), dtype),
        lanes=np.empty(row_bytes, np.uint64),
        totals=np.empty(row_bytes * 8, np.int64),
        ones=ones,
    )
    words = batch.arena.view(np.uint64)
    _count(batch.arena, words, batch.active, walks.tables, _loops(plan, scopes), arrays)
    return ones


def _loops(plan: ScopePlan, scopes: Scopes) -> Ints:
    """Return int64 (images, scopes, columns), columns from S_WALK on."""
    columns = (
        plan.walk, plan.first_step, plan.steps, scopes.rows, scopes.blocks, scopes.chunks,
        scopes.first_block, scopes.first_word, scopes.first_row, scopes.complete,
    )  # fmt: skip
    return np.stack(np.broadcast_arrays(*columns), axis=2, dtype=np.int64)


@kernel_part
def _range_ones(words: Words, start: int, stop: int) -> int:
    """Return set bits from bit `start` up to `stop`, at least one, little-endian."""
    first, last = start >> 6, (stop - 1) >> 6
    low = _ALL << np.uint64(start & 63)
    high = _ALL >> np.uint64(63 - ((stop - 1) & 63))
    if first == last:
        return popcount(words[first] & low & high)
    total = popcount(words[first] & low) + popcount(words[last] & high)
    for word in range(first + 1, last):
        total += popcount(words[word])
    return total


@kernel
def _count(
    arena: Bytes, words: Words, active: Bools, walks: WalkTables, loops: Ints, a: _Arrays
) -> None:
    """Count scope by scope; see the three ways below."""
    for image in range(loops.shape[0]):
        data = arena[image]
        for number in range(loops.shape[1]):
            scope = loops[image, number]
            if scope[S_BLOCKS] == 0:
                continue
            shape = walks.table[scope[S_WALK]]
            if shape[w.KIND] == w.COLUMNS:
                _columns(data, shape, scope, a)
            elif shape[w.IS_LINE] == 1:
                _lines(words[image], shape, walks, scope, a)
            else:
                _pixels(data, words[image], shape, walks, scope, a)
                _windows(shape, walks, scope, a)
            if shape[w.ZEROED_BY] >= 0:
                _clear_halted(active[image, shape[w.ZEROED_BY]], shape, scope, a)


@kernel_part
def _lines(words: Words, shape: Ints, walks: WalkTables, scope: Ints, a: _Arrays) -> None:
    """Count rows that read their own pixel: each chunk is one channel range."""
    place, first = scope[S_FIRST_WORD], scope[S_FIRST_BLOCK]
    planes, row_bytes = shape[w.PLANES], shape[w.ROW_BYTES]
    plane_bytes = shape[w.PIXELS] * row_bytes
    chunks = shape[w.RANGES] // shape[w.GROUPS]
    for group in range(shape[w.GROUPS]):
        item = scope[S_FIRST_ROW]
        for block in range(first, first + scope[S_BLOCKS]):
            size = a.sizes[block]
            for chunk in range(chunks):
                piece = shape[w.FIRST_CHUNK] + group * chunks + chunk
                channels = shape[w.FIRST_RANGE] + walks.channel_range[walks.chunk_ptr[piece]]
                start, stop = walks.start[channels], walks.stop[channels]
                for row in range(item, item + size):
                    step = a.timestep[row] if shape[w.TIMESTEPS] > 1 else 0
                    at = shape[w.OFFSET] + step * shape[w.STORED_PLANES] * plane_bytes
                    at += a.row[row] * row_bytes
                    for plane in range(planes):
                        bit = 8 * (at + plane * plane_bytes)
                        a.ones[place] = _range_ones(words, bit + start, bit + stop)
                        place += 1
            item += size


@kernel_part
def _pixels(
    data: Bytes, words: Words, shape: Ints, walks: WalkTables, scope: Ints, a: _Arrays
) -> None:
    """Count each (channel range, pixel, timestep, plane) of an operand."""
    planes, row_bytes, first_step = shape[w.PLANES], shape[w.ROW_BYTES], scope[S_FIRST_STEP]
    place: Any = np.int64(0)  # typed as what is added to it: one specialization of _byte_pixels
    for number in range(shape[w.FIRST_RANGE], shape[w.FIRST_RANGE] + shape[w.RANGES]):
        start, stop = walks.start[number], walks.stop[number]
        if start >> 3 == (stop - 1) >> 3:
            byte = shape[w.OFFSET] + (start >> 3)
            mask = np.uint8((0xFF << (start & 7)) & (0xFF >> (7 - ((stop - 1) & 7))))
            place = _byte_pixels(data, byte, mask, shape, scope, place, a)
            continue
        for pixel in range(shape[w.PIXELS]):
            for step in range(first_step, first_step + scope[S_STEPS]):
                stored = step if shape[w.TIMESTEPS] > 1 else 0
                for plane in range(planes):
                    row = (stored * shape[w.STORED_PLANES] + plane) * shape[w.PIXELS] + pixel
                    bit = 8 * (shape[w.OFFSET] + row * row_bytes)
                    a.counts[place] = _range_ones(words, bit + start, bit + stop)
                    place += 1


@kernel_part
def _byte_pixels(
    data: Bytes, byte: int, mask: np.uint8, shape: Ints, scope: Ints, first: int, a: _Arrays
) -> int:
    """Count a channel range inside of one byte, as an image's: a row of pixels after the other."""
    planes, steps = shape[w.PLANES], scope[S_STEPS]
    pixels, row_bytes = shape[w.PIXELS], shape[w.ROW_BYTES]
    for step in range(steps):
        stored = scope[S_FIRST_STEP] + step if shape[w.TIMESTEPS] > 1 else 0
        for plane in range(planes):
            at = byte + (stored * shape[w.STORED_PLANES] + plane) * pixels * row_bytes
            place = first + step * planes + plane
            for _ in range(pixels):
                a.counts[place] = popcount(np.uint64(data[at] & mask))
                at += row_bytes
                place += steps * planes
    end: int = first + pixels * steps * planes
    return end


@kernel_part
def _windows(shape: Ints, walks: WalkTables, scope: Ints, a: _Arrays) -> None:
    """Add the counts of the pixels under the window of each row, chunk by chunk."""
    first, first_row, first_step = scope[S_FIRST_BLOCK], scope[S_FIRST_ROW], scope[S_FIRST_STEP]
    chunks, planes = scope[S_CHUNKS], shape[w.PLANES]
    width = scope[S_STEPS] * planes
    size = scope[S_ROWS] * planes
    entire = scope[S_COMPLETE] and shape[w.SPREAD_Z] * shape[w.SPREAD_Y] * shape[w.SPREAD_X] == 1
    for piece in range(shape[w.GROUPS] * chunks):
        a.sums[:size] = 0
        group, chunk = piece // chunks, piece % chunks
        begin = walks.chunk_ptr[shape[w.FIRST_CHUNK] + piece]
        end = walks.chunk_ptr[shape[w.FIRST_CHUNK] + piece + 1]
        for segment in range(begin, end):
            tap = tap_offset(shape, walks.tap[segment])
            base = walks.channel_range[segment] * shape[w.PIXELS] * width
            if entire:
                _add_maps(shape, tap, width, base, a)
                continue
            for item in range(scope[S_ROWS]):
                row, step = a.row[first_row + item], a.timestep[first_row + item]
                pixel = pixel_under(shape, row, tap)
                if pixel >= 0:
                    at = base + pixel * width + (step - first_step) * planes
                    for plane in range(planes):
                        a.sums[item * planes + plane] += a.counts[at + plane]
        done = 0
        target = scope[S_FIRST_WORD] + group * size * chunks
        for block in range(first, first + scope[S_BLOCKS]):
            own = a.sizes[block] * planes
            place = target + done * chunks + chunk * own
            source, goal = a.sums[done : done + own], a.ones[place : place + own]
            for word in range(len(source)):
                goal[word] = source[word]
            done += own


@kernel_part
def _add_maps(shape: Ints, tap: tuple[int, int, int], width: int, base: int, a: _Arrays) -> None:
    """Add one tap of the window to all rows of a grid, map by map."""
    own, pixels = shape[w.OUT_HEIGHT] * shape[w.OUT_WIDTH], shape[w.IN_HEIGHT] * shape[w.IN_WIDTH]
    for out_z in range(shape[w.OUT_DEPTH]):
        z = out_z * shape[w.STRIDE_Z] + tap[0]
        if 0 <= z < shape[w.IN_DEPTH]:
            source, target = base + z * pixels * width, out_z * own * width
            _add_lines(shape, tap, width, source, target, a)


@kernel_part
def _add_lines(
    shape: Ints, tap: tuple[int, int, int], width: int, base: int, begin: int, a: _Arrays
) -> None:
    """Add one tap of the window to all rows of a map, from `begin` on; `width` numbers a pixel."""
    stride = shape[w.STRIDE_X]
    first = max(0, -(tap[2] // stride))
    last = min(shape[w.OUT_WIDTH], (shape[w.IN_WIDTH] - 1 - tap[2]) // stride + 1)
    for out_y in range(shape[w.OUT_HEIGHT]):
        y = out_y * shape[w.STRIDE_Y] + tap[1]
        if y < 0 or y >= shape[w.IN_HEIGHT] or last <= first:
            continue
        target = begin + (out_y * shape[w.OUT_WIDTH] + first) * width
        source = base + (y * shape[w.IN_WIDTH] + first * stride + tap[2]) * width
        if stride == 1:
            # Views: an index that could be negative keeps LLVM from adding many at once.
            line = a.counts[source : source + (last - first) * width]
            total = a.sums[target : target + len(line)]
            for place in range(len(line)):
                total[place] += line[place]
        else:
            for pixel in range(last - first):
                for place in range(width):
                    a.sums[target + pixel * width + place] += a.counts[
                        source + pixel * stride * width + place
                    ]


@kernel_part
def _clear_halted(active: Bools, shape: Ints, scope: Ints, a: _Arrays) -> None:
    """Set the ones of halted rows, which run on as zeros, to 0."""
    place, first = scope[S_FIRST_WORD], scope[S_FIRST_BLOCK]
    for _ in range(shape[w.GROUPS]):
        item = scope[S_FIRST_ROW]
        for block in range(first, first + scope[S_BLOCKS]):
            for _ in range(scope[S_CHUNKS]):
                for row in range(item, item + a.sizes[block]):
                    live = active[a.timestep[row], a.row[row]]
                    for _ in range(shape[w.PLANES]):
                        if not live:
                            a.ones[place] = 0
                        place += 1
            item += a.sizes[block]


@kernel_part
def _columns(data: Bytes, shape: Ints, scope: Ints, a: _Arrays) -> None:
    """Count each channel over the live tokens, chunk of tokens by chunk."""
    channels = shape[w.GROUPS] * shape[w.PRODUCT_ROWS]
    chunks, row_bytes = scope[S_CHUNKS], shape[w.ROW_BYTES]
    first, first_row = scope[S_FIRST_BLOCK], scope[S_FIRST_ROW]
    for chunk in range(chunks):
        begin = chunk * shape[w.CHUNK_TOKENS]
        end = min(begin + shape[w.CHUNK_TOKENS], scope[S_ROWS])
        a.totals[:channels] = 0
        for part in range(begin, end, 255):  # what eight lanes of a byte can hold
            a.lanes[:row_bytes] = 0
            for item in range(part, min(part + 255, end)):
                step = a.timestep[first_row + item] if shape[w.TIMESTEPS] > 1 else 0
                row = step * shape[w.STORED_PLANES] * shape[w.PIXELS] + a.row[first_row + item]
                at = shape[w.OFFSET] + row * row_bytes
                for byte in range(row_bytes):
                    a.lanes[byte] += _SPREAD[data[at + byte]]
            for channel in range(channels):
                lane = a.lanes[channel >> 3] >> np.uint64((channel & 7) * 8)
                a.totals[channel] += np.int64(lane & np.uint64(0xFF))
        for group in range(shape[w.GROUPS]):
            channel = group * shape[w.PRODUCT_ROWS]
            place = scope[S_FIRST_WORD] + channel * chunks
            for block in range(first, first + scope[S_BLOCKS]):
                size = a.sizes[block]
                for item in range(size):
                    a.ones[place + chunk * size + item] = a.totals[channel + item]
                place += size * chunks
                channel += size
