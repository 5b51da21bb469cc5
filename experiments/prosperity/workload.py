"""A network as Prosperity's simulator sees it: products, neurons and attention, one after another.

First layer, pooling, residuals, batch-norms and the classifier do not exist there. The bits of an
operand are optional: some rules need shapes only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from simulator.config.arrays import Bools, Words


class Product(NamedTuple):
    """A linear layer or a convolution as a matrix product.

    `timesteps` x `positions` rows by `inputs` x `outputs`; `taps`: of the kernel, 1 for a linear
    layer; `rows`: gives uint64 (timestep, position, word), inputs channel-major and tap-minor.
    """

    name: str
    timesteps: int
    positions: int
    inputs: int
    outputs: int
    taps: int = 1
    rows: Callable[[], Words] | None = None

    @property
    def row_count(self) -> int:
        """Rows of the product over all timesteps."""
        return self.timesteps * self.positions

    def words(self) -> Words:
        """The operand's bits. Raises ValueError if only shapes are known."""
        if self.rows is None:
            raise ValueError(f"{self.name}: this rule needs the spikes, but only shapes are known")
        return self.rows()


class Neurons(NamedTuple):
    """`count` LIF neurons, updated at each of `timesteps`."""

    name: str
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody needs here
    timesteps: int


class Attention(NamedTuple):
    """Attention of `heads` heads over `tokens` tokens of `head_dim` channels each.

    `kind`: `spikformer` (two products a head and timestep) or `sdt` (mask and column sum);
    `spikes`: gives bool (3, timestep, token, channel): q, k, v.
    """

    name: str
    kind: Literal["spikformer", "sdt"]
    timesteps: int
    tokens: int
    heads: int
    head_dim: int
    spikes: Callable[[], Bools] | None = None

    def bits(self) -> Bools:
        """q, k, v. Raises ValueError if only shapes are known."""
        if self.spikes is None:
            raise ValueError(f"{self.name}: this rule needs the spikes, but only shapes are known")
        return self.spikes()


Operation = Product | Neurons | Attention


def pack_rows(bits: Bools) -> Words:
    """uint64 (..., word) of bool (..., input): input i is bit i % 64 of word i // 64."""
    bytes_used = -(-bits.shape[-1] // 8)
    packed = np.zeros((*bits.shape[:-1], -(-bits.shape[-1] // 64) * 8), np.uint8)
    packed[..., :bytes_used] = np.packbits(bits, axis=-1, bitorder="little")
    return packed.view(np.uint64)


def unfold(
    maps: Bools, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]
) -> Words:
    """uint64 (timestep, position, word) of bool maps (timestep, channel, height, width).

    The inputs of a position are channel-major and tap-minor; padding holds no spikes.
    """
    edges = [(0, 0), (0, 0), (padding[0], padding[0]), (padding[1], padding[1])]
    padded = np.pad(maps, edges)
    rows = []
    for each in padded:  # a timestep at a time, so that memory stays small
        view = np.lib.stride_tricks.sliding_window_view(each, kernel, axis=(1, 2))
        view = view[:, :: stride[0], :: stride[1]].transpose(1, 2, 0, 3, 4)
        rows.append(pack_rows(view.reshape(view.shape[0] * view.shape[1], -1)))
    return np.stack(rows)
