"""What is known of every tensor that a foreign network makes while it runs, and what it lists."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from models.operations.plan import IMAGE_BITS, Grid, Listing

REAL = 0


@dataclass(frozen=True)
class Value:
    """An activation, however its tensor is shaped.

    `name`: of the stored tensor or of the operation that makes it. `largest`: the largest stored
    value (1: spikes; REAL: not stored). `unit`: what a 1 of the network is stored as. `steps`: 1
    for an image that feeds every timestep. `means`: `tokens`, `time`, where the tensor is a mean
    over them. `channels_last`: where a tensor of tokens has them so.
    """

    name: str
    steps: int
    grid: Grid
    channels: int
    largest: int = REAL
    unit: int = 1
    means: frozenset[str] = frozenset()
    channels_last: bool = False

    @property
    def rows(self) -> int:
        """Tokens or pixels."""
        return self.grid[0] * self.grid[1]


LOST = Value("?", 1, (1, 1), 1)


class Ledger(Listing):
    """Lists operations as they run, and knows which value every live tensor is.

    `unknown` collects what cannot be listed, so that one error names all of it.
    """

    def __init__(self, timesteps: int) -> None:
        super().__init__()
        self.timesteps = timesteps
        self.data: dict[str, Tensor] = {}
        self.unknown: dict[str, None] = {}
        self.depth = 0
        self.tokens: tuple[Grid, int, int] | None = None
        self._values: dict[int, Value] = {}
        self._kept: list[Tensor] = []  # a freed tensor's id would come again
        self._names: dict[str, int] = {}

    def know(self, tensor: Tensor, value: Value) -> None:
        """From now on `tensor` is `value`."""
        self._values[id(tensor)] = value
        self._kept.append(tensor)

    def find(self, tensor: Any) -> Value | None:
        """The value of a tensor, None for one that is not followed."""
        return self._values.get(id(tensor)) if isinstance(tensor, Tensor) else None

    def refuse(self, what: str) -> None:
        """Remember what cannot be listed."""
        self.unknown[what] = None

    def unique(self, name: str) -> str:
        """The name, or, for one that is taken, with a number."""
        self._names[name] = self._names.get(name, 0) + 1
        return name if self._names[name] == 1 else f"{name}.{self._names[name]}"

    def image(self, pixels: Tensor, sequence: bool) -> Value:
        """List the image: uint8 (image, channel, h, w), or (image, timestep, channel, h, w)."""
        frames = pixels.transpose(0, 1) if sequence else pixels.unsqueeze(0)
        value = Value("sps.image", len(frames), _pair(frames), frames.shape[2], 2**IMAGE_BITS - 1)
        self.store(value.name, value.steps, value.grid, value.channels, value.largest)
        self.data[value.name] = rows_of(frames)
        return value

    def stored(self, value: Value, rows: Tensor) -> Value:
        """List a tensor with its data (timestep, image, row, channel), as the network has them."""
        self.store(value.name, value.steps, value.grid, value.channels, value.largest, value.unit)
        self.data[value.name] = rows.detach()
        return value

    def fire(self, name: str, source: str, rows: Tensor, grid: Grid, node: Any) -> Value:
        """List neurons and their spikes (timestep, image, row, channel)."""
        value = Value(f"{name}.spikes", len(rows), grid, rows.shape[3], 1)
        if bool(((rows != 0) & (rows != 1)).any()):
            self.refuse(f"{name}: neurons whose output is not 0 or 1")
            rows = (rows != 0).to(rows.dtype)
        self.stored(value, rows)
        shapes = {"rows": value.rows, "channels": value.channels}
        parameters = neuron_parameters(node)
        self.run(
            name, "lif", (source,), len(rows), shapes, output=value.name, parameters=parameters
        )
        return value

    def linear(self, name: str, source: Value, features: int) -> Value:
        """List a linear layer on every row."""
        shapes = {"in_features": source.channels, "out_features": features, "rows": source.rows}
        self.run(name, "linear", (source.name,), self.timesteps, shapes)
        return replace(
            source, name=name, channels=features, largest=REAL, unit=1, steps=self.timesteps
        )

    def add(self, name: str, first: Value, second: Value, output: Tensor) -> Value:
        """List a residual: of two stored values a stored one, else of potentials."""
        steps = max(first.steps, second.steps)
        shapes = {"rows": first.rows, "channels": first.channels}
        whole = first.largest and second.largest and first.unit == second.unit
        inputs = (first.name, second.name)
        if not whole:
            self.run(name, "residual", inputs, steps, shapes)
            return replace(first, name=name, largest=REAL, unit=1, steps=steps)
        total = replace(
            first, name=f"{name}.sum", largest=first.largest + second.largest, steps=steps
        )
        self.stored(total, canonical(output, total))
        self.run(name, "residual", inputs, steps, shapes, output=total.name)
        return total

    def begin_block(self, grid: Grid, channels: int, heads: int) -> None:
        """An attention begins the next block."""
        self.block = 0 if self.block is None else self.block + 1
        self.stage = "blocks"
        self.tokens = (grid, channels, heads)


def in_time(tensor: Tensor, steps: int) -> Tensor:
    """Maps with the timesteps as their first axis, apart from the images."""
    return tensor.unflatten(0, (steps, -1)) if tensor.dim() == 4 else tensor


def rows_of(maps: Tensor) -> Tensor:
    """(timestep, image, channel, ...) as (timestep, image, row, channel)."""
    return maps.flatten(3).transpose(2, 3) if maps.dim() > 3 else maps.unsqueeze(2)


def canonical(tensor: Tensor, value: Value) -> Tensor:
    """A value's tensor, of whatever layout, as (timestep, image, row, channel)."""
    if tensor.dim() == 4 and value.channels_last:
        return tensor
    if tensor.dim() == 3 and value.rows > 1:
        return tensor.unflatten(2, (value.channels, value.rows)).transpose(2, 3)
    return rows_of(tensor)


def neuron_parameters(node: Any) -> dict[str, Any]:
    """tau, threshold, reset and the like of a LIF or IF node; `soft_reset` where it subtracts."""
    from spikingjelly.activation_based import neuron

    parameters: dict[str, Any] = {"threshold": float(node.v_threshold)}
    parameters["reset"] = 0.0 if node.v_reset is None else float(node.v_reset)
    if node.v_reset is None:
        parameters["soft_reset"] = 1
    if isinstance(node, neuron.ParametricLIFNode):
        tau = 1.0 / float(torch.sigmoid(node.w.detach()))
        return {"tau": tau, "decay_input": int(node.decay_input), **parameters}
    if isinstance(node, neuron.LIFNode):
        return {"tau": float(node.tau), "decay_input": int(node.decay_input), **parameters}
    return {"tau": 1.0, "decay_input": 0, "leak": 0, **parameters}  # IF: no leak


def _pair(maps: Tensor) -> Grid:
    return maps.shape[-2], maps.shape[-1]
