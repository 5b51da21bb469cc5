"""Stored tensors over many images: their numbers wait in a folder until one coding holds them all.

How many planes a sum of spikes needs, and the range of real values, are known after the last image.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from models.capturing.operands import Coded, Scale
from simulator.trace import pack_bits

REAL_PLANES = 8
_SAME = 1e-6
_AFFINE = 1e-5
_FITTED = 1e-4

Numbers = npt.NDArray[Any]


class Coding(NamedTuple):
    """Describe how a tensor is stored: value = (number - zero) * scale, lists by channel.

    `error`: the largest of real values that were rounded to the planes, 0 for whole numbers.
    """

    kind: str
    planes: int
    scale: Scale
    zero: Scale
    error: float


class Spool:
    """Hold the numbers of all images in a folder, and what all of a tensor's have in common."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images = 0
        self._known: dict[str, list[Coded]] = {}
        self._fired: dict[str, bool] = {}
        self._names: list[tuple[str, ...]] = []

    def add(self, tensors: dict[str, Coded]) -> None:
        """Keep one image."""
        kept = {}
        for name, each in tensors.items():
            bits = each.kind == "spikes"
            kept[name] = pack_bits(each.numbers) if bits else _narrow(each.numbers)
            low, high = _range(each)
            self._fired[name] = bool(low or high) or self._fired.get(name, False)
            # What is known of an image, without its numbers: the range as two of them.
            self._known.setdefault(name, []).append(
                each._replace(numbers=np.array([low, high, each.numbers.shape[2]]))
            )
        with open(self.folder / str(self.images), "wb") as file:
            for array in kept.values():
                np.save(file, array, allow_pickle=False)
        self._names.append(tuple(kept))
        self.images += 1

    def silent(self) -> list[str]:
        """Return the tensors whose numbers were zero in all images."""
        return [name for name, fired in self._fired.items() if not fired]

    def coding(self, name: str) -> Coding:
        """Return the coding that holds a tensor's numbers of all images."""
        known = [each for each in self._known[name] if not each.silent] or self._known[name][:1]
        first = known[0]
        alike = all(_alike(each, first) for each in known)
        if alike and first.kind != "real":
            if first.kind == "spikes":
                return Coding("spikes", 1, first.scale, first.zero, 0.0)
            high = max(int(each.numbers[1]) for each in known)
            return Coding("integer", max(1, high.bit_length()), first.scale, first.zero, 0.0)
        return self._integers(known) or self._real(known)

    @staticmethod
    def _integers(known: list[Coded]) -> Coding | None:
        """Spikes and integers of several units: multiples of the smallest."""
        if any(each.kind == "real" or isinstance(each.scale, list) for each in known):
            return None
        unit = min(float(each.scale) for each in known)
        low = high = 0
        for each in known:
            times = float(each.scale) / unit
            if abs(times - round(times)) > _SAME * times:
                return None
            zero = int(each.zero)
            low = min(low, round(times) * (int(each.numbers[0]) - zero))
            high = max(high, round(times) * (int(each.numbers[1]) - zero))
        return Coding("integer", max(1, (high - low).bit_length()), unit, -low, 0.0)

    @staticmethod
    def _real(known: list[Coded]) -> Coding:
        """Real values at REAL_PLANES bits; zero stays zero."""
        values = [bound for each in known for bound in _values(each, each.numbers[:2])]
        low, high = min(0.0, *values), max(0.0, *values)
        scale = (high - low) / (2**REAL_PLANES - 1) or 1.0
        return Coding("integer", REAL_PLANES, scale, round(-low / scale), scale / 2)

    def packed(
        self, image: int, codings: dict[str, Coding], frames: dict[str, int]
    ) -> dict[str, npt.NDArray[np.uint8]]:
        """Return an image's tensors as a trace takes them: uint8 (timestep, plane, row, byte).

        `frames`: timesteps of each tensor; those that an image did not take are zero.
        """
        found = {}
        with open(self.folder / str(image), "rb") as file:
            kept = {name: np.load(file, allow_pickle=False) for name in self._names[image]}
        for name, coding in codings.items():
            own = self.planes(self._known[name][image], kept[name], coding)
            missing = frames[name] - len(own)
            found[name] = np.pad(own, ((0, missing), *((0, 0),) * 3)) if missing else own
        return found

    @staticmethod
    def planes(known: Coded, array: Numbers, coding: Coding) -> npt.NDArray[np.uint8]:
        """Return one image's tensor in the planes of a coding."""
        if known.kind == "spikes" and coding.kind == "spikes":
            return array[:, None]
        if known.kind == "spikes":
            channels = int(known.numbers[2])
            array = np.unpackbits(array, axis=-1, count=channels, bitorder="little")
        numbers = _recoded(known, array, coding)
        planes = [pack_bits((numbers >> plane) & 1) for plane in range(coding.planes)]
        return np.stack(planes, axis=1)


def frame(known: Coded, coding: Coding) -> Numbers | None:
    """Return one frame (1, row, channel) as (plane, row, byte); None where a coding of whole
    numbers does not hold it.
    """
    if coding.error == 0.0 and not known.silent:
        values = _values(known, known.numbers)
        numbers = values / np.array(coding.scale) + np.array(coding.zero)
        most = 2**coding.planes - 1
        off = np.abs(np.rint(numbers) - numbers).max(initial=0.0)
        if off > _FITTED * most or numbers.min() < -0.5 or numbers.max() > most + 0.5:
            return None
    bits = known.kind == "spikes"
    array = pack_bits(known.numbers) if bits else known.numbers
    shape = known._replace(numbers=np.array([0, 0, known.numbers.shape[2]]))
    return Spool.planes(shape, array, coding)[0]


def _alike(first: Coded, second: Coded) -> bool:
    if first.kind != second.kind or isinstance(first.scale, list) != isinstance(second.scale, list):
        return False
    # Scales by channel are fitted to each image's pixels, as far as their last digits tell.
    near = _FITTED if isinstance(first.scale, list) else _SAME
    return np.allclose(first.scale, second.scale, rtol=near, atol=0) and np.allclose(
        first.zero, second.zero, rtol=near, atol=near
    )


def _recoded(known: Coded, array: Numbers, coding: Coding) -> npt.NDArray[np.int64]:
    """Numbers of one image in the coding of all."""
    if _alike(known, known._replace(kind=coding.kind, scale=coding.scale, zero=coding.zero)):
        return array.astype(np.int64)
    if known.silent:
        return np.full(array.shape, coding.zero, np.int64)
    numbers = np.rint(_values(known, array) / coding.scale) + coding.zero
    return np.clip(numbers, 0, 2**coding.planes - 1).astype(np.int64)


def _values(each: Coded, numbers: Numbers) -> Numbers:
    """What numbers mean."""
    if each.kind == "real":
        return numbers.astype(np.float64)
    if isinstance(each.scale, list) and numbers.ndim < 3:  # bounds of all channels
        scale, zero = np.array(each.scale), np.array(each.zero)
        every = (numbers[:, None] - zero) * scale
        return np.array([every.min(), every.max()])
    return (numbers.astype(np.float64) - each.zero) * each.scale


def _range(each: Coded) -> tuple[float, float]:
    if each.numbers.size == 0:
        return 0.0, 0.0
    return float(each.numbers.min()), float(each.numbers.max())


def _narrow(numbers: Numbers) -> Numbers:
    """The narrowest unsigned form of whole numbers; real ones stay."""
    if numbers.dtype.kind == "f":
        return numbers.astype(np.float32)
    return numbers.astype(np.uint8 if numbers.max(initial=0) < 256 else np.uint32)


def by_channel(values: Numbers, pixels: Numbers) -> tuple[list[float], list[float]] | None:
    """Return scale and zero of each channel of values (timestep, row, channel) affine in pixels.

    None where they are not, to the last digits of single precision.
    """
    scales: list[float] = []
    zeros: list[float] = []
    for channel in range(values.shape[2]):
        own = values[:, :, channel].astype(np.float64)
        given = np.broadcast_to(pixels[:, :, channel], own.shape).astype(np.float64)
        low, high = given.argmin(), given.argmax()
        span = given.flat[high] - given.flat[low]
        if span == 0:
            slope, offset = (scales[-1] if scales else 1.0), own.flat[0]
        else:
            slope = (own.flat[high] - own.flat[low]) / span
            offset = own.flat[low] - slope * given.flat[low]
        if slope == 0 or not math.isfinite(slope):
            return None
        if np.abs(given * slope + offset - own).max() > _AFFINE * max(1.0, np.abs(own).max()):
            return None
        scales.append(float(slope))
        zeros.append(float(-offset / slope))
    return scales, zeros
