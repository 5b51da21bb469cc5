"""What a trace stores, as numbers, and what its layers add: the slow twins of many tests."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from simulator.trace import Image, OperationSpec, Trace, unpack_bits


def integers(trace: Trace, name: str, image: Image) -> np.ndarray:
    """(timestep, row, channel): the whole numbers of a stored tensor."""
    bits = unpack_bits(image.tensors[name], trace.tensors[name].channels)
    return np.tensordot(bits, 2 ** np.arange(bits.shape[1]), axes=([1], [0]))


def values(trace: Trace, name: str, image: Image) -> Tensor:
    """(timestep, row, channel): the network's own values of a stored tensor."""
    spec = trace.tensors[name]
    numbers = integers(trace, name, image)
    return torch.from_numpy((numbers - np.array(spec.zero_point)) * np.array(spec.scale))


def additions(operation: OperationSpec, frames: Tensor) -> int:
    """The additions of a layer with weights for frames (frame, row, channel) of 0 and 1.

    They are PyTorch's own sums where all weights are ones.
    """
    shapes: Any = operation.shapes
    if operation.kind == "linear":
        return int(frames.sum()) * int(shapes["out_features"])
    grid, kernel, groups = tuple(shapes["in_grid"]), shapes["kernel"], shapes.get("groups", 1)
    maps = frames.double().transpose(1, 2).unflatten(2, grid)
    stride, padding = tuple(shapes["stride"]), tuple(shapes["padding"])
    dilation = tuple(shapes.get("dilation", (1,) * len(grid)))
    options: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
    channels, name = (shapes["out_channels"], shapes["in_channels"] // groups), f"conv{len(grid)}d"
    if shapes.get("transposed"):
        channels = (shapes["in_channels"], shapes["out_channels"] // groups)
        name = f"conv_transpose{len(grid)}d"
        reach = zip(shapes["out_grid"], grid, stride, padding, dilation, kernel, strict=True)
        options["output_padding"] = tuple(
            out - ((n - 1) * s - 2 * p + d * (k - 1) + 1) for out, n, s, p, d, k in reach
        )
    weight = torch.ones(*channels, *kernel, dtype=torch.float64)
    return int(getattr(F, name)(maps, weight, groups=groups, **options).sum())


def macs(operation: OperationSpec) -> int:
    """Multiply-accumulates of one timestep."""
    shapes: Any = operation.shapes
    if operation.kind == "linear":
        return int(shapes["rows"] * shapes["in_features"] * shapes["out_features"])
    if operation.kind == "product":
        return math.prod(shapes.values())
    if operation.kind in ("conv2d", "convolution"):
        grid = shapes["in_grid" if shapes.get("transposed") else "out_grid"]
        per = math.prod(shapes["kernel"]) * shapes["in_channels"] * shapes["out_channels"]
        return math.prod(grid) * per // int(shapes.get("groups", 1))
    return 0
