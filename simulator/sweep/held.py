"""A trace whose images stay decoded from one point of a search to the next, if they are small."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from simulator.trace import ImageBatch, Trace, image_range
from simulator.trace_format.layout import Packed

T = TypeVar("T")

HELD_BYTES = 64 << 20
"""Packed bits of the images that a process holds, of each of so many traces."""
MOST_TRACES = 2


class HeldTrace(Trace):
    """Hold some images of a trace and no open file, so threads and processes may share it."""

    def __init__(self, path: str, images: range) -> None:
        """Read and check these images; raises TraceError."""
        super().__init__(path)
        self._held: ImageBatch | None = None
        self._kept: dict[Hashable, Any] = {}
        try:
            self._held = super().read_batch(images)
        finally:
            self.close()

    def once(self, name: Hashable, make: Callable[[], T]) -> T:
        """Return what `make` made when it was first asked for."""
        if name not in self._kept:
            self._kept[name] = make()
        found: T = self._kept[name]
        return found

    def read_batch(self, indices: Sequence[int] | range, out: Packed | None = None) -> ImageBatch:
        """Return neighbouring held images as views; others are read from the file, opened again."""
        index = np.array(indices, np.int64)
        if self._held is None or out is not None or not len(index):
            return super().read_batch(indices, out)
        first = int(index[0] - self._held.index[0])
        rows = slice(first, first + len(index))
        if first >= 0 and np.array_equal(self._held.index[rows], index):
            return ImageBatch._make(column[rows] for column in self._held)
        with Trace.open(self.path) as trace:
            return trace.read_batch(indices)


def open_trace(path: str, images: str | None) -> Trace:
    """Open a trace, of which the images `A:B` will be read; it may be open in another place too.

    A file that changed between two calls is read again; of a folder that cannot be seen, so nothing
    is held of one. Raises TraceError.
    """
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return Trace.open(path)  # a shipped name, or an error with a message
    stamp = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    held = None if os.path.isdir(path) else _held(os.path.abspath(path), images, stamp)
    return held or Trace.open(path)


@lru_cache(maxsize=MOST_TRACES)
def _held(path: str, images: str | None, stamp: tuple[int, ...]) -> HeldTrace | None:
    """Return the trace with these images, or None where they are too large; `stamp`: which file."""
    with Trace.open(path) as trace:
        wanted = image_range(images, trace.images)
        if len(wanted) * trace.layout.image_bytes > HELD_BYTES:
            return None
    return HeldTrace(path, wanted)
