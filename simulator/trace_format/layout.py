"""Where everything of one image lies: the arena row, which is also a record of the file.

A row holds every tensor in the manifest's order, then the packed masks of all blocks, then label
and prediction as int64. Each of them begins at a multiple of 8 bytes; the bytes between are zero.
A row's size is a multiple of 64 bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from simulator.config.arrays import Ints
from simulator.trace_format.schema import OperationSpec, TensorSpec, packed_bytes

Packed = npt.NDArray[np.uint8]

ALIGNMENT_BYTES = 8
ROW_ALIGNMENT_BYTES = 64


@dataclass(frozen=True)
class Layout:
    """Hold what a valid manifest says of the data: enough to read, check and write images.

    `stages`: the role of each stage of the operations, one of ROLES. `image_timesteps`: how many
    each image took, where some leave before the last; else empty.
    """

    tensors: dict[str, TensorSpec]
    operations: tuple[OperationSpec, ...]
    stages: dict[str, str]
    image_sha256: tuple[str, ...]
    timesteps: int
    blocks: int
    tokens: int
    granularity: str
    classes: int | None
    image_timesteps: tuple[int, ...] = ()

    @property
    def images(self) -> int:
        """Count the images."""
        return len(self.image_sha256)

    @property
    def mask_shape(self) -> tuple[int, int, int]:
        """Return (block, timestep, byte) of one image's packed masks."""
        return self.blocks, self.timesteps, packed_bytes(self.tokens)

    @cached_property
    def offsets(self) -> dict[str, int]:
        """Return the first byte of each tensor in an arena row."""
        offsets, end = {}, 0
        for name, tensor in self.tensors.items():
            offsets[name] = end
            end = aligned(end + math.prod(tensor.shape))
        return offsets

    @cached_property
    def masks_offset(self) -> int:
        """Return the first byte of the packed masks in an arena row."""
        last = next(reversed(self.tensors))
        return aligned(self.offsets[last] + math.prod(self.tensors[last].shape))

    @cached_property
    def label_offset(self) -> int:
        """Return the first byte of the label in an arena row; the prediction follows it."""
        return aligned(self.masks_offset + math.prod(self.mask_shape))

    @cached_property
    def image_bytes(self) -> int:
        """Count the bytes of an arena row."""
        return aligned(self.label_offset + 16, ROW_ALIGNMENT_BYTES)

    @cached_property
    def contents(self) -> tuple[slice, ...]:
        """Return the bytes of a row that are content and hashed, in order, neighbours joined."""
        parts = [
            (start, start + math.prod(self.tensors[name].shape))
            for name, start in self.offsets.items()
        ]
        parts.append((self.masks_offset, self.masks_offset + math.prod(self.mask_shape)))
        parts.append((self.label_offset, self.label_offset + 16))
        joined: list[slice] = []
        for start, stop in parts:
            if joined and joined[-1].stop == start:
                start = joined.pop().start
            joined.append(slice(start, stop))
        return tuple(joined)

    @cached_property
    def padding(self) -> npt.NDArray[np.intp]:
        """Return the bytes of a row that are no content; they are zero."""
        free = np.ones(self.image_bytes, np.bool_)
        for part in self.contents:
            free[part] = False
        return np.flatnonzero(free)

    @cached_property
    def _parts(self) -> dict[str, tuple[slice, tuple[int, ...]]]:
        """The bytes of each tensor in a row, and its shape."""
        return {
            name: (slice(start, start + math.prod(shape)), shape)
            for name, start in self.offsets.items()
            for shape in (self.tensors[name].shape,)
        }

    def new_arena(self, images: int) -> Packed:
        """Return rows uint8 (image, byte) for some images, aligned to 64 bytes, not cleared."""
        size = images * self.image_bytes
        data = np.empty(size + ROW_ALIGNMENT_BYTES, np.uint8)
        start = -data.ctypes.data % ROW_ALIGNMENT_BYTES
        return data[start : start + size].reshape(images, self.image_bytes)

    def rows_of(self, arena: Packed, images: int) -> Packed:
        """Return the first rows of a caller's arena; ValueError if it is none of this layout."""
        fits = arena.dtype == np.uint8 and arena.ndim == 2 and arena.shape[1] == self.image_bytes
        if not fits or len(arena) < images or not arena.flags.c_contiguous:
            size = f"({images}, {self.image_bytes})"
            raise ValueError(f"out: {arena.dtype} {arena.shape}: must be C-ordered uint8 {size}")
        if arena.ctypes.data % ALIGNMENT_BYTES:
            raise ValueError(f"out: must begin at a multiple of {ALIGNMENT_BYTES} bytes")
        return arena[:images]

    def tensor(self, arena: Packed, name: str) -> Packed:
        """Return a view of a tensor in rows (..., byte): (..., timestep, plane, row, byte)."""
        part, shape = self._parts[name]
        return arena[..., part].reshape(*arena.shape[:-1], *shape)

    def masks(self, arena: Packed) -> Packed:
        """Return a view of the packed masks in rows (..., byte): (..., block, timestep, byte)."""
        size = math.prod(self.mask_shape)
        rows = arena[..., self.masks_offset : self.masks_offset + size]
        return rows.reshape(*arena.shape[:-1], *self.mask_shape)

    def classes_of(self, arena: Packed) -> Ints:
        """Return a view of label and prediction in rows (..., byte): int64 (..., 2)."""
        return arena[..., self.label_offset : self.label_offset + 16].view("<i8")

    def members(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Return dtype and shape of every member of a file of version 1 but the manifest."""
        members: dict[str, tuple[str, tuple[int, ...]]] = {
            "labels": ("<i8", (self.images,)),
            "predictions": ("<i8", (self.images,)),
        }
        mask_shape = (self.images, *self.mask_shape[1:])
        members |= {f"active/{block}": ("|u1", mask_shape) for block in range(self.blocks)}
        for name, tensor in self.tensors.items():
            members[f"spikes/{name}"] = ("|u1", (self.images, *tensor.stored_shape))
        return members


def aligned(size: int, to: int = ALIGNMENT_BYTES) -> int:
    """Return the size rounded up to a multiple."""
    return -(-size // to) * to
