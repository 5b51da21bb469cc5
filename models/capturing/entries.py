"""Entries of a manifest's list of operations; pools as a trace lists them."""

from __future__ import annotations

import math
import re
from typing import Any

from models.capturing.flow import Node, results_of
from models.capturing.layers import CapturedLayer
from models.capturing.matrices import MatrixWindow
from models.capturing.tape import Call

WEIGHT_BITS = 8
_POOLS = {"max_pool2d_with_indices": "max", "avg_pool2d": "sum"}
_ADAPTIVE = {"_adaptive_avg_pool2d": "sum", "adaptive_max_pool2d": "max"}


def layer_width(layer: CapturedLayer) -> int:
    """Return the channels that a transposed convolution makes."""
    window = layer.product.window
    assert window is not None
    return layer.product.outputs * layer.product.groups // math.prod(window.kernel)


def weighted_entry(layer: CapturedLayer, name: str, source: str) -> dict[str, Any]:
    """Return a layer with weights, in the narrowest kind that holds it."""
    product, window = layer.product, layer.product.window
    inputs, outputs = product.inputs * product.groups, product.outputs * product.groups
    if window is None and product.groups == 1:
        flat = {"in_features": inputs, "out_features": outputs, "rows": product.rows}
        return entry(name, "linear", [source], layer.timesteps, flat, WEIGHT_BITS)
    if window is None:
        grid = (product.rows,)
        window = MatrixWindow((1,), (1,), (0,), (1,), grid, grid, transposed=False)
    shapes: dict[str, Any] = {
        "in_channels": inputs // (1 if window.transposed else math.prod(window.kernel)),
        "out_channels": layer_width(layer) if window.transposed else outputs,
    }
    for key in ("kernel", "stride", "padding", "in_grid", "out_grid"):
        shapes[key] = list(getattr(window, key))
    plain = len(window.kernel) == 2 and set(window.dilation) == {1} and not window.transposed
    if plain and product.groups == 1:
        return entry(name, "conv2d", [source], layer.timesteps, shapes, WEIGHT_BITS)
    shapes |= {"groups": product.groups, "transposed": int(window.transposed)}
    shapes["dilation"] = list(window.dilation)
    return entry(name, "convolution", [source], layer.timesteps, shapes, WEIGHT_BITS)


def entry(
    name: str,
    kind: str,
    inputs: list[Any],
    timesteps: int,
    shapes: dict[str, Any],
    weight_bits: int = 0,
) -> dict[str, Any]:
    """Return an operation of a manifest; `inputs`: names, or what names will follow from."""
    operation: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "stage": "layers",
        "block": None,
        "input": inputs[0],
        "second_input": inputs[1] if len(inputs) > 1 else None,
        "output": name,
        "timesteps": timesteps,
        "shapes": shapes,
        "parameters": {},
        "weight_bits": weight_bits,
        "input_bits": 0,
        "mask": None,
    }
    if len(inputs) > 2:
        operation["more_inputs"] = inputs[2:]
    return operation


def place_of(node: Node) -> str:
    """Return the module that a node's calls are in, by its name or else its class."""
    return node.module or node.kind or "network"


def clean(name: str) -> str:
    """Return a name as a trace takes it."""
    parts = [re.sub(r"[^A-Za-z0-9_-]", "_", part) for part in name.split(".") if part]
    return ".".join(parts)[-120:].lstrip(".") or "network"


def pool_shapes(call: Call, results: int) -> tuple[dict[str, Any], str] | None:
    """Return shapes and type of a two-dimensional pool with equal windows; else None.

    `results`: of one timestep; several maps of one timestep count as channels.
    """
    source, made = call.reads[0], results_of(call)[0]
    before, after = list(source.size[-2:]), list(made.size[-2:])
    name = call.rule.name
    if name in _ADAPTIVE:
        parts = [divmod(size, part) for size, part in zip(before, after, strict=True)]
        if any(rest for _, rest in parts):
            return None
        kernel = stride = [window for window, _ in parts]
        padding, kind = [0, 0], _ADAPTIVE[name]
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
