"""Work for PE arrays, made from counts or from bits, and the bits' own slow gathering."""

from __future__ import annotations

import numpy as np

from simulator.components.pe_arrays.base import Words, Work


def work_of_counts(ones: np.ndarray, inputs: np.ndarray, outputs: int = 1) -> Work:
    """Rows of one timestep in one block: `ones` (row, chunk), nothing known of the bits."""
    rows = np.arange(len(ones), dtype=np.int32)
    return Work(
        np.ascontiguousarray(ones, np.int32)[None, :, None, :],
        np.array([0, len(ones)][: 1 + bool(len(ones))], np.int64),
        np.asarray(inputs, np.int64),
        False,
        np.zeros_like(rows),
        rows,
        np.full(int(len(ones) > 0), outputs, np.int64),
    )


def pack_words(bits: np.ndarray) -> Words:
    """uint64 (..., word) of bool (..., input), input i being bit i % 64 of word i // 64."""
    words = -(-bits.shape[-1] // 64)
    padded = np.zeros((*bits.shape[:-1], words * 64), np.bool_)
    padded[..., : bits.shape[-1]] = bits
    return np.packbits(padded, axis=-1, bitorder="little").view(np.uint64)


def work_of_bits(
    bits: np.ndarray, chunk_inputs: int = 0, block: int = 0, timesteps: int = 1, outputs: int = 1
) -> Work:
    """Work of bool (group, row, plane, input), or (row, input).

    `chunk_inputs`: inputs of a chunk at most (0: all); `block`: rows of a block (0: all);
    `timesteps`: rows are token-major and timestep-minor of so many.
    """
    bits = bits[None, :, None, :] if bits.ndim == 2 else bits
    rows, inputs = bits.shape[1], bits.shape[3]
    edges = list(range(0, inputs, chunk_inputs or max(inputs, 1)))
    stops = [*edges[1:], inputs]
    blocks = list(range(0, rows, block or max(rows, 1)))
    counts = [bits[..., a:b].sum(axis=-1) for a, b in zip(edges, stops, strict=True)]

    def gather(group: int, chunk: int) -> Words:
        return pack_words(bits[group, :, :, edges[chunk] : stops[chunk]])

    row, timestep = np.divmod(np.arange(rows, dtype=np.int32), timesteps)
    return Work(
        np.stack(counts, axis=-1).astype(np.int32),
        np.array([*blocks, rows], np.int64) if rows else np.zeros(1, np.int64),
        np.array([b - a for a, b in zip(edges, stops, strict=True)], np.int64),
        bits.shape[2] > 1,
        timestep.astype(np.int32),
        row.astype(np.int32),
        np.full(len(blocks) if rows else 0, outputs, np.int64),
        gather=gather,
    )
