"""How many values of an image's tensors are not zero: what fires, and at what rate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.config.arrays import Bools, Bytes, Floats, Ints
from simulator.operations import Network
from simulator.trace import Image


class Rates:
    """Count the values of I images' tensors, each when it is first asked for."""

    def __init__(self, network: Network, images: Sequence[Image]) -> None:
        self.network = network
        self.images = images
        self._nonzero: dict[tuple[str, str | None], Ints] = {}

    def rate(self, name: str, mask: str | None) -> Floats:
        """Return the fraction of values that are not zero, float64 (I,).

        Rows that halted under the mask count as zeros: a tensor keeps the values of tokens that
        halt after it was made.
        """
        tensor = self.network.tensors[name]
        masked = mask if mask != tensor.mask else None
        steps = tensor.timesteps if masked is None else self.network.timesteps
        return self.nonzero(name, masked) / (steps * tensor.rows * tensor.channels)

    def nonzero(self, name: str, mask: str | None = None) -> Ints:
        """Return how many values are not zero, int64 (I,); `mask`: a block whose halted rows
        count as zeros.
        """
        if (name, mask) not in self._nonzero:
            bits = np.stack([image.tensors[name] for image in self.images])
            active = None if mask is None else np.stack([each.active[mask] for each in self.images])
            self._nonzero[name, mask] = _nonzero(bits, active)
        return self._nonzero[name, mask]

    def live(self, name: str) -> Ints:
        """Return how many values belong to tokens that have not halted, int64 (I,)."""
        tensor = self.network.tensors[name]
        if tensor.mask is None or tensor.timesteps != self.network.timesteps:
            values = tensor.timesteps * tensor.rows * tensor.channels
            return np.full(len(self.images), values, np.int64)
        rows = [np.count_nonzero(image.active[tensor.mask]) for image in self.images]
        return np.array(rows, np.int64) * tensor.channels


def _nonzero(bits: Bytes, active: Bools | None) -> Ints:
    """Return how many values of each image are not zero; halted rows count as zeros.

    `bits`: (image, timestep, plane, row, byte); `active`: (image, timestep, row), or None.
    """
    values = np.bitwise_or.reduce(bits, axis=2) if bits.shape[2] > 1 else bits[:, :, 0]
    if active is not None:
        by_row = np.bitwise_count(values).sum(axis=3, dtype=np.int64)
        live: Ints = np.where(active, by_row, 0).sum(axis=(1, 2))
        return live
    flat = np.ascontiguousarray(values).reshape(len(bits), -1)
    # Eight bytes are counted together where that is possible.
    words = flat.view(np.uint64) if flat.shape[1] % 8 == 0 else flat
    ones: Ints = np.bitwise_count(words).sum(axis=1, dtype=np.int64)
    return ones
