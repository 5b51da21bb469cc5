"""The manifest of a small captured network, with every kind that captures list."""

from __future__ import annotations

from typing import Any

from simulator.trace import SCHEMA

CAPTURED = {"convolution", "product", "neuron", "elementwise", "reduce", "rearrange"}


def tensor(name: str, rows: int, channels: int, **more: Any) -> dict[str, Any]:
    entry = {"name": name, "kind": "spikes", "timesteps": 2, "planes": 1, "grid": [1, rows]}
    return {**entry, "rows": rows, "channels": channels, "mask": None, **more}


def operation(kind: str, name: str, inputs: list[str], **more: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "kind": kind, "stage": "layers", "block": None}
    entry |= {"input": inputs[0], "second_input": inputs[1] if len(inputs) > 1 else None}
    entry |= {"output": name, "timesteps": 2, "parameters": {}, "weight_bits": 0}
    entry |= {"input_bits": 1, "mask": None}
    if len(inputs) > 2:
        entry["more_inputs"] = inputs[2:]
    return {**entry, **more}


def captured_manifest() -> dict[str, Any]:
    """A recurrent network: grouped convolution, neurons, attention of two heads, cat, a mean."""
    window = {"kernel": [3], "stride": [1], "padding": [1], "dilation": [1], "transposed": 0}
    window |= {"in_grid": [6], "out_grid": [6], "in_channels": 4, "out_channels": 4, "groups": 2}
    flat = {"rows": 6, "channels": 4}
    product = {"rows": 6, "inputs": 2, "outputs": 6, "groups": 2}
    values = {"rows": 2, "inputs": 6, "outputs": 6, "groups": 2}
    by_rows = {"input_by": "rows", "second_by": "outputs"}
    by_inputs = {"input_by": "inputs", "second_by": "product"}
    neuron = {"states": 1, "ge": 1, "add": 2, "sub": 1, "mul": 3}
    real: dict[str, Any] = {"input_bits": 0}
    add = {"add": 1}
    operations = [
        operation("rearrange", "late", ["spikes"], output="before", shapes=flat,
                  parameters={"delayed": 1}),
        operation("convolution", "conv", ["input"], shapes=window, weight_bits=8, input_bits=8),
        operation("convolution", "back", ["before"], shapes=window, weight_bits=8),
        operation("elementwise", "sum", ["conv", "back"], shapes=flat, parameters=add, **real),
        operation("neuron", "lif", ["sum"], output="spikes", shapes=flat, parameters=neuron,
                  **real),
        operation("product", "scores", ["spikes", "before"], shapes=product, parameters=by_rows),
        operation("product", "mixed", ["spikes", "scores"], shapes=values, parameters=by_inputs),
        operation("reduce", "mean", ["mixed"], shapes={"rows": 1, "channels": 24, "results": 4},
                  parameters={"mean": 1}, **real),
        operation("rearrange", "cat", ["spikes", "before", "spikes"], output="all",
                  shapes={"rows": 6, "channels": 12}),
        operation("linear", "end", ["all"], weight_bits=8,
                  shapes={"in_features": 12, "out_features": 3, "rows": 6}),
    ]  # fmt: skip
    real_input = {"kind": "integer", "planes": 8, "scale": [0.1] * 4, "zero_point": [1.5] * 4}
    tensors = [
        tensor("input", 6, 4, **real_input, error=0.05),
        tensor("before", 6, 4),
        tensor("spikes", 6, 4, scale=0.5),
        tensor("all", 6, 12),
    ]
    model = {"name": "net", "family": "Net", "timesteps": 2, "blocks": 1, "embed_dim": 4}
    model |= {"heads": 2, "tokens": 6, "token_grid": [1, 6], "parameters": 9, "isps": "none"}
    return {
        "schema": SCHEMA,
        "created_by": {"stasim": "0"},
        "model": {**model, "halting": {"granularity": "none"}},
        "dataset": {"name": "x", "split": "", "source": "", "images": 1, "image_ids": ["0"]},
        "weights": {"origin": "random", "seed": 0, "accuracy": None, "sha256": "0" * 64},
        "stages": {"layers": "layers"},
        "tensors": tensors,
        "operations": operations,
        "capture": {"proof": {"replay": "3 operands"}},
    }
