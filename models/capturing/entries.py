"""Entries of a manifest's list of operations."""

from __future__ import annotations

import math
import re
from typing import Any

from models.capturing.flow import Node
from models.capturing.layers import CapturedLayer
from models.capturing.matrices import MatrixWindow

WEIGHT_BITS = 8


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
