"""A trace's operations grouped into layers, in order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from simulator.errors import LoweringError
from simulator.operations.layers import (
    ELEMENT_KINDS,
    MATRIX_KINDS,
    Layer,
    Network,
    Stream,
    VectorOp,
)
from simulator.operations.windows import line, window_of
from simulator.trace import OperationSpec, Outline, TensorSpec, Trace

STREAM_BITS = 16
"""Bits of an element of a residual stream of real-valued sums, where no machine states them."""

VECTOR_KINDS = (
    "lif",
    "pool",
    "integrate",
    "residual",
    "spike_gate",
    "token_mean",
    "halting",
    "neuron",
    "elementwise",
    "reduce",
    "rearrange",
)

_ADDS = frozenset("add sub rsub neg sum mean cumsum abs".split())  # noqa: SIM905
_MULTIPLIES = frozenset("mul div lerp square addcmul addcdiv avg_pool2d".split())  # noqa: SIM905
_COMPARES = frozenset(
    """ge gt le lt eq ne maximum minimum clamp clamp_min clamp_max relu where heaviside sign round
    floor ceil trunc max min amax amin argmax argmin any all logical_and logical_or logical_not
    bitwise_and bitwise_or masked_fill max_pool2d_with_indices""".split()  # noqa: SIM905
)
# A neuron's update on the vector unit: two adds and a comparison.
_UPDATE = {"add": 2, "compare": 1}


def read_network(trace: Trace | Outline) -> Network:
    """Group a trace's operations into layers. Raises LoweringError for what has no place in one."""
    model = trace.manifest["model"]
    if trace.layout.image_timesteps:
        raise LoweringError(
            f"{trace.path}: its images leave after {min(trace.layout.image_timesteps)} to "
            f"{max(trace.layout.image_timesteps)} timesteps: this needs one number for all; "
            "`simulator.run`, searches and comparisons take them"
        )
    reader = _Reader(trace)
    for operation in trace.operations:
        reader.add(operation)
    reader.finish()
    return Network(
        layers=tuple(reader.layers),
        tensors=trace.tensors,
        held={**trace.tensors, **reader.streams},
        consumers={name: tuple(users) for name, users in reader.consumers.items()},
        timesteps=int(model["timesteps"]),
        tokens=int(model["tokens"]),
        blocks=int(model["blocks"]),
        granularity=str(model["halting"]["granularity"]),
        attention_order=str(model.get("attention_order", "scores_first")),
        recurrent=tuple(each.name for each in reader.layers if each.operand in reader.late),
        sees_future=tuple(map(str, _proof(trace).get("not_causal", ()))),
    )


def _proof(trace: Trace | Outline) -> Mapping[str, Any]:
    """What a capture proved of the network; {} of other traces."""
    proof = trace.manifest.get("capture", {}).get("proof", {})
    return proof if isinstance(proof, dict) else {}


class _Reader:
    """Groups operations into layers, in order."""

    def __init__(self, trace: Trace | Outline) -> None:
        self.trace = trace
        self.layers: list[Layer] = []
        self.made: dict[str, tuple[int, OperationSpec]] = {}
        self.consumers: dict[str, list[int]] = {}
        self.streams: dict[str, Stream] = {}
        self.delayed: list[OperationSpec] = []
        self.late: set[str] = set()

    def finish(self) -> None:
        """Give what a later layer makes for an earlier one, one timestep on, to its maker."""
        delayed, self.delayed = self.delayed, []
        for operation in delayed:
            self._rearrange(operation)

    def add(self, operation: OperationSpec) -> None:
        """Begin a layer, or add to the last one."""
        if operation.kind == "rearrange":
            self._rearrange(operation)
            return
        if operation.kind in MATRIX_KINDS + ELEMENT_KINDS:
            layer = _begin_layer(len(self.layers), operation, self.trace.tensors)
            self._check_tokens(layer)
            self.layers.append(layer)
        elif operation.kind not in VECTOR_KINDS:
            raise LoweringError(
                f"{self.trace.path}: operation {operation.name}: kind {operation.kind}: this "
                f"version lowers {', '.join(MATRIX_KINDS + ELEMENT_KINDS + VECTOR_KINDS)}"
            )
        elif not self.layers:
            raise LoweringError(
                self.trace.path, f"operation {operation.name}", "must follow a matrix operation"
            )
        last = self.layers[-1]
        changed: dict[str, object] = {}
        if operation.kind not in MATRIX_KINDS:
            changed["vector_ops"] = (*last.vector_ops, *_vector_ops(operation))
        names = list(operation.inputs)
        if operation.kind == "product" and last.second is None and names[1] in self.made:
            maker = self.made[names[1]][0]
            self.layers[maker] = replace(self.layers[maker], feeds=True)
        others = {self.made[name][0] for name in names if name in self.made} - {last.index}
        changed["producers"] = tuple(sorted(others.union(last.producers)))
        reads = list(last.reads)
        for name in names:
            self.consumers.setdefault(name, []).append(last.index)
            if self._is_stream(name, last.index, operation):
                self.streams[name] = _stream(self.made[name][1])
            if name in self.trace.tensors or name in self.streams:
                own = (last.operand, last.second)
                if name not in own and self.made.get(name, (-1,))[0] != last.index:
                    reads.append(name)
        changed["reads"] = tuple(dict.fromkeys(reads))
        self.layers[-1] = replace(last, **changed)  # type: ignore[arg-type]
        self.made[operation.output] = (last.index, operation)

    def _check_tokens(self, layer: Layer) -> None:
        """A product of activations has the network's tokens along what is walked."""
        tokens = int(self.trace.manifest["model"]["tokens"])
        walked = layer.inputs if layer.transposed else layer.rows
        if layer.is_attention and walked != tokens:
            raise LoweringError(
                f"{self.trace.path}: operation {layer.name}: a product of {walked} rows beside "
                f"others of {tokens}: this version lowers products of one number of tokens"
            )

    def _rearrange(self, operation: OperationSpec) -> None:
        """A tensor stored without arithmetic: by the layer that makes the last of its parts."""
        makers = [self.made[name][0] for name in operation.inputs if name in self.made]
        if not makers:
            self.delayed.append(operation)
            self.late |= {operation.output} if operation.parameters.get("delayed") else set()
            return
        at = max(makers)
        layer = self.layers[at]
        self.layers[at] = replace(layer, vector_ops=(*layer.vector_ops, *_vector_ops(operation)))
        self.made[operation.output] = (at, operation)

    def _is_stream(self, name: str, layer: int, operation: OperationSpec) -> bool:
        """Whether a later layer than its maker's reads a value that the trace does not store."""
        if name in self.trace.tensors or name not in self.made:
            return False
        maker, made = self.made[name]
        inside = made.kind in ("attention_scores", "halting", "product") or operation.kind == "head"
        return maker != layer and not inside


def _stream(maker: OperationSpec) -> Stream:
    """What it takes to keep the output of an operation."""
    shapes: Mapping[str, int | tuple[int, ...]] = maker.shapes
    if maker.kind in MATRIX_KINDS:
        rows, _, outputs, groups = _product(maker.kind, shapes)
        return Stream(maker.timesteps, STREAM_BITS, rows, outputs * groups)
    made = _vector_ops(maker)[0]
    bits = 1 if maker.kind in ("neuron", "lif") else STREAM_BITS
    return Stream(maker.timesteps, bits, made.rows, made.channels)


def _begin_layer(index: int, operation: OperationSpec, tensors: Mapping[str, TensorSpec]) -> Layer:
    if operation.kind == "product":
        return _begin_product(index, operation, tensors)
    operand, second = _operands(operation)
    return _layer(index, operation, operand, second, tensors.get(operand) if operand else None)


def _layer(
    index: int,
    operation: OperationSpec,
    operand: str | None,
    second: str | None,
    spec: TensorSpec | None,
) -> Layer:
    """A layer of an operation that walks `operand`, which is stored as `spec`, if at all."""
    shapes: Mapping[str, int | tuple[int, ...]] = operation.shapes
    is_convolution = operation.kind in ("conv2d", "convolution")
    rows, inputs, outputs, groups = _product(operation.kind, shapes)
    return Layer(
        index=index,
        name=operation.name,
        kind="conv2d" if operation.kind == "convolution" else operation.kind,
        stage=operation.stage,
        role=operation.role,
        block=operation.block,
        timesteps=operation.timesteps,
        operand=operand,
        second=second,
        rows=rows,
        inputs=inputs,
        outputs=outputs,
        groups=groups,
        planes=spec.planes if spec else 1,
        weight_bits=operation.weight_bits,
        mask=operation.mask,
        static_input=spec is not None and spec.timesteps == 1 < operation.timesteps,
        integer_input=spec is not None and spec.kind == "integer",
        window=window_of(operation.name, shapes) if is_convolution else line(rows),
        channels=spec.channels if spec else inputs,
        output=operation.output,
        mean_tokens=int(shapes["tokens"]) if operation.kind == "head" else 0,  # type: ignore[arg-type]
    )


_WALKS = {
    ("rows", False): "attention_scores",
    ("inputs", True): "attention_context",
    ("inputs", False): "attention_key_values",
    ("rows", True): "attention_query",
}
"""How a product of activations is walked: by what its input's stored rows are, and whether the
second factor is the result of an earlier product."""


def _begin_product(
    index: int, operation: OperationSpec, tensors: Mapping[str, TensorSpec]
) -> Layer:
    """A product of two activations, walked along its input."""
    rows, inputs, outputs, _ = _product(operation.kind, operation.shapes)
    spec = tensors[operation.input]
    second = operation.second_input if operation.second_input in tensors else None
    planes = tensors[second].planes if second is not None else 1
    kind = _WALKS[str(operation.parameters["input_by"]), second is None]
    if kind == "attention_scores" and outputs != rows:
        kind = "product_of_rows"
    elif kind == "attention_context" and outputs != inputs:
        kind = "product_of_columns"
    if operation.parameters["input_by"] == "inputs" and spec.planes > 1:
        raise LoweringError(
            f"operation {operation.name}: a product whose operand {operation.input} has "
            f"{spec.planes} planes and is walked by its inputs: this version walks spikes so"
        )
    layer = _layer(index, operation, operation.input, second, spec)
    # No result feeds another product until one reads it.
    return replace(layer, kind=kind, static_input=False, second_planes=planes, feeds=False)


def _operands(operation: OperationSpec) -> tuple[str | None, str | None]:
    """The tensor whose bits are walked, and the one that takes the weights' place."""
    if operation.kind == "attention_scores" or operation.kind in ELEMENT_KINDS:
        return operation.input, operation.second_input
    if operation.kind == "attention_context":
        return operation.second_input, None
    return (operation.input if operation.kind != "head" else None), None


def _product(kind: str, shapes: Mapping[str, int | tuple[int, ...]]) -> tuple[int, int, int, int]:
    """Rows, inputs, outputs and groups of the matrix product of one timestep."""
    size = {
        key: math.prod(value) if isinstance(value, tuple | list) else int(value)
        for key, value in shapes.items()
    }
    if kind in ("conv2d", "convolution"):
        groups = size.get("groups", 1)
        inputs, outputs = size["in_channels"] // groups, size["out_channels"] // groups
        return size["out_grid"], size["kernel"] * inputs, outputs, groups
    if kind == "product":
        return size["rows"], size["inputs"], size["outputs"], size["groups"]
    if kind == "attention_scores":
        return size["tokens"], size["head_dim"], size["tokens"], size["heads"]
    if kind == "attention_context":
        return size["head_dim"], size["tokens"], size["tokens"], size["heads"]
    if kind == "head":
        return 1, size["in_features"], size["classes"], 1
    if kind in ELEMENT_KINDS:
        channels = size["heads"] * size["head_dim"]
        return size["tokens"], channels, channels, 1
    return size["rows"], size["in_features"], size["out_features"], 1


def _axes(value: int | tuple[int, ...]) -> tuple[int, ...]:
    assert not isinstance(value, int)
    return tuple(value)


def _vector_ops(operation: OperationSpec) -> tuple[VectorOp, ...]:
    """The vector unit's work of an operation: one piece, or one for each kind of arithmetic."""
    shapes: Mapping[str, int | tuple[int, ...]] = operation.shapes
    inputs = 1
    if operation.kind == "pool":
        rows = math.prod(_axes(shapes["out_grid"]))
        inputs = math.prod(_axes(shapes["kernel"]))
    else:
        count = shapes.get("rows", shapes.get("tokens"))
        assert isinstance(count, int)
        rows = count
    channels = shapes.get("channels")
    if channels is None:
        channels = _product(operation.kind, shapes)[1]
    assert isinstance(channels, int)

    def piece(kind: str, times: int) -> VectorOp:
        return VectorOp(
            operation.name, kind, rows, channels, operation.timesteps, times, operation.output
        )

    if operation.kind not in ("neuron", "elementwise", "reduce"):
        return (piece(operation.kind, inputs),)
    counts = _arithmetic(operation.parameters)
    pieces = []
    if operation.kind == "neuron" and "tau" in operation.parameters:
        return (piece("lif", 1),)
    if operation.kind == "neuron":
        states = int(operation.parameters["states"])
        pieces = [piece("lif", 1)] * states
        counts = {kind: count - _UPDATE.get(kind, 0) * states for kind, count in counts.items()}
    pieces += [piece(kind, count) for kind, count in counts.items() if count > 0]
    return tuple(pieces or [piece("rearrange", 1)])


def _arithmetic(parameters: Mapping[str, float | str]) -> dict[str, int]:
    """Adds, multiplies, comparisons and looked-up functions for one result."""
    counts = dict.fromkeys(("add", "multiply", "compare", "table"), 0)
    for name, count in parameters.items():
        if name in ("states", "delayed", "results") or not isinstance(count, int):
            continue
        kind = "table"
        for names, arithmetic in (
            (_ADDS, "add"),
            (_MULTIPLIES, "multiply"),
            (_COMPARES, "compare"),
        ):
            if name in names:
                kind = arithmetic
        counts[kind] += count
    return counts
