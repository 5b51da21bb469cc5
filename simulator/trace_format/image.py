"""One image of a trace: its arrays, the rules its data keep, its hash and its counts."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.config.wording import shown
from simulator.errors import TraceError
from simulator.trace_format.schema import hint
from simulator.trace_format.specs import Layout

Packed = npt.NDArray[np.uint8]
Bits = npt.NDArray[np.bool_]


class Image(NamedTuple):
    """One image's part of a trace; read from a file, its arrays are read-only.

    `tensors`: uint8 (timestep, plane, row, byte) by name, spikes with one plane. `active`: bool
    (timestep, token) by block. `label`, `prediction`: a class, -1 = none.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    tensors: dict[str, Packed]
    active: dict[str, Bits]
    label: int
    prediction: int


def pack_bits(bits: npt.ArrayLike) -> Packed:
    """Pack bool (..., channels) little-endian into uint8 (..., ceil(channels / 8))."""
    packed = np.packbits(np.asarray(bits, dtype=np.bool_), axis=-1, bitorder="little")
    return np.ascontiguousarray(packed)  # whatever the layout of the bits


def unpack_bits(packed: Packed, channels: int) -> Bits:
    """Unpack uint8 (..., ceil(channels / 8)) into bool (..., channels)."""
    bits = np.unpackbits(packed, axis=-1, count=channels, bitorder="little")
    return bits.view(np.bool_)


def image_digest(layout: Layout, image: Image) -> str:
    """sha256 over tensors and packed masks in order, then label and prediction as int64."""
    digest = hashlib.sha256()
    for name in layout.tensors:
        digest.update(np.ascontiguousarray(image.tensors[name]).data)
    for block in range(layout.blocks):
        digest.update(pack_bits(image.active[str(block)]).data)
    digest.update(struct.pack("<2q", image.label, image.prediction))
    return digest.hexdigest()


def count_bits(tensor: Packed) -> tuple[int, int]:
    """Set bits, and values that are not zero, of a (timestep, plane, row, byte) array."""
    ones = int(np.bitwise_count(tensor).sum(dtype=np.int64))
    if tensor.shape[1] == 1:
        return ones, ones
    values = np.bitwise_or.reduce(tensor, axis=1)
    return ones, int(np.bitwise_count(values).sum(dtype=np.int64))


def add_counts(totals: dict[str, tuple[int, int]], tensors: Mapping[str, Packed]) -> None:
    """Add an image's set bits and non-zero values to the totals by tensor."""
    for name, (ones, nonzero) in totals.items():
        more = count_bits(tensors[name])
        totals[name] = (ones + more[0], nonzero + more[1])


def unpack_mask(layout: Layout, packed: Packed, place: str) -> Bits:
    """The mask bool (timestep, token) in packed bytes (timestep, byte), which hold nothing else."""
    _check_unused_bits(place, packed, layout.tokens)
    return unpack_bits(packed, layout.tokens)


def check_image(layout: Layout, image: Image, place: str) -> None:
    """Raise TraceError for the first rule that the data of an image break; `place` names it."""
    for what, value in (("label", image.label), ("prediction", image.prediction)):
        last = 2**63 - 1 if layout.classes is None else layout.classes - 1
        if not -1 <= value <= last:
            rule = f"must be a class from 0 to {last}, or -1 for none"
            raise TraceError(f"{place}: {what} {value}: {rule}")
    blocks = [str(block) for block in range(layout.blocks)]
    _check_names(f"{place}: active", image.active, blocks)
    for block in blocks:
        mask_shape = (layout.timesteps, layout.tokens)
        _check_array(f"{place}: active/{block}", image.active[block], "bool", mask_shape)
    _check_halting(layout, image, place)
    _check_names(f"{place}: spikes", image.tensors, layout.tensors)
    for name, tensor in layout.tensors.items():
        packed, where = image.tensors[name], f"{place}: spikes/{name}"
        _check_array(where, packed, "uint8", tensor.shape)
        _check_unused_bits(where, packed, tensor.channels)
        if tensor.mask is not None:
            _check_halted_rows(where, packed, image.active[tensor.mask], tensor.mask)


def _check_names(place: str, arrays: Mapping[str, object], known: Iterable[str]) -> None:
    known = set(known)
    for name in sorted(arrays.keys() - known, key=str):
        rule = f"must be in the manifest {hint(name, known)}"
        raise TraceError(f"{place}: {shown(name)}: {rule}")
    for name in sorted(known - arrays.keys()):
        raise TraceError(f"{place}: {shown(name)} is missing: must be there, by the manifest")


def _check_array(place: str, array: object, dtype: str, shape: tuple[int, ...]) -> None:
    found = (str(getattr(array, "dtype", type(array))), getattr(array, "shape", None))
    if not isinstance(array, np.ndarray) or found != (dtype, shape):
        raise TraceError(f"{place}: {found[0]} {found[1]}: must be an array {dtype} {shape}")


def _check_unused_bits(place: str, packed: Packed, bits: int) -> None:
    """The last byte of each row holds nothing beyond the row's bits."""
    last = packed[..., -1]
    if bits % 8 and last.max() >> (bits % 8):
        index = np.argwhere(last >> (bits % 8))[0]
        raise TraceError(
            f"{place}: byte {last[tuple(index)]:#04x} at {_spoken(index)}: must have no bit beyond "
            f"the {bits} that a row has"
        )


def _check_halted_rows(place: str, packed: Packed, active: Bits, mask: str) -> None:
    """The rows of halted tokens are zero."""
    halted = packed.swapaxes(1, 2)[~active]  # (halted row, plane, byte)
    if halted.any():
        row = halted.any(axis=(1, 2)).argmax()
        index, ones = np.argwhere(~active)[row], int(np.bitwise_count(halted[row]).sum())
        raise TraceError(
            f"{place}: {ones} ones in timestep {index[0]}, token {index[1]}: must be zero, the "
            f"token has halted in active/{mask}"
        )


def _check_halting(layout: Layout, image: Image, place: str) -> None:
    """A halted token stays halted, in the order that the halting's granularity defines."""
    active = np.stack([image.active[str(block)] for block in range(layout.blocks)], axis=1)
    wrong = np.zeros_like(active)  # (timestep, block, token)
    if layout.granularity == "none":
        wrong, rule = ~active, "be active, as every token"
    elif layout.granularity == "block":
        wrong[:, 1:] = active[:, 1:] & ~active[:, :-1]
        rule = "stay halted in the later blocks of a timestep"
    elif layout.granularity == "timestep":
        wrong[1:] = active[1:] & ~active[:-1]
        wrong |= active != active[:, :1]
        rule = "be the same in all blocks of a timestep and stay halted in later timesteps"
    else:
        by_step = active.reshape(-1, layout.tokens)
        wrong.reshape(-1, layout.tokens)[1:] = by_step[1:] & ~by_step[:-1]
        rule = "stay halted in later blocks and timesteps"
    if wrong.any():
        step, block, token = np.argwhere(wrong)[0]
        state = "active" if active[step, block, token] else "halted"
        raise TraceError(
            f"{place}: active/{block}: token {token} is {state} in timestep {step}: with halting "
            f"{layout.granularity!r} it must {rule}"
        )


def _spoken(index: npt.NDArray[np.intp]) -> str:
    """(timestep,) or (timestep, plane, row) in words."""
    axes = ("timestep", "plane", "row")[: len(index)]
    return ", ".join(f"{axis} {number}" for axis, number in zip(axes, index, strict=True))
