"""How an output pixel reads input pixels: the window of a convolution of one to three axes.

A linear layer is a window of one pixel on a line. A transposed convolution of stride s, padding p,
dilation d and kernel k is the convolution of stride 1, padding d (k - 1) - p and the mirrored
kernel on a map with s - 1 zeros between two pixels. In this form an output pixel is a row like any
other: arrays that skip zeros pass the inserted ones, dense arrays spend their time on them, as the
hardware that runs it so. Its sums are those of the transposed convolution, crop and all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from simulator.errors import LoweringError

AXES = 3
"""Axes of a window, depth, height and width; one of fewer axes has 1 pixel along the first."""

Axes = tuple[int, int, int]
ONES: Axes = (1, 1, 1)
NONE: Axes = (0, 0, 0)


class Window(NamedTuple):
    """Hold sizes along depth, height and width.

    `spread`: of a transposed convolution, how far apart two input pixels are on the map with zeros
    between them; 0 elsewhere.
    """

    kernel: Axes
    stride: Axes
    padding: Axes
    in_grid: Axes
    out_grid: Axes
    dilation: Axes = ONES
    spread: Axes = NONE

    @property
    def taps(self) -> int:
        """Count the input pixels under the kernel, zeros between pixels among them."""
        return math.prod(self.kernel)

    @property
    def pixels(self) -> int:
        """Count the input pixels that are stored."""
        return math.prod(self.in_grid)

    @property
    def is_transposed(self) -> bool:
        """Say whether zeros are inserted between the input pixels."""
        return self.spread != NONE

    @property
    def is_line(self) -> bool:
        """Say whether each row reads its own pixel."""
        own = (self.kernel, self.stride, self.padding) == (ONES, ONES, NONE)
        return own and self.spread in (NONE, ONES) and self.in_grid == self.out_grid


def line(rows: int) -> Window:
    """Return the window of a layer of which every row reads its own."""
    return Window(ONES, ONES, NONE, (1, 1, rows), (1, 1, rows))


def window_of(name: str, shapes: Mapping[str, Any]) -> Window:
    """Return the window of a convolution. Raises LoweringError for one of more axes."""
    kernel, stride, dilation, before, after = (
        _axes(name, shapes, key) for key in ("kernel", "stride", "dilation", "in_grid", "out_grid")
    )
    padding = _axes(name, shapes, "padding", 0)
    if not shapes.get("transposed", 0):
        return Window(kernel, stride, padding, before, after, dilation)
    reach = zip(dilation, kernel, padding, strict=True)
    mirrored = tuple(apart * (size - 1) - pad for apart, size, pad in reach)
    return Window(kernel, ONES, mirrored, before, after, dilation, stride)  # type: ignore[arg-type]


def _axes(name: str, shapes: Mapping[str, Any], key: str, fill: int = 1) -> Axes:
    values = tuple(map(int, shapes.get(key, ())))
    if len(values) > AXES:
        raise LoweringError(
            f"operation {name}: a convolution of {AXES} axes on several maps side by side: this "
            "version lowers it on one map"
        )
    return (*(fill,) * (AXES - len(values)), *values)  # type: ignore[return-value]
