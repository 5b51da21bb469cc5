"""Labels of a storage by blocks of its elements, read and written through a tensor's strides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from models.capturing.propagation import NEVER, latest, once
from models.capturing.tape import Spec


class UniformLabel(NamedTuple):
    """Hold the one label of a storage's first `elements`, each of `width` bytes."""

    label: int
    elements: int
    width: int

    def reaches(self, byte: int) -> bool:
        """Return whether all up to a byte has the label."""
        return byte < self.elements * self.width


class BlockLabels:
    """Hold labels of a storage: one for each block of elements, each of `width` bytes."""

    def __init__(self, label: int, block: int, width: int) -> None:
        self.labels = torch.tensor([label], dtype=torch.int16)
        self.block, self.width = max(block, 1), width

    def copied(self, width: int) -> BlockLabels:
        """Return the same labels, of elements of another width; each is replaced, not changed."""
        made = BlockLabels(NEVER, self.block, width)
        made.labels = self.labels
        return made

    def equals(self, other: BlockLabels) -> bool:
        """Return whether both have the same labels of the same blocks."""
        alike = self.labels is other.labels or torch.equal(self.labels, other.labels)
        return self.block == other.block and alike

    def covered(self, spec: Spec) -> bool:
        """Return whether a tensor is all that is labelled, each element once."""
        own = spec.elements
        dense = spec.span() == (0, own * spec.dtype.itemsize - 1)
        return dense and self.width == spec.dtype.itemsize and own == len(self.labels) * self.block

    def single(self, spec: Spec) -> int | None:
        """Return the label of the one block that a tensor lies in; None where it is not one."""
        low, high = (byte // (self.block * self.width) for byte in spec.span())
        inside = low == high < len(self.labels) and spec.dtype.itemsize == self.width
        return int(self.labels[low]) if inside else None

    def bounds(self) -> tuple[int, int]:
        """Return the lowest and the highest label."""
        low, high = torch.aminmax(self.labels)
        return int(low), int(high)

    def read(self, spec: Spec) -> Tensor:
        """Return the labels of a tensor, without strides along what lies inside of blocks."""
        self._reach(spec)
        if self.width != spec.dtype.itemsize:
            return self.labels.max().expand(spec.size)
        self._divide(spec)
        return self._placed(spec, spec.size)

    def write(self, spec: Spec, labels: Tensor) -> None:
        """Give a tensor labels."""
        self._reach(spec)
        if self.width != spec.dtype.itemsize:
            self.labels = self.labels.new_full(self.labels.shape, int(labels.max()))
            return
        labels = once(labels.expand(spec.size))
        self._divide(spec, labels)
        self.labels = self.labels.clone()
        inside = [axis for axis, step in enumerate(spec.stride) if step < self.block]
        size = [1 if axis in inside else n for axis, n in enumerate(spec.size)]
        self._placed(spec, size).copy_(latest(labels, inside))

    def _placed(self, spec: Spec, size: Sequence[int]) -> Tensor:
        strides = [step // self.block for step in spec.stride]
        return self.labels.as_strided(size, strides, spec.offset // self.block)

    def _reach(self, spec: Spec) -> None:
        """Extend the labels as far as a tensor reaches; what is new is of no timestep."""
        missing = spec.span()[1] // self.width + 1 - len(self.labels) * self.block
        if missing > 0:
            more = self.labels.new_full((-(-missing // self.block),), NEVER)
            self.labels = torch.cat([self.labels, more])

    def _divide(self, spec: Spec, labels: Tensor | None = None) -> None:
        """Divide the blocks until a tensor lies in them axis by axis.

        An axis leads from block to block, or stays inside of one. `labels`: to be written, which
        must be one for each block, all of whose elements they are.
        """
        axes = [
            (step, n, labels is not None and labels.shape[axis] > 1)
            for axis, (n, step) in enumerate(zip(spec.size, spec.stride, strict=True))
            if n > 1 and step
        ]
        block = self.block
        while block > 1:
            inside = [(step, n) for step, n, _ in axes if step < block]
            across = [s for s, _, varies in axes if (s % block if s >= block else varies)]
            first = spec.offset % block
            last = first + sum((n - 1) * step for step, n in inside)
            part = labels is not None and (first, math.prod(n for _, n in inside)) != (0, block)
            if across:
                block = math.gcd(block, max(across))
            elif last >= block or (part and inside):
                block = math.gcd(block, max(step for step, _ in inside))
            elif part:
                block = math.gcd(block, first) if first else 1
            else:
                break
        if block != self.block:
            self.labels = self.labels.repeat_interleave(self.block // block)
            self.block = block
