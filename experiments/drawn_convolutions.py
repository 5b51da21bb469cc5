"""Traces of networks of convolutions on spikes, with spikes that are given or drawn.

A network is a list of layers: a convolution, its neurons, and what may follow it (a residual that
is ORed, a pool of spikes, attention without products). What a layer reads is stored; nothing is
computed, so no spike follows from another, and the trace says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import simulator
from models.operations.topology import Tensor
from simulator.trace import SCHEMA, open_writer, pack_bits

IMAGE = "image"
IMAGE_PLANES = 8
Bits = npt.NDArray[np.bool_]  # (timestep, plane, row, channel)


class ConvLayer(NamedTuple):
    """A convolution of spikes, padded by half its kernel, and what follows it.

    `reads`: layer whose spikes it reads, or IMAGE; `kernel`: its side, 0 = of the whole map, which
    makes it a classifier without neurons. `residual`: layer whose spikes are ORed with its own.
    `attention`: layers whose spikes (k, v) gate this one's, q. `pool`: side of an OR over pixels.
    """

    name: str
    reads: str
    outputs: int
    kernel: int = 3
    residual: str = ""
    attention: tuple[str, str] | None = None
    pool: int = 1
    stride: int = 1


class ConvolutionListing(NamedTuple):
    """Tensors and operations of a network."""

    tensors: dict[str, Tensor]
    operations: list[dict[str, Any]]


def list_network(
    layers: Sequence[ConvLayer], side: int, channels: int, timesteps: int, planes: int = 1
) -> ConvolutionListing:
    """List a network that reads a square map of so many channels, spikes or integers of planes."""
    kind = "spikes" if planes == 1 else "integer"
    steps = 1 if planes > 1 else timesteps
    image = Tensor(IMAGE, kind, steps, planes, (side, side), channels, None)
    found = ConvolutionListing({IMAGE: image}, [])
    for layer in layers:
        list_layer(found, layer, timesteps)
    return found


def list_layer(found: ConvolutionListing, layer: ConvLayer, timesteps: int) -> None:
    """Add a layer to a network."""
    source = found.tensors[layer.reads]
    kernel = layer.kernel or source.grid[0]
    padding = kernel // 2 if layer.kernel else 0
    side = -(-source.grid[0] // layer.stride)
    grid = (side, side) if layer.kernel else (1, 1)
    rows, stage = math.prod(grid), "network" if layer.kernel else "classifier"

    def run(name: str, kind: str, inputs: list[str], output: str, shapes: dict[str, Any]) -> None:
        found.operations.append(
            {
                "name": name,
                "kind": kind,
                "stage": stage,
                "block": None,
                "input": inputs[0],
                "second_input": inputs[1] if len(inputs) > 1 else None,
                "output": output,
                "timesteps": timesteps,
                "shapes": shapes,
                "parameters": _PARAMETERS.get(kind, {}),
                "weight_bits": 8 if kind == "conv2d" else 0,
                "input_bits": _planes(found, inputs[0]),
                "mask": None,
            }
        )

    def store(name: str, size: tuple[int, int]) -> str:
        spikes = Tensor(name, "spikes", timesteps, 1, size, layer.outputs, None)
        found.tensors[name] = spikes
        return name

    window = {
        "in_channels": source.channels,
        "out_channels": layer.outputs,
        "kernel": [kernel, kernel],
        "stride": [layer.stride] * 2,
        "padding": [padding, padding],
        "in_grid": list(source.grid),
        "out_grid": list(grid),
    }
    name = layer.name
    run(f"{name}.conv", "conv2d", [layer.reads], f"{name}.conv", window)
    if not layer.kernel:
        return
    size = {"rows": rows, "channels": layer.outputs}
    after = f"{name}.lif" if layer.residual or layer.pool > 1 or layer.attention else name
    run(f"{name}.lif", "lif", [f"{name}.conv"], store(after, grid), size)
    if layer.residual:
        name_ = name if layer.pool == 1 else f"{name}.or"
        run(f"{name}.residual", "residual", [after, layer.residual], store(name_, grid), size)
        after = name_
    if layer.pool > 1:
        small = (grid[0] // layer.pool, grid[1] // layer.pool)
        shapes = {
            "channels": layer.outputs,
            "kernel": [layer.pool] * 2,
            "stride": [layer.pool] * 2,
            "padding": [0, 0],
            "in_grid": list(grid),
            "out_grid": list(small),
        }
        run(f"{name}.pool", "pool", [after], store(name, small), shapes)
    if layer.attention:
        heads = {"tokens": rows, "heads": 1, "head_dim": layer.outputs}
        run(
            f"{name}.columns",
            "spike_driven_attention",
            list(layer.attention),
            f"{name}.sums",
            heads,
        )
        gate = store(f"{name}.gate", (1, 1))
        one = {"rows": 1, "channels": layer.outputs}
        run(f"{name}.columns_lif", "lif", [f"{name}.sums"], gate, one)
        shapes = {**size, "gate_rows": 1, "gate_channels": layer.outputs}
        run(f"{name}.gated", "spike_gate", [after, gate], store(name, grid), shapes)


def _planes(found: ConvolutionListing, name: str) -> int:
    """Bits of an operation's input; 0 where it is a sum that is not stored."""
    return found.tensors[name].planes if name in found.tensors else 0


_LIF = {"tau": 2.0, "threshold": 1.0, "reset": 0.0, "decay_input": 1}
_PARAMETERS: dict[str, dict[str, Any]] = {"lif": _LIF, "pool": {"type": "max"}}


def write_network(
    path: Path,
    name: str,
    listing: ConvolutionListing,
    timesteps: int,
    bits: Callable[[Tensor], Bits],
    notes: str,
) -> Path:
    """Write a trace of one image; `bits` gives the ones of each tensor."""
    image, last = listing.tensors[IMAGE], list(listing.tensors.values())[-1]
    roles = {"network": "layers", "classifier": "head"}
    listed = {operation["stage"] for operation in listing.operations}
    manifest = {
        "schema": SCHEMA,
        "created_by": {"stasim": simulator.__version__, "numpy": np.__version__},
        "model": {
            "name": name,
            "family": "convolutions",
            "timesteps": timesteps,
            "blocks": 1,
            "embed_dim": last.channels,
            "heads": 1,
            "parameters": 0,
            "isps": "none",
            "tokens": last.rows,
            "token_grid": list(last.grid),
            "halting": {"granularity": "none"},
        },
        "dataset": {
            "name": f"{image.channels}x{image.grid[0]}x{image.grid[1]}",
            "split": "none",
            "source": "random numbers",
            "images": 1,
            "image_ids": ["drawn/0"],
        },
        "weights": {
            "origin": "random",
            "seed": 0,
            "accuracy": None,
            "sha256": "0" * 64,
            "notes": notes,
        },
        "stages": {stage: role for stage, role in roles.items() if stage in listed},
        "tensors": [tensor.manifest() for tensor in listing.tensors.values()],
        "operations": listing.operations,
    }
    with open_writer(path, manifest) as writer:
        tensors = {name: pack_bits(bits(tensor)) for name, tensor in listing.tensors.items()}
        writer.add(tensors, {"0": np.ones((timesteps, last.rows), np.bool_)}, -1, -1)
    return path


def drawn_pairs(tensor: Tensor, density: float, copied: float, random: np.random.Generator) -> Bits:
    """Draw each bit alone, but for the pixels 2i + 1, which copy a share of pixel 2i's bits."""
    shape = (tensor.timesteps, tensor.planes, tensor.rows, tensor.channels)
    found: Bits = random.random(shape) < density
    pairs = tensor.rows // 2 * 2
    copies = random.random((*shape[:2], pairs // 2, shape[3])) < copied
    odd = found[:, :, 1:pairs:2]
    found[:, :, 1:pairs:2] = np.where(copies, found[:, :, 0:pairs:2], odd)
    return found
