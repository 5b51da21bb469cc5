"""Layers of torch and SpikingJelly that are listed as a whole, by forward hooks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from spikingjelly.activation_based import neuron
from torch import Tensor, nn

from models.foreign.ledger import Ledger, Value, canonical, in_time, rows_of

Handler = Callable[[Ledger, str, Any, Value, Tensor], Value | None]
SPIKING = (neuron.LIFNode, neuron.IFNode, neuron.ParametricLIFNode)


def convolution(
    ledger: Ledger, name: str, layer: Any, value: Value, output: Tensor
) -> Value | None:
    """A convolution of stored maps; with kernel 1 a linear layer on every token or pixel."""
    if layer.groups != 1 or any(step != 1 for step in layer.dilation):
        return _refused(ledger, name, layer, "in groups or dilated")
    if isinstance(layer.padding, str) or layer.padding_mode != "zeros":
        return _refused(ledger, name, layer, "padded otherwise than by zeros")
    if not value.largest:
        return _refused(ledger, name, layer, "of real values")
    if layer.in_channels != value.channels:
        return _refused(ledger, name, layer, f"of {layer.in_channels} channels")
    if isinstance(layer, nn.Conv1d):
        if layer.kernel_size != (1,) or layer.stride != (1,):
            return _refused(ledger, name, layer, "over several tokens")
        return ledger.linear(name, value, layer.out_channels)
    window = (layer.kernel_size, layer.stride, layer.padding)
    if window == ((1, 1), (1, 1), (0, 0)):
        return ledger.linear(name, value, layer.out_channels)
    out_grid = (output.shape[-2], output.shape[-1])
    shapes = {
        "in_channels": layer.in_channels,
        "out_channels": layer.out_channels,
        "kernel": list(layer.kernel_size),
        "stride": list(layer.stride),
        "padding": list(layer.padding),
        "in_grid": list(value.grid),
        "out_grid": list(out_grid),
    }
    steps = ledger.timesteps
    ledger.run(name, "conv2d", (value.name,), steps, shapes)
    return Value(name, steps, out_grid, layer.out_channels)


def linear(ledger: Ledger, name: str, layer: Any, value: Value, output: Tensor) -> Value | None:
    """A linear layer on tokens or on one vector, a classifier of means, or, of flattened maps, the
    convolution that has their whole grid as its kernel.
    """
    features = layer.out_features
    if value.means:
        steps = 1 if "time" in value.means else ledger.timesteps
        shapes = {"in_features": value.channels, "classes": features, "tokens": value.rows}
        ledger.stage, ledger.block = "head", None
        ledger.run(name, "head", (value.name,), steps, shapes)
        return Value(name, steps, (1, 1), features)
    if not value.largest:
        return _refused(ledger, name, layer, "of real values")
    if layer.in_features == value.channels:
        return ledger.linear(name, value, features)
    if layer.in_features != value.channels * value.rows:
        return _refused(ledger, name, layer, f"of {layer.in_features} features")
    shapes = {
        "in_channels": value.channels,
        "out_channels": features,
        "kernel": list(value.grid),
        "stride": [1, 1],
        "padding": [0, 0],
        "in_grid": list(value.grid),
        "out_grid": [1, 1],
    }
    steps = ledger.timesteps
    ledger.run(name, "conv2d", (value.name,), steps, shapes)
    return Value(name, steps, (1, 1), features)


def batch_norm(ledger: Ledger, name: str, layer: Any, value: Value, output: Tensor) -> Value | None:
    """Folds into the weighted sum ahead of it."""
    maker = next((o for o in ledger.operations if o["output"] == value.name), None)
    if maker is None or maker["kind"] not in ("conv2d", "linear", "pool") or value.largest:
        return _refused(ledger, name, layer, "that is not behind a weighted sum")
    return value


def neurons(ledger: Ledger, name: str, layer: Any, value: Value, output: Tensor) -> Value | None:
    """LIF, parametric LIF and IF nodes over all timesteps at once."""
    if not isinstance(layer, SPIKING):
        return _refused(ledger, name, layer, "that are not LIF or IF")
    if layer.step_mode != "m":
        return _refused(ledger, name, layer, "in single-step mode (set_step_mode(net, 'm'))")
    source, grid = value.name, value.grid
    if "tokens" in value.means:
        source, grid = ledger.unique(f"{name}.mean"), (1, 1)
        shapes = {"tokens": value.rows, "channels": value.channels}
        ledger.run(source, "token_mean", (value.name,), ledger.timesteps, shapes)
        value = replace(value, grid=grid, means=frozenset())
    fired = ledger.fire(name, source, canonical(output, value), grid, layer)
    return replace(fired, channels_last=value.channels_last)


def max_pool(ledger: Ledger, name: str, layer: Any, value: Value, output: Tensor) -> Value | None:
    """A max-pool; of stored values the result is stored."""
    if _pair(layer.dilation) != (1, 1) or layer.ceil_mode:
        return _refused(ledger, name, layer, "dilated or with ceil_mode")
    kernel, stride = _pair(layer.kernel_size), _pair(layer.stride)
    window = (kernel, stride, _pair(layer.padding))
    return _pool(ledger, name, value, output, ("max", *window))


def average_pool(
    ledger: Ledger, name: str, layer: Any, value: Value, output: Tensor
) -> Value | None:
    """An average pool, listed as the sum whose division folds into what follows."""
    kernel, stride = _pair(layer.kernel_size), _pair(layer.stride)
    if _pair(layer.padding) != (0, 0) or layer.ceil_mode or layer.divisor_override:
        return _refused(ledger, name, layer, "padded, with ceil_mode or divisor_override")
    return _pool(ledger, name, value, output, ("sum", kernel, stride, (0, 0)))


def adaptive_average_pool(
    ledger: Ledger, name: str, layer: Any, value: Value, output: Tensor
) -> Value | None:
    """The same where its windows are equal."""
    after = (output.shape[-2], output.shape[-1])
    if any(size % part for size, part in zip(value.grid, after, strict=True)):
        return _refused(ledger, name, layer, f"from {value.grid} to {after}: windows differ")
    kernel = (value.grid[0] // after[0], value.grid[1] // after[1])
    if kernel == (1, 1):
        return value
    return _pool(ledger, name, value, output, ("sum", kernel, kernel, (0, 0)))


Pair = tuple[int, int]


def _pool(
    ledger: Ledger, name: str, value: Value, output: Tensor, how: tuple[str, Pair, Pair, Pair]
) -> Value:
    kind, kernel, stride, padding = how
    grid = (output.shape[-2], output.shape[-1])
    shapes = {
        "channels": value.channels,
        "kernel": list(kernel),
        "stride": list(stride),
        "padding": list(padding),
        "in_grid": list(value.grid),
        "out_grid": list(grid),
    }
    area = kernel[0] * kernel[1] if kind == "sum" else 1
    pooled = replace(
        value,
        name=f"{name}.pooled" if value.largest else name,
        grid=grid,
        largest=value.largest * area,
        unit=value.unit * area if value.largest else 1,
    )
    if pooled.largest:
        ledger.stored(pooled, rows_of(in_time(output, value.steps)))
    stored = pooled.name if pooled.largest else ""
    ledger.run(
        name, "pool", (value.name,), value.steps, shapes, output=stored, parameters={"type": kind}
    )
    return pooled


def _refused(ledger: Ledger, name: str, layer: Any, why: str) -> Value | None:
    ledger.refuse(f"{name}: {type(layer).__name__} {why}")
    return None


def _pair(size: Any) -> Pair:
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[-1]))


HANDLERS: tuple[tuple[tuple[type, ...], Handler], ...] = (
    ((nn.Conv1d, nn.Conv2d), convolution),
    ((nn.Linear,), linear),
    ((nn.BatchNorm1d, nn.BatchNorm2d), batch_norm),
    ((neuron.BaseNode,), neurons),
    ((nn.MaxPool2d,), max_pool),
    ((nn.AvgPool2d,), average_pool),
    ((nn.AdaptiveAvgPool2d,), adaptive_average_pool),
)
