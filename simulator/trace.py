"""The contract between the models and the simulator: a trace of spikes and masks, and its .npz form.

A trace (`stasim-trace/1`) is a zip of .npy members, stored or deflated, without pickles:

- `manifest`: uint8, UTF-8 JSON: where the trace comes from, its tensors, its operations in order;
- `spikes/<tensor>`: uint8, bits packed little-endian along channels; axes (image, timestep, row,
  byte), with a plane axis before the row for integer tensors, least significant plane first;
- `active/<block>`: uint8 (image, timestep, byte), a bit per token: 1 = computed in that block;
- `labels`, `predictions`: int64 (image,), -1 = none.

Needs numpy and the standard library only. Everything wrong with a file is one `TraceError`.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import os
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from simulator.errors import TraceError
from simulator.trace_archive import Archive, Member, npy_header, one_error
from simulator.trace_format import (
    MANIFEST_LIMIT_BYTES,
    SCHEMA,
    Layout,
    OperationSpec,
    TensorSpec,
    canonical_json,
    content_hash,
    parse_manifest,
)
from simulator.trace_manifest import check_manifest
from simulator.wording import suggestion

__all__ = [
    "SCHEMA",
    "Image",
    "OperationSpec",
    "TensorSpec",
    "Trace",
    "TraceError",
    "TraceWriter",
    "pack_bits",
    "unpack_bits",
]

Packed = npt.NDArray[np.uint8]
Bits = npt.NDArray[np.bool_]


class Image(NamedTuple):
    """One image's part of a trace; its arrays are read-only.

    `tensors`: uint8 (timestep, plane, row, byte) by name, spikes with one plane. `active`: bool
    (timestep, token) by block. `label`, `prediction`: -1 = none.
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
    return np.unpackbits(packed, axis=-1, count=channels, bitorder="little").view(np.bool_)
