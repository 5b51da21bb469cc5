"""How a layer's operand is cut: inputs into chunks, rows into blocks, and the ones in each piece.

A chunk is a list of segments (tap, channel range): the inputs of a product in the order tap-major,
channel-minor. Rows are (timestep, row) pairs; a block is a run of them. Every PE array costs the
same pieces, and the functional check multiplies them, so that no spike is lost or counted twice.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from simulator.operations import Window

Ints = npt.NDArray[np.int64]
Packed = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]

_ONES = np.bitwise_count(np.arange(256, dtype=np.uint8)).astype(np.int64)
"""Set bits of each byte; a constant of the kernels."""


class Chunks(NamedTuple):
    """Inputs cut into chunks; chunk c has the segments ptr[c]:ptr[c + 1].

    `tap`, `channel_range` (segment,): position in the kernel and index of the channel range;
    `start`, `stop` (range,): channels of each range; `inputs` (chunk,): inputs of each chunk.
    """

    ptr: Ints
    tap: Ints
    channel_range: Ints
    start: Ints
    stop: Ints
    inputs: Ints


class Rows(NamedTuple):
    """The rows of all scopes of a layer, one after another.

    `timestep`, `row` (n,): int32; `block_ptr` (blocks + 1,): the rows of each block; `scope_ptr`
    (scopes + 1,): the blocks of each scope (a scope is executed as a whole, such as a timestep).
    """

    timestep: npt.NDArray[np.int32]
    row: npt.NDArray[np.int32]
    block_ptr: Ints
    scope_ptr: Ints


def cut_inputs(
    taps: int, channels: int, chunk_inputs: int, *, across_taps: bool, base: int = 0
) -> Chunks:
    """Cut taps x channels inputs into chunks of at most `chunk_inputs`.

    With `across_taps` a chunk ends wherever it is full (a dense array does not care); else whole
    taps are packed into a chunk, or a tap with more channels is cut into chunks of its own, so that
    no channel word is torn. `base`: the first channel (a head's share of a tensor).
    """
    pieces: list[list[tuple[int, int, int]]] = []
    if across_taps:
        for first in range(0, taps * channels, chunk_inputs):
            pieces.append(_segments(first, min(first + chunk_inputs, taps * channels), channels))
    elif channels >= chunk_inputs:
        for tap in range(taps):
            for first in range(0, channels, chunk_inputs):
                pieces.append([(tap, first, min(first + chunk_inputs, channels))])
    else:
        at_once = chunk_inputs // channels
        for first in range(0, taps, at_once):
            last = min(first + at_once, taps)
            pieces.append([(tap, 0, channels) for tap in range(first, last)])
    ranges = sorted({(start, stop) for piece in pieces for _, start, stop in piece})
    number = {bounds: index for index, bounds in enumerate(ranges)}
    flat = [segment for piece in pieces for segment in piece]
    return Chunks(
        ptr=np.cumsum([0] + [len(piece) for piece in pieces], dtype=np.int64),
        tap=np.array([tap for tap, _, _ in flat], np.int64),
        channel_range=np.array([number[start, stop] for _, start, stop in flat], np.int64),
        start=np.array([start + base for start, _ in ranges], np.int64),
        stop=np.array([stop + base for _, stop in ranges], np.int64),
        inputs=np.array([sum(b - a for _, a, b in piece) for piece in pieces], np.int64),
    )


def _segments(first: int, last: int, channels: int) -> list[tuple[int, int, int]]:
    """Inputs first..last of the tap-major order as (tap, first channel, last channel)."""
    segments = []
    while first < last:
        tap, start = divmod(first, channels)
        stop = min(channels, start + last - first)
        segments.append((tap, start, stop))
        first += stop - start
    return segments


def cut_rows(
    scopes: list[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]],
    block: int,
    parts: int = 1,
    together: int = 1,
) -> Rows:
    """Concatenate the (timestep, row) lists of the scopes and cut each into blocks of rows.

    `parts`: each scope is cut into a multiple of so many blocks of about equal size, so that equal
    runs of blocks are equal shares; a block then ends after a multiple of `together` rows.
    """
    block_ptr, scope_ptr, base = [0], [0], 0
    for size in (len(row) for _, row in scopes):
        block_ptr.extend(base + end for end in _block_ends(size, block, parts, together))
        base += size
        scope_ptr.append(len(block_ptr) - 1)
    empty = np.zeros(0, np.int32)
    return Rows(
        timestep=np.concatenate([steps for steps, _ in scopes] or [empty]),
        row=np.concatenate([row for _, row in scopes] or [empty]),
        block_ptr=np.array(block_ptr, np.int64),
        scope_ptr=np.array(scope_ptr, np.int64),
    )


def _block_ends(size: int, block: int, parts: int, together: int) -> list[int]:
    """The last row, exclusive, of each block; no block is empty."""
    if parts == 1 or size == 0:
        return [*range(block, size, block), size] if size else []
    units = -(-size // together)
    rounds = -(-units * together // (parts * block))
    ends = [units * number // (parts * rounds) * together for number in range(1, parts * rounds)]
    return sorted({end for end in ends if end > 0} | {size})


def count_ones(bits: Packed, rows: Rows, window: Window, chunks: Chunks) -> npt.NDArray[np.int32]:
    """Ones in each (row, plane, chunk): what a machine that skips zeros has to do there.

    `bits`: uint8 (timestep, plane, row, byte), one timestep feeds all. Padding has no ones.
    """
    counts = _word_counts(bits, chunks.start.tolist(), chunks.stop.tolist())
    if counts is None:
        counts = _range_counts(bits, chunks.start, chunks.stop)
    ones: npt.NDArray[np.int32] = _gather_counts(
        counts,
        rows.timestep,
        rows.row,
        _geometry(window),
        chunks.ptr,
        chunks.tap,
        chunks.channel_range,
    )
    return ones


def _word_counts(bits: Packed, start: list[int], stop: list[int]) -> npt.NDArray[np.int32] | None:
    """What `_range_counts` counts, by whole words; None unless the ranges are words side by side.

    All but odd widths are: numpy counts the bits of many words in one instruction.
    """
    if start[0] or start[1:] != stop[:-1] or stop[-1] != 8 * bits.shape[3]:
        return None
    width = math.gcd(64, *stop)
    if width < 8:
        return None
    counts: npt.NDArray[np.uint8] = np.bitwise_count(bits.view(f"u{width // 8}"))
    if counts.shape[3] == len(start):
        return counts.astype(np.int32)
    first = np.array(start) // width
    found: npt.NDArray[np.int32] = np.add.reduceat(counts, first, axis=3, dtype=np.int32)
    return found


def _geometry(window: Window) -> Ints:
    """A window as the kernels take it: height before width of all its five fields."""
    return np.array(
        [*window.kernel, *window.stride, *window.padding, *window.in_grid, *window.out_grid],
        np.int64,
    )


class RowGather(NamedTuple):
    """The bits of a layer's rows, chunk by chunk: what an array asks for that looks at them.

    `bits`, `rows`, `window`, `chunks` as for `count_ones`; of a product of several groups the
    chunks of group g follow those of group g - 1. `kept`: bool (row,), the others read as zeros.
    """

    bits: Packed
    rows: Rows
    window: Window
    chunks: Chunks
    kept: npt.NDArray[np.bool_]

    def __call__(self, group: int, chunk: int) -> Words:
        """uint64 (row, plane, word) of one chunk, in the order of its segments."""
        chunks = self.chunks
        index = group * len(chunks.inputs) + chunk
        segments = slice(int(chunks.ptr[index]), int(chunks.ptr[index + 1]))
        pieces = chunks.channel_range[segments]
        words = -(-int(chunks.inputs[chunk]) // 64)
        found = np.zeros((len(self.rows.row), self.bits.shape[1], words), np.uint64)
        _gather_bits(
            self.bits,
            self.rows.timestep,
            self.rows.row,
            self.kept,
            _geometry(self.window),
            chunks.tap[segments],
            chunks.start[pieces],
            chunks.stop[pieces],
            found,
        )
        return found


class ColumnGather(NamedTuple):
    """The bits of a transposed operand: rows are the channels of a head, inputs its tokens.

    `bits`: uint8 (row, byte), one timestep; `tokens`: its live rows; `channels`: of a head;
    `chunk_rows`: tokens of a chunk.
    """

    bits: Packed
    tokens: npt.NDArray[np.int32]
    channels: int
    chunk_rows: int

    def __call__(self, group: int, chunk: int) -> Words:
        """uint64 (channel, 1, word) of one chunk of tokens."""
        tokens = self.tokens[chunk * self.chunk_rows :][: self.chunk_rows]
        found = np.zeros((self.channels, 1, -(-len(tokens) // 64)), np.uint64)
        _gather_columns(self.bits, tokens, group * self.channels, found)
        return found


def count_column_ones(
    bits: Packed, rows: Rows, channels: int, chunk_rows: int
) -> tuple[npt.NDArray[np.int32], Ints]:
    """Ones in each channel over the live rows of each scope, in chunks of `chunk_rows` rows.

    For a transposed operand, whose rows are channels and whose inputs are tokens. One scope is one
    timestep. Returns int32 (chunk of any scope, channel) and the chunks of each scope as pointers.
    """
    row_ptr = rows.block_ptr[rows.scope_ptr]
    pieces = -(-np.diff(row_ptr) // chunk_rows)
    ptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(pieces)])
    counts = np.zeros((int(ptr[-1]), channels), np.int32)
    _count_columns(bits, rows.timestep, rows.row, row_ptr, ptr, chunk_rows, counts)
    return counts, ptr


@njit(cache=True, nogil=True)
def _ones_between(words: Packed, start: int, stop: int) -> int:
    """Set bits from bit `start` up to `stop` of a little-endian row."""
    total = 0
    for byte in range(start >> 3, (stop + 7) >> 3):
        value = words[byte]
        if byte == start >> 3:
            value &= np.uint8((0xFF << (start & 7)) & 0xFF)
        if byte == stop >> 3:
            value &= np.uint8((1 << (stop & 7)) - 1)
        total += _ONES[value]
    return total


@njit(cache=True, nogil=True)
def _range_counts(bits: Packed, start: Ints, stop: Ints) -> npt.NDArray[np.int32]:
    """Ones of each (timestep, plane, row, range)."""
    steps, planes, rows, _ = bits.shape
    counts = np.empty((steps, planes, rows, len(start)), np.int32)
    for step in range(steps):
        for plane in range(planes):
            for row in range(rows):
                for piece in range(len(start)):
                    counts[step, plane, row, piece] = _ones_between(
                        bits[step, plane, row], start[piece], stop[piece]
                    )
    return counts


@njit(cache=True, nogil=True)
def _gather_counts(
    counts: npt.NDArray[np.int32],
    timestep: npt.NDArray[np.int32],
    row: npt.NDArray[np.int32],
    geometry: Ints,
    ptr: Ints,
    tap: Ints,
    channel_range: Ints,
) -> npt.NDArray[np.int32]:
    """Ones of each (output row, plane, chunk), gathered over the window of the row."""
    kernel_width, in_height, in_width = geometry[1], geometry[6], geometry[7]
    out_width = geometry[9]
    planes = counts.shape[1]
    result = np.zeros((len(row), planes, len(ptr) - 1), np.int32)
    for item in range(len(row)):
        step = timestep[item] if counts.shape[0] > 1 else 0
        top = row[item] // out_width * geometry[2] - geometry[4]
        left = row[item] % out_width * geometry[3] - geometry[5]
        for chunk in range(len(ptr) - 1):
            for segment in range(ptr[chunk], ptr[chunk + 1]):
                y = top + tap[segment] // kernel_width
                x = left + tap[segment] % kernel_width
                if 0 <= y < in_height and 0 <= x < in_width:
                    for plane in range(planes):
                        result[item, plane, chunk] += counts[
                            step, plane, y * in_width + x, channel_range[segment]
                        ]
    return result


@njit(cache=True, nogil=True)
def _append_bits(source: Packed, start: int, stop: int, target: Words, position: int) -> None:
    """Copy bits start..stop of a little-endian row to `position` of a row of words, set to 0."""
    while start < stop:
        taken = min(8 - (start & 7), stop - start)
        value = np.uint64((source[start >> 3] >> (start & 7)) & ((1 << taken) - 1))
        place = position & 63
        target[position >> 6] |= value << np.uint64(place)
        if place + taken > 64:
            target[(position >> 6) + 1] |= value >> np.uint64(64 - place)
        start += taken
        position += taken


@njit(cache=True, nogil=True)
def _gather_bits(
    bits: Packed,
    timestep: npt.NDArray[np.int32],
    row: npt.NDArray[np.int32],
    kept: npt.NDArray[np.bool_],
    geometry: Ints,
    tap: Ints,
    start: Ints,
    stop: Ints,
    found: Words,
) -> None:
    """Inputs of each output row, segment after segment, gathered over the window of the row."""
    kernel_width, in_height, in_width = geometry[1], geometry[6], geometry[7]
    out_width = geometry[9]
    for item in range(len(row)):
        if not kept[item]:
            continue
        step = timestep[item] if bits.shape[0] > 1 else 0
        top = row[item] // out_width * geometry[2] - geometry[4]
        left = row[item] % out_width * geometry[3] - geometry[5]
        position = 0
        for segment in range(len(tap)):
            y = top + tap[segment] // kernel_width
            x = left + tap[segment] % kernel_width
            if 0 <= y < in_height and 0 <= x < in_width:
                for plane in range(bits.shape[1]):
                    _append_bits(
                        bits[step, plane, y * in_width + x],
                        start[segment],
                        stop[segment],
                        found[item, plane],
                        position,
                    )
            position += stop[segment] - start[segment]


@njit(cache=True, nogil=True)
def _gather_columns(bits: Packed, tokens: npt.NDArray[np.int32], first: int, found: Words) -> None:
    """Bit t of row c is bit first + c of token t."""
    for item in range(len(tokens)):
        for channel in range(found.shape[0]):
            place = first + channel
            value = np.uint64((bits[tokens[item], place >> 3] >> (place & 7)) & 1)
            found[channel, 0, item >> 6] |= value << np.uint64(item & 63)


@njit(cache=True, nogil=True)
def _count_columns(
    bits: Packed,
    timestep: npt.NDArray[np.int32],
    row: npt.NDArray[np.int32],
    row_ptr: Ints,
    ptr: Ints,
    chunk_rows: int,
    counts: npt.NDArray[np.int32],
) -> None:
    channels = counts.shape[1]
    for scope in range(len(row_ptr) - 1):
        for item in range(row_ptr[scope], row_ptr[scope + 1]):
            chunk = ptr[scope] + (item - row_ptr[scope]) // chunk_rows
            step = timestep[item] if bits.shape[0] > 1 else 0
            for byte in range(bits.shape[3]):
                value = bits[step, 0, row[item], byte]
                channel = byte * 8
                while value and channel < channels:
                    counts[chunk, channel] += value & 1
                    value >>= 1
                    channel += 1


def cut_heads(heads: int, head_dim: int, chunk_inputs: int) -> Chunks:
    """The chunks of all heads of a tensor, head by head; `inputs` are those of one head."""
    starts = range(0, head_dim, chunk_inputs)
    start = [head * head_dim + first for head in range(heads) for first in starts]
    stop = [
        head * head_dim + min(first + chunk_inputs, head_dim)
        for head in range(heads)
        for first in starts
    ]
    count = len(start)
    return Chunks(
        ptr=np.arange(count + 1, dtype=np.int64),
        tap=np.zeros(count, np.int64),
        channel_range=np.arange(count, dtype=np.int64),
        start=np.array(start, np.int64),
        stop=np.array(stop, np.int64),
        inputs=np.array([min(chunk_inputs, head_dim - first) for first in starts], np.int64),
    )
