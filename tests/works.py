"""Tiles for PE arrays, made from counts or from bits one by one, several made one batch; and the
work of an image for a device.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.components.pe_arrays.base import RowLists, Tiles
from simulator.config.arrays import Ints, Words
from simulator.hil.base import Work
from simulator.hil.pieces import cut, work_of
from simulator.trace import Image, Trace


def pack_words(bits: np.ndarray) -> Words:
    """uint64 (..., word) of bool (..., input), input i being bit i % 64 of word i // 64."""
    words = -(-bits.shape[-1] // 64)
    padded = np.zeros((*bits.shape[:-1], words * 64), np.bool_)
    padded[..., : bits.shape[-1]] = bits
    return np.packbits(padded, axis=-1, bitorder="little").view(np.uint64)


def tiles_of_bits(
    bits: np.ndarray, chunk_inputs: int = 0, block: int = 0, timesteps: int = 1, outputs: int = 1
) -> Tiles:
    """Tiles of bool (group, row, plane, input), or (row, input).

    `chunk_inputs`: inputs of a chunk at most (0: all); `block`: rows of a block (0: all);
    `timesteps`: of a token, whose rows follow each other.
    """
    bits = bits[None, :, None, :] if bits.ndim == 2 else bits
    groups, rows, planes, inputs = bits.shape
    starts = range(0, inputs, chunk_inputs or max(inputs, 1))
    begins = range(0, rows, block or max(rows, 1))
    pieces, of_tile = [], []
    for group in range(groups):
        for number, begin in enumerate(begins):
            for chunk, start in enumerate(starts):
                last = begin + (block or rows)
                pieces.append(bits[group, begin:last, :, start : start + (chunk_inputs or inputs)])
                pool = group * len(starts) + chunk
                of_tile.append((number, chunk, pieces[-1].shape[-1], pool))
    counts = [piece.sum(axis=-1).ravel() for piece in pieces]
    sizes = [min(block or rows, rows - begin) for begin in begins]
    row, timestep = np.divmod(np.arange(rows, dtype=np.int32), timesteps)

    def of_block(value: int) -> Ints:
        return np.full(len(sizes), value, np.int64)

    def gather(first: int, last: int) -> tuple[Words, Ints]:
        words = [pack_words(piece).ravel() for piece in pieces[first:last]]
        return flat(words, np.uint64), ends(words)

    columns = np.array(of_tile, np.int64).reshape(-1, 4).T
    return Tiles(
        ones=flat(counts, np.uint8 if inputs < 256 else np.uint16),
        ptr=ends(counts),
        block=columns[0],
        chunk=columns[1],
        inputs=columns[2],
        pool=columns[3],
        sizes=np.array(sizes, np.int64),
        planes=of_block(planes),
        groups=of_block(groups),
        chunks=of_block(len(starts)),
        product_inputs=of_block(inputs),
        outputs=of_block(outputs),
        integer=np.full(len(sizes), planes > 1),
        attention=np.zeros(len(sizes), np.bool_),
        rows=lambda: RowLists(np.cumsum([0, *sizes]), timestep, row),
        gather=gather,
    )


def joined(batch: list[Tiles]) -> Tiles:
    """Several tables as one, in which each keeps its own blocks and pools."""

    def column(name: str) -> np.ndarray:
        return np.concatenate([getattr(tiles, name) for tiles in batch])

    def behind(name: str, counts: list[int]) -> Ints:
        firsts = np.cumsum([0, *counts])
        columns = [getattr(each, name) + first for each, first in zip(batch, firsts, strict=False)]
        return np.concatenate(columns)

    def rows() -> RowLists:
        lists = [tiles.rows() for tiles in batch]
        timestep, row = (np.concatenate([each[place] for each in lists]) for place in (1, 2))
        return RowLists(np.append(0, np.cumsum(column("sizes"))), timestep, row)

    tile_ptr = np.cumsum([0, *(len(tiles.block) for tiles in batch)])

    def gather(first: int, last: int) -> tuple[Words, Ints]:
        words = []
        for tile in range(first, last):
            table = int(np.searchsorted(tile_ptr, tile, "right")) - 1
            own = batch[table].gather
            assert own is not None
            words.append(own(tile - tile_ptr[table], tile - tile_ptr[table] + 1)[0])
        return flat(words, np.uint64), ends(words)

    sizes = [np.diff(tiles.ptr) for tiles in batch]
    return Tiles(
        ones=np.concatenate([tiles.ones.astype(np.uint16) for tiles in batch]),
        ptr=np.append(0, np.cumsum(np.concatenate(sizes))),
        block=behind("block", [len(tiles.sizes) for tiles in batch]),
        chunk=column("chunk"),
        inputs=column("inputs"),
        pool=behind("pool", [int(tiles.pool.max(initial=0)) + 1 for tiles in batch]),
        sizes=column("sizes"),
        planes=column("planes"),
        groups=column("groups"),
        chunks=column("chunks"),
        product_inputs=column("product_inputs"),
        outputs=column("outputs"),
        integer=column("integer"),
        attention=column("attention"),
        rows=rows,
        gather=gather,
    )


def flat(parts: list[np.ndarray], dtype: type[np.generic]) -> np.ndarray:
    """All parts, one after another."""
    return np.concatenate([np.zeros(0, dtype), *(part.astype(dtype) for part in parts)])


def ends(parts: list[np.ndarray]) -> Ints:
    """int64 (parts + 1,): where each part begins, and the end."""
    return np.cumsum([0, *(len(part) for part in parts)])


def works_of(trace: Trace, image: Image) -> Iterator[Work]:
    """The work of a whole image in the order in which a live run would ask for its cost."""
    pieces = cut(trace)
    yield work_of(pieces.outside, 0, image.tensors, None)
    for timestep in range(len(image.active["0"])):
        for piece in pieces.blocks:
            live = image.active[str(piece.block)][timestep]
            if live.any():
                yield work_of(piece, timestep, image.tensors, live)
    if pieces.ending is not None:
        yield work_of(pieces.ending, 0, image.tensors, None)
