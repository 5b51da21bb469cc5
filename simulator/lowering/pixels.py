"""Which stored pixel lies under a tap of a window: kernels without allocation."""

from __future__ import annotations

from simulator.config.arrays import Ints
from simulator.config.kernels import kernel_part
from simulator.lowering.walks import (
    DILATION_X,
    DILATION_Y,
    DILATION_Z,
    IN_DEPTH,
    IN_HEIGHT,
    IN_WIDTH,
    KERNEL_HEIGHT,
    KERNEL_WIDTH,
    OUT_HEIGHT,
    OUT_WIDTH,
    PADDING_X,
    PADDING_Y,
    PADDING_Z,
    SPREAD_X,
    SPREAD_Y,
    SPREAD_Z,
    STRIDE_X,
    STRIDE_Y,
    STRIDE_Z,
)


@kernel_part
def tap_offset(shape: Ints, tap: int) -> tuple[int, int, int]:
    """Return how far a tap is from the first pixel of its row's window, along each axis."""
    tap_y, tap_x = tap // shape[KERNEL_WIDTH], tap % shape[KERNEL_WIDTH]
    return (
        tap_y // shape[KERNEL_HEIGHT] * shape[DILATION_Z] - shape[PADDING_Z],
        tap_y % shape[KERNEL_HEIGHT] * shape[DILATION_Y] - shape[PADDING_Y],
        tap_x * shape[DILATION_X] - shape[PADDING_X],
    )


@kernel_part
def pixel_under(shape: Ints, row: int, kernel_z: int, kernel_y: int, kernel_x: int) -> int:
    """Return the stored pixel under a tap of a row's window; -1 in padding and between pixels."""
    line = row // shape[OUT_WIDTH]
    z = line // shape[OUT_HEIGHT] * shape[STRIDE_Z] + kernel_z
    y = line % shape[OUT_HEIGHT] * shape[STRIDE_Y] + kernel_y
    x = row % shape[OUT_WIDTH] * shape[STRIDE_X] + kernel_x
    if z % shape[SPREAD_Z] + y % shape[SPREAD_Y] + x % shape[SPREAD_X] > 0:
        return -1
    z, y, x = z // shape[SPREAD_Z], y // shape[SPREAD_Y], x // shape[SPREAD_X]
    inside = 0 <= z < shape[IN_DEPTH] and 0 <= y < shape[IN_HEIGHT] and 0 <= x < shape[IN_WIDTH]
    return (z * shape[IN_HEIGHT] + y) * shape[IN_WIDTH] + x if inside else -1
