"""Operands of weighted sums as numbers: bits, small integers with a unit, or real values."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

MOST_PLANES = 16
_DIVISORS = 16
_PIXELS = (1 / 255, 1 / 256)
# An average over a window rounds; a difference of so many last digits is still the integer.
_ROUNDING = 4.0


# By channel where it is a list.
Scale = Any


class Coded(NamedTuple):
    """Hold an operand's numbers: value = (numbers - zero) * scale, to its last digits.

    `kind`: `spikes` (0 and one other value) or `integer`, whose `numbers` are uint8 or int32, or
    `real`, whose numbers are the values themselves. All are in the operand's own shape, or
    (timestep, row, channel) once they are arranged to be stored.
    `silent`: nothing but zeros, whose scale means nothing.
    """

    kind: str
    numbers: npt.NDArray[Any]
    scale: Scale
    zero: Scale = 0
    silent: bool = False


def encode(values: Tensor) -> Coded | None:
    """Code an operand; None where a value is not finite."""
    values = values.detach()
    if values.dtype == torch.bool or values.dtype == torch.uint8:
        values = values.to(torch.int32)
    if values.dtype in (torch.bfloat16, torch.float16):
        values = values.float()
    if values.numel() == 0:
        return Coded("spikes", np.zeros(tuple(values.shape), np.uint8), 1.0, silent=True)
    low, high = (float(each) for each in torch.aminmax(values))
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    if low == high == 0.0:
        return Coded("spikes", np.zeros(tuple(values.shape), np.uint8), 1.0, silent=True)
    if low >= 0.0:
        ones = values != 0
        if torch.equal(values, ones * torch.tensor(high, dtype=values.dtype)):
            return Coded("spikes", ones.view(torch.uint8).numpy(), high)
    return _integers(values, low, high) or Coded("real", values.clone().numpy(), 1.0)


def _integers(values: Tensor, low: float, high: float) -> Coded | None:
    """Multiples of one unit, if there are at most 2 ** MOST_PLANES of them."""
    sample = values.flatten()
    if not values.dtype.is_floating_point:
        smallest = 1.0
        units = [1.0]
    else:
        some = sample[:: max(1, len(sample) // 4096)]
        positive = some[some != 0].abs()
        smallest = float(positive.min()) if len(positive) else float(sample[sample != 0].abs()[0])
        units = [smallest / divisor for divisor in range(1, _DIVISORS + 1)]
        units += [unit for unit in _PIXELS if unit < smallest]
    largest = max(abs(low), abs(high))
    tolerance = _ROUNDING * (torch.finfo(values.dtype).eps if values.is_floating_point() else 0.0)
    few = sample[: 1 << 12].double()
    for unit in units:
        if largest / unit >= 2 ** (MOST_PLANES - 1):
            break
        rounded = (few / unit).round()
        if float((rounded * unit - few).abs().max()) > tolerance * largest:
            continue
        every = values.double()
        numbers = (every / unit).round()
        error = float((numbers * unit - every).abs().max())
        if error > tolerance * largest:
            continue
        zero = max(0, -round(low / unit))
        return Coded("integer", (numbers + zero).to(torch.int32).numpy(), unit, zero)
    return None


def holds(coded: Coded, values: Tensor) -> bool:
    """Return whether values, another run's, are what was coded, without coding them."""
    values = values.detach()
    if tuple(values.shape) != coded.numbers.shape:
        return False
    if coded.silent:
        return not bool(values.any())
    if values.dtype in (torch.bool, torch.uint8):
        values = values.to(torch.int32)
    if values.dtype in (torch.bfloat16, torch.float16):
        values = values.float()
    numbers = torch.from_numpy(coded.numbers)
    if coded.kind == "spikes":
        one = coded.scale if values.is_floating_point() else int(coded.scale)
        return torch.equal(values, numbers.to(values.dtype) * one)
    if coded.kind == "real":
        return torch.equal(values, numbers)
    every = values.double()
    expected = (numbers.double() - coded.zero) * coded.scale
    if not values.is_floating_point():
        return torch.equal(every, expected)
    least = _ROUNDING * torch.finfo(values.dtype).eps * float(expected.abs().max())
    return bool((every - expected).abs().max() <= least)
