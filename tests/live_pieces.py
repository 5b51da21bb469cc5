"""An image of a trace cut into the pieces of work that a live run asks a device for."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.hil.base import Work
from simulator.trace import Image, Trace


def pieces(trace: Trace, image: Image) -> Iterator[Work]:
    """The stem and the head first, then each block of each timestep in which a token runs."""
    matrices = [op for op in trace.operations if op.kind not in ("lif", "pool", "residual")]
    matrices = [op for op in matrices if op.kind not in ("integrate", "halting")]
    outside = [op.name for op in matrices if op.block is None]
    read = _read(trace, None)
    yield Work(tuple(outside), 0, {name: image.tensors[name] for name in read}, {})
    model = trace.manifest["model"]
    for step in range(model["timesteps"]):
        for block in range(model["blocks"]):
            mask = image.active[str(block)][step : step + 1]
            if not mask.any():
                continue
            layers = tuple(op.name for op in matrices if op.block == block)
            tensors = {}
            for name in _read(trace, block):
                whole = image.tensors[name]
                tensors[name] = whole if len(whole) == 1 else whole[step : step + 1]
            yield Work(layers, step, tensors, {str(block): mask})


def _read(trace: Trace, block: int | None) -> set[str]:
    names = {
        name
        for op in trace.operations
        if op.block == block
        for name in (op.input, op.second_input)
        if name in trace.tensors
    }
    return {str(name) for name in names}
