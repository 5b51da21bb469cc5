"""How a layer is cut: inputs into chunks, rows into blocks.

A chunk is a list of segments (tap, channel range): the inputs of a product in the order tap-major,
channel-minor. A block is a run of rows. Every PE array costs the same tiles, and the functional
check multiplies them, so that no spike is lost or counted twice.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Ints


class Chunks(NamedTuple):
    """Cut inputs into chunks; chunk c has the segments ptr[c]:ptr[c + 1].

    `tap`, `channel_range` (segment,): position in the kernel and index of the channel range;
    `start`, `stop` (range,): channels of each range; `inputs` (chunk,): inputs of each chunk.
    """

    ptr: Ints
    tap: Ints
    channel_range: Ints
    start: Ints
    stop: Ints
    inputs: Ints


@lru_cache(maxsize=512)
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


def block_ends(size: int, block: int, parts: int, together: int) -> list[int]:
    """Return the last row, exclusive, of each block; no block is empty."""
    if parts == 1 or size == 0:
        return [*range(block, size, block), size] if size else []
    units = -(-size // together)
    rounds = -(-units * together // (parts * block))
    ends = [units * number // (parts * rounds) * together for number in range(1, parts * rounds)]
    return sorted({end for end in ends if end > 0} | {size})


def of_groups(chunks: Chunks, groups: int, channels: int) -> Chunks:
    """Repeat the chunks of one group of `channels` for all; `inputs` stay those of one."""
    segments, ranges = len(chunks.tap), len(chunks.start)
    number = np.arange(groups)[:, None]
    return Chunks(
        ptr=np.append((chunks.ptr[:-1] + number * segments).ravel(), groups * segments),
        tap=np.tile(chunks.tap, groups),
        channel_range=(chunks.channel_range + number * ranges).ravel(),
        start=(chunks.start + number * channels).ravel(),
        stop=(chunks.stop + number * channels).ravel(),
        inputs=chunks.inputs,
    )


@lru_cache(maxsize=512)
def cut_heads(heads: int, head_dim: int, chunk_inputs: int) -> Chunks:
    """Return the chunks of all heads of a tensor, head by head; `inputs` are those of one head."""
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
