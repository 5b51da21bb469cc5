"""Which stored pixel lies under a tap of a window: kernels without allocation."""

from __future__ import annotations

from simulator.config.arrays import Ints
from simulator.config.kernels import kernel_part
from simulator.lowering import walks as w


@kernel_part
def tap_offset(shape: Ints, tap: int) -> tuple[int, int, int]:
    """Return how far a tap is from the first pixel of its row's window, along each axis."""
    tap_y, tap_x = tap // shape[w.KERNEL_WIDTH], tap % shape[w.KERNEL_WIDTH]
    return (
        tap_y // shape[w.KERNEL_HEIGHT] * shape[w.DILATION_Z] - shape[w.PADDING_Z],
        tap_y % shape[w.KERNEL_HEIGHT] * shape[w.DILATION_Y] - shape[w.PADDING_Y],
        tap_x * shape[w.DILATION_X] - shape[w.PADDING_X],
    )


@kernel_part
def pixel_under(shape: Ints, row: int, tap: tuple[int, int, int]) -> int:
    """Return the stored pixel under a tap of a row's window; -1 in padding and between pixels.

    `tap`: its offset.
    """
    line = row // shape[w.OUT_WIDTH]
    z = line // shape[w.OUT_HEIGHT] * shape[w.STRIDE_Z] + tap[0]
    y = line % shape[w.OUT_HEIGHT] * shape[w.STRIDE_Y] + tap[1]
    x = row % shape[w.OUT_WIDTH] * shape[w.STRIDE_X] + tap[2]
    if z % shape[w.SPREAD_Z] + y % shape[w.SPREAD_Y] + x % shape[w.SPREAD_X] > 0:
        return -1
    z, y, x = z // shape[w.SPREAD_Z], y // shape[w.SPREAD_Y], x // shape[w.SPREAD_X]
    inside = (
        0 <= z < shape[w.IN_DEPTH] and 0 <= y < shape[w.IN_HEIGHT] and 0 <= x < shape[w.IN_WIDTH]
    )
    return (z * shape[w.IN_HEIGHT] + y) * shape[w.IN_WIDTH] + x if inside else -1
