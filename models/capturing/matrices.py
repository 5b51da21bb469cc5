"""Weighted sums as products of rows by inputs by outputs, and their operands as stored rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from models.capturing.propagation import NEVER, latest
from models.capturing.refusals import CaptureError
from models.capturing.tape import Call, Spec

Ints = npt.NDArray[np.int64]
Origin = Callable[[Spec], tuple[int, ...]]


class MatrixWindow(NamedTuple):
    """Describe how a convolution reads maps of one to four axes, or (`transposed`) spreads them."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    in_grid: tuple[int, ...]
    out_grid: tuple[int, ...]
    transposed: bool


class TapeProduct(NamedTuple):
    """Describe a weighted sum of one call and one timestep.

    It is `groups` products of (rows, inputs) by (inputs, outputs). `steps`: the timestep of each
    part of the call, in order; [NEVER]: no time.
    """

    rows: int
    inputs: int
    outputs: int
    groups: int
    window: MatrixWindow | None
    steps: tuple[int, ...]

    @property
    def macs(self) -> int:
        """Count multiply-accumulates of one timestep."""
        return self.rows * self.inputs * self.outputs * self.groups


class Arrangement(NamedTuple):
    """Describe the way from an operand to (part, row, channel).

    Swap the last two axes, order and split the first, permute, and join. `by_inputs`: its rows are
    the product's inputs.
    """

    swap: bool
    order: Ints
    split: tuple[int, ...]
    axes: tuple[int, ...]
    shape: tuple[int, int, int]
    grid: tuple[int, ...]
    by_inputs: bool

    def apply(self, numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the numbers as (part, row, channel)."""
        if numbers.ndim == 1:  # a vector: one column on the right, one row on the left
            numbers = numbers[:, None] if self.swap else numbers[None]
        swapped = numbers.swapaxes(-1, -2) if self.swap else numbers
        if len(self.order) > 1 and not np.array_equal(self.order, np.arange(len(self.order))):
            swapped = swapped[self.order]
        return swapped.reshape(self.split).transpose(self.axes).reshape(self.shape)


class Described(NamedTuple):
    """Hold a product and how each of its factors that is data is stored, by position."""

    product: TapeProduct
    arrangements: dict[int, Arrangement]


def describe(call: Call, labels: dict[int, Tensor], origin: Origin, tokens: int = 0) -> Described:
    """Describe a call; `labels`: of the factors that are data, by position; `origin`: the last
    three strides that a tensor had before it was copied; `tokens`: the rows of the layer before.
    """
    made = call.outputs[0]
    name = call.rule.name
    if name == "convolution":
        return _convolution(call, labels, made)
    first, second = (call.args[at] for at in call.rule.factors)
    if name in ("bmm", "baddbmm"):
        return _batched(call, labels, (first, second), origin, tokens)
    return _matmul(call, labels, first, second)


def _convolution(call: Call, labels: dict[int, Tensor], made: Spec) -> Described:
    """Maps (map, channel, ...); several maps of one timestep become a leading axis of the grid."""
    if 1 in labels:
        raise CaptureError(
            call.place, "a convolution whose weights depend on the input", "write it as a product"
        )
    operand, weight = call.args[0], call.args[1]
    transposed, groups = bool(call.args[6]), int(call.args[8])
    axes = len(weight.size) - 2
    batched = len(operand.size) == axes + 2
    size = operand.size if batched else (1, *operand.size)
    out = made.size if batched else (1, *made.size)
    own = labels[0].reshape(size)
    of_map = _latest(own, range(1, len(size))) if 0 not in size else np.zeros(size[0])
    order, steps, count = by_time(of_map, call)
    channels, grid, out_grid = size[1], tuple(size[2:]), tuple(out[2:])
    rows, out_rows = count * math.prod(grid), count * math.prod(out_grid)
    stride, padding, dilation = (_spread(call.args[at], axes) for at in (3, 4, 5))
    kernel = tuple(weight.size[2:])
    taps = math.prod(kernel)
    window = None
    if taps > 1 or set(stride) != {1} or set(padding) != {0} or transposed:
        lead: tuple[int, ...] = (count,) if count > 1 else ()
        ones, zeros = (1,) * len(lead), (0,) * len(lead)
        window = MatrixWindow(
            ones + kernel,
            ones + stride,
            zeros + padding,
            ones + dilation,
            lead + grid,
            lead + out_grid,
            transposed,
        )
    # A transposed convolution spreads each input over its taps: as many products, another order.
    sizes = (out_rows, taps * channels // groups, out[1] // groups)
    if transposed:
        sizes = (rows, channels // groups, taps * out[1] // groups)
    split = (len(steps), count, channels, *grid)
    permuted, shape = (0, 1, *range(3, len(split)), 2), (len(steps), rows, channels)
    maps = grid if count == 1 else (count, *grid)
    arrangement = Arrangement(False, order, split, permuted, shape, maps, False)
    return Described(TapeProduct(*sizes, groups, window, steps), {0: arrangement})


def _matmul(call: Call, labels: dict[int, Tensor], first: Spec, second: Spec) -> Described:
    """(rows, inputs) by (inputs, outputs); with the data on the right the rows are its columns."""
    left, right = call.rule.factors
    one: tuple[int, ...] = first.size if len(first.size) == 2 else (1, *first.size)
    two: tuple[int, ...] = second.size if len(second.size) == 2 else (*second.size, 1)
    found: dict[int, Arrangement] = {}
    if left in labels and right in labels:
        step = max((int(own.max()) for own in labels.values() if own.numel()), default=NEVER)
        found[left], found[right] = _plain(one), _plain(two, swap=True)
        return Described(TapeProduct(one[0], one[1], two[1], 1, None, (step,)), found)
    swap = left not in labels
    at, size = (right, two) if swap else (left, one)
    own = labels[at].reshape(size)
    of_row = _latest(own, (0 if swap else 1,)) if own.numel() else np.zeros(size[0])
    order, steps, count = by_time(of_row, call)
    inputs, outputs = (size[0], one[0]) if swap else (size[1], two[1])
    shape = (len(steps), count, inputs)
    arrangement = Arrangement(swap, order, shape, (0, 1, 2), shape, (1, count), False)
    return Described(TapeProduct(count, inputs, outputs, 1, None, steps), {at: arrangement})


def _plain(size: tuple[int, ...], swap: bool = False) -> Arrangement:
    """One part, its rows as they are, or the columns as rows."""
    rows, channels = size[::-1] if swap else size
    shape = (1, rows, channels)
    return Arrangement(swap, np.arange(rows), shape, (0, 1, 2), shape, (1, rows), False)


def _batched(
    call: Call,
    labels: dict[int, Tensor],
    factors: tuple[Spec, Spec],
    origin: Origin,
    tokens: int,
) -> Described:
    """Products side by side: those of one timestep are groups, such as heads."""
    first, second = factors
    left, _ = call.rule.factors
    batch, rows, inputs = first.size
    outputs = second.size[2]
    only = next(iter(labels)) if len(labels) == 1 else None
    other = second if only == left else first
    if only is not None and (other.stride[0] == 0 or batch == 1):
        return _shared(call, labels[only], only, (first, second))
    of_batch = np.max([_latest(own, (1, 2)) for own in labels.values()], axis=0)
    order, steps, heads = by_time(of_batch, call)
    found = {}
    for at in labels:
        spec = (first, second)[at != left]
        channels_last = _channels_last(spec, origin(spec), heads, tokens)
        by_inputs = channels_last == (at != left)
        swap = not channels_last
        own_rows, width = (spec.size[2], spec.size[1]) if swap else (spec.size[1], spec.size[2])
        split = (len(steps), heads, own_rows, width)
        shape = (len(steps), own_rows, heads * width)
        found[at] = Arrangement(swap, order, split, (0, 2, 1, 3), shape, (1, own_rows), by_inputs)
    return Described(TapeProduct(rows, inputs, outputs, heads, None, steps), found)


def _shared(call: Call, labels: Tensor, at: int, factors: tuple[Spec, Spec]) -> Described:
    """All products have the same weights: one product of all rows."""
    left, _ = call.rule.factors
    first, second = factors
    swap = at != left
    own = labels.swapaxes(-1, -2) if swap else labels
    batch, rows, inputs = own.shape
    of_row = _latest(own, (2,))
    order, steps, count = by_time(of_row, call)
    outputs = first.size[1] if swap else second.size[2]
    shape = (len(steps), count, inputs)
    if np.array_equal(order, np.arange(len(order))):
        lead = np.arange(batch)
        plain = (len(steps), batch * rows // len(steps), inputs)
        made = Arrangement(swap, lead, plain, (0, 1, 2), shape, (1, count), False)
    elif batch * len(steps) == len(order) // max(rows // len(steps), 1) and rows % len(steps) == 0:
        # Time lies inside the rows of each product.
        split = (batch, len(steps), rows // len(steps), inputs)
        made = Arrangement(swap, np.arange(batch), split, (1, 0, 2, 3), shape, (1, count), False)
        if not np.array_equal(
            order, np.arange(len(order)).reshape(split[:3]).transpose(1, 0, 2).ravel()
        ):
            raise _unordered(call)
    else:
        raise _unordered(call)
    return Described(TapeProduct(count, inputs, outputs, 1, None, steps), {at: made})


def _channels_last(spec: Spec, strides: tuple[int, ...], heads: int, tokens: int) -> bool:
    """Whether the last axis of a batched factor is its channels, and the one before its rows.

    Heads and channels were one axis before they were split; rows are as many as those of the layer
    before; with one head the denser axis is the channels. `strides`: of the three axes before the
    factor was copied.
    """
    head, before, last = strides[-3:]
    own, other = spec.size[-1], spec.size[-2]
    if heads > 1 and own > 1 and head == own * last:
        return True
    if (own == tokens) != (other == tokens):
        return other == tokens
    if heads > 1:
        return own == other or head != other * before
    return last <= before


def by_time(steps: npt.NDArray[Any], call: Call) -> tuple[Ints, tuple[int, ...], int]:
    """Return parts in order of time: their order, the timesteps, and how many each has."""
    found, counts = np.unique(steps, return_counts=True)
    if len(set(counts.tolist())) > 1:
        raise CaptureError(
            call.place,
            f"timesteps {found.tolist()} have {counts.tolist()} rows",
            "keep the rows, and mark those that halted with active()",
        )
    order = np.argsort(steps, kind="stable")
    return order, tuple(int(step) for step in found), int(counts[0]) if len(counts) else 0


def _latest(labels: Tensor, axes: Collection[int]) -> npt.NDArray[Any]:
    """The latest label along axes, of each place along the others."""
    return latest(labels, axes).reshape(-1).numpy()


def _spread(value: Any, axes: int) -> tuple[int, ...]:
    sizes = tuple(int(each) for each in value)
    return sizes if len(sizes) == axes else sizes * axes


def _unordered(call: Call) -> CaptureError:
    return CaptureError(
        call.place, "timesteps and rows are interleaved irregularly", "reshape it with time first"
    )
