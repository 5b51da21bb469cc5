"""One image of a trace: its arrays, the rules its data keep, its hash and its counts.

Package-private; `simulator.trace` is the public face.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.errors import TraceError
from simulator.trace_format import Layout, TensorSpec, packed_bytes
from simulator.wording import shown, suggestion

Packed = npt.NDArray[np.uint8]
Bits = npt.NDArray[np.bool_]


class Image(NamedTuple):
    """One image's part of a trace; read from a file, its arrays are read-only.

    `tensors`: uint8 (timestep, plane, row, byte) by name, spikes with one plane. `active`: bool
    (timestep, token) by block. `label`, `prediction`: a class, -1 = none.
    """

    index: int
    tensors: dict[str, Packed]
    active: dict[str, Bits]
    label: int
    prediction: int


def pack_bits(bits: npt.ArrayLike) -> Packed:
    """Pack bool (..., channels) little-endian into uint8 (..., ceil(channels / 8))."""
    return np.packbits(np.asarray(bits, dtype=np.bool_), axis=-1, bitorder="little")


def unpack_bits(packed: Packed, channels: int) -> Bits:
    """Unpack uint8 (..., ceil(channels / 8)) into bool (..., channels)."""
    bits = np.unpackbits(packed, axis=-1, count=channels, bitorder="little")
    return bits.view(np.bool_)


def image_digest(layout: Layout, image: Image) -> str:
    """sha256 over tensors and packed masks in order, then label and prediction as int64."""
    digest = hashlib.sha256()
    for name in layout.tensors:
        digest.update(np.ascontiguousarray(image.tensors[name]))
    for block in range(layout.blocks):
        digest.update(pack_bits(image.active[str(block)]))
    digest.update(np.array([image.label, image.prediction], dtype="<i8"))
    return digest.hexdigest()


def count_bits(tensor: Packed) -> tuple[int, int]:
    """Set bits, and values that are not zero, of a (timestep, plane, row, byte) array."""
    ones = int(np.bitwise_count(tensor).sum(dtype=np.int64))
    if tensor.shape[1] == 1:
        return ones, ones
    values = np.bitwise_or.reduce(tensor, axis=1)
    return ones, int(np.bitwise_count(values).sum(dtype=np.int64))


def check_image(layout: Layout, image: Image, source: str) -> None:
    """Raise TraceError, naming `source`, for the first rule that the data of an image break."""
    place = f"{source}: image {image.index}"
    _check_class(layout, f"{place}: label", image.label)
    _check_class(layout, f"{place}: prediction", image.prediction)
    mask_shape = (layout.timesteps, layout.tokens)
    _check_names(f"{place}: active", image.active, map(str, range(layout.blocks)))
    for block, mask in image.active.items():
        _check_array(f"{place}: active/{block}", mask, np.bool_, mask_shape)
    _check_halting(layout, image, place)
    _check_names(f"{place}: spikes", image.tensors, layout.tensors)
    for name, tensor in layout.tensors.items():
        packed = image.tensors[name]
        _check_array(f"{place}: spikes/{name}", packed, np.uint8, tensor.shape)
        _check_unused_bits(f"{place}: spikes/{name}", packed, tensor.channels)
        _check_halted_rows(f"{place}: spikes/{name}", packed, tensor, image.active)


def check_packed_mask(layout: Layout, packed: Packed, place: str) -> None:
    """A packed mask (timestep, byte) holds nothing beyond the tokens."""
    _check_unused_bits(place, packed, layout.tokens)


def _check_class(layout: Layout, place: str, value: int) -> None:
    last = 2**63 - 1 if layout.classes is None else layout.classes - 1
    if not -1 <= operator.index(value) <= last:
        raise TraceError(f"{place} {value}: must be a class from 0 to {last}, or -1 for none")


def _check_names(place: str, arrays: Mapping[str, Any], known: Any) -> None:
    known = tuple(known)
    for name in arrays.keys() - set(known):
        raise TraceError(f"{place}: {shown(name)}: must be in the manifest {suggestion(name, known)}")
    for name in known:
        if name not in arrays:
            raise TraceError(f"{place}: {shown(name)} is missing: must be there, by the manifest")
