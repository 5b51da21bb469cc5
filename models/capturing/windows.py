"""Pools as a trace lists them."""

from __future__ import annotations

from typing import Any

from models.capturing.flow import results_of
from models.capturing.tape import Call

_POOLS = {"max_pool2d_with_indices": "max", "avg_pool2d": "sum"}
_ADAPTIVE = {"_adaptive_avg_pool2d": "sum", "adaptive_max_pool2d": "max"}


def pool_shapes(call: Call, results: int) -> tuple[dict[str, Any], str] | None:
    """Return shapes and type of a two-dimensional pool with equal windows; else None.

    `results`: of one timestep; several maps of one timestep count as channels.
    """
    source, made = call.reads[0], results_of(call)[0]
    before, after = list(source.size[-2:]), list(made.size[-2:])
    name = call.rule.name
    if name in _ADAPTIVE:
        if any(size % part for size, part in zip(before, after, strict=True)):
            return None
        kernel = [size // part for size, part in zip(before, after, strict=True)]
        stride, padding, kind = kernel, [0, 0], _ADAPTIVE[name]
    elif name in _POOLS:
        kind = _POOLS[name]
        kernel = _pair(call.args[1])
        given = call.args[2] if len(call.args) > 2 else ()
        stride = _pair(given) if given else kernel
        padding = _pair(call.args[3]) if len(call.args) > 3 else [0, 0]
        dilation = _pair(call.args[4]) if name[:3] == "max" and len(call.args) > 4 else [1, 1]
        if dilation != [1, 1]:
            return None
    else:
        return None
    axes = zip(before, padding, kernel, stride, strict=True)
    if after != [(size + 2 * pad - window) // step + 1 for size, pad, window, step in axes]:
        return None
    shapes = {
        "channels": max(1, results // (after[0] * after[1])),
        "kernel": kernel,
        "stride": stride,
        "padding": padding,
        "in_grid": before,
        "out_grid": after,
    }
    return shapes, kind


def _pair(value: Any) -> list[int]:
    sizes = [value] if isinstance(value, int) else [int(each) for each in value]
    return [sizes[0], sizes[-1]]
