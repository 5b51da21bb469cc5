"""What must be computed: a trace's operations as layers, and the rows of each that are live.

A layer is one matrix operation (convolution, linear, attention product, head) with the element-wise
operations that follow it (pool, LIF, residual, integration, halting). Halting is applied here: a
layer under a mask has, at each timestep, only the rows of tokens that are active. Nothing in this
module knows any hardware.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.errors import LoweringError
from simulator.trace import Image, OperationSpec, Outline, TensorSpec, Trace

PRODUCT_BITS = 8
"""Bits in memory of a product of spikes and spikes: an attention score is at most head_dim, 64 or
less in this field, an element of K^T V at most the number of tokens, 196 or less."""

MATRIX_KINDS = ("conv2d", "linear", "attention_scores", "attention_context", "head")
VECTOR_KINDS = ("lif", "pool", "integrate", "residual", "halting")


class Window(NamedTuple):
    """How an output pixel reads input pixels; a linear layer is a 1 x 1 window on a line."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    in_grid: tuple[int, int]
    out_grid: tuple[int, int]

    @property
    def taps(self) -> int:
        """Input pixels under the kernel."""
        return self.kernel[0] * self.kernel[1]


class VectorOp(NamedTuple):
    """An element-wise operation: `rows` x `channels` results at each of `timesteps`.

    `window_inputs`: inputs compared for each result of a pool, 1 elsewhere.
    """

    name: str
    kind: str
    rows: int
    channels: int
    timesteps: int
    window_inputs: int
    output: str


class _Walk(NamedTuple):
    """How an attention product is walked; `second_bits`: of what takes the weights' place."""

    transposed: bool
    outputs_are_tokens: bool
    second_bits: int


_ATTENTION = {
    "attention_scores": _Walk(False, True, 1),
    "attention_context": _Walk(True, True, PRODUCT_BITS),
    "attention_key_values": _Walk(True, False, 1),
    "attention_query": _Walk(False, False, PRODUCT_BITS),
}
"""(Q K^T) V and Q (K^T V); between the two the product of spikes stays on chip."""


@dataclass(frozen=True)
class Layer:
    """One matrix operation, per timestep `groups` products (rows x inputs) by (inputs x outputs).

    `operand`: the tensor whose bits are walked; `second`: the tensor that takes the place of the
    weights (keys) or None; scores are not stored, so `attention_context` walks the values instead,
    transposed: its rows are the channels of a head, its inputs and outputs tokens.
    `planes`: bit-planes of the operand; `mask`: the block whose halting mask applies, or None.
    `static_input`: the operand has one timestep and feeds all of them.
    """

    index: int
    name: str
    kind: str
    stage: str
    block: int | None
    timesteps: int
    operand: str | None
    second: str | None
    rows: int
    inputs: int
    outputs: int
    groups: int
    planes: int
    weight_bits: int
    mask: str | None
    static_input: bool
    integer_input: bool
    window: Window
    channels: int
    producers: tuple[int, ...] = ()
    vector_ops: tuple[VectorOp, ...] = field(default=())

    @property
    def dense_macs(self) -> int:
        """Multiply-accumulates of one timestep with nothing skipped."""
        return self.rows * self.inputs * self.outputs * self.groups

    @property
    def is_attention(self) -> bool:
        """Whether the weights are themselves activations."""
        return self.kind in _ATTENTION

    @property
    def transposed(self) -> bool:
        """Whether the rows are the channels of a head, and the inputs its tokens."""
        return self.is_attention and _ATTENTION[self.kind].transposed

    @property
    def outputs_are_tokens(self) -> bool:
        """Whether the outputs are live tokens, so that there are fewer where tokens have halted."""
        return self.is_attention and _ATTENTION[self.kind].outputs_are_tokens

    @property
    def second_bits(self) -> int:
        """Bits of the activations that take the weights' place; 0 where there are weights."""
        return _ATTENTION[self.kind].second_bits if self.is_attention else 0

    @property
    def feeds_product(self) -> bool:
        """Whether the results are no spikes but wait in the weight buffer for the next product."""
        return self.second_bits == 1

    def computed_timesteps(self, reuse_static_input: bool) -> int:
        """Timesteps at which the product is computed: 1 where one result can serve them all."""
        reused = self.static_input and self.stage == "sps" and reuse_static_input
        return 1 if reused else self.timesteps

    def operand_bits(self, rows: int, tokens: int) -> int:
        """Bits of the operand behind so many rows of one group; `tokens` if it is transposed."""
        if self.transposed:
            return rows * tokens * self.planes
        if self.is_attention:
            return rows * self.inputs * self.planes
        pixels = self.window.in_grid[0] * self.window.in_grid[1]
        return rows * self.channels * self.planes * pixels // self.rows


@dataclass(frozen=True)
class Network:
    """The layers of a trace in order of execution, and what the mask and tensor names stand for."""

    layers: tuple[Layer, ...]
    tensors: Mapping[str, TensorSpec]
    consumers: Mapping[str, tuple[int, ...]]
    timesteps: int
    tokens: int
    blocks: int
    granularity: str


def read_network(trace: Trace | Outline) -> Network:
    """Group a trace's operations into layers. Raises LoweringError for what has no place in one."""
    model = trace.manifest["model"]
    layers: list[Layer] = []
    made_by: dict[str, int] = {}
    consumers: dict[str, list[int]] = {}
    for operation in trace.operations:
        if operation.kind in MATRIX_KINDS:
            layers.append(_matrix_layer(len(layers), operation, trace.tensors, made_by))
        elif operation.kind not in VECTOR_KINDS:
            raise LoweringError(
                f"{trace.path}: operation {operation.name}: kind {operation.kind}: this version "
                f"lowers {', '.join(MATRIX_KINDS + VECTOR_KINDS)}"
            )
        elif not layers:
            raise LoweringError(
                f"{trace.path}: operation {operation.name}: must follow a matrix operation"
            )
        else:
            last = layers[-1]
            extended = (*last.vector_ops, _vector_op(operation))
            layers[-1] = Layer(**{**vars(last), "vector_ops": extended})
        index = len(layers) - 1
        for name in (operation.input, operation.second_input):
            if name is not None:
                consumers.setdefault(name, []).append(index)
        made_by[operation.output] = index
    return Network(
        layers=tuple(layers),
        tensors=trace.tensors,
        consumers={name: tuple(users) for name, users in consumers.items()},
        timesteps=int(model["timesteps"]),
        tokens=int(model["tokens"]),
        blocks=int(model["blocks"]),
        granularity=str(model["halting"]["granularity"]),
    )


def live_rows(layer: Layer, image: Image, tokens: int) -> list[npt.NDArray[np.int32]]:
    """The rows that a layer computes at each timestep: all, or those of active tokens."""
    if layer.mask is None:
        everything = np.arange(layer.rows if not layer.is_attention else tokens, dtype=np.int32)
        return [everything] * layer.timesteps
    return [np.flatnonzero(active).astype(np.int32) for active in image.active[layer.mask]]


def _matrix_layer(
    index: int,
    operation: OperationSpec,
    tensors: Mapping[str, TensorSpec],
    made_by: Mapping[str, int],
) -> Layer:
    shapes: Mapping[str, int | tuple[int, ...]] = operation.shapes
    operand, second = _operands(operation)
    spec = tensors.get(operand) if operand else None
    rows, inputs, outputs, groups = _product(operation.kind, shapes)
    names = [operation.input, operation.second_input]
    return Layer(
        index=index,
        name=operation.name,
        kind=operation.kind,
        stage=operation.stage,
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
        window=_window(operation.kind, shapes, rows),
        channels=spec.channels if spec else inputs,
        producers=tuple(sorted({made_by[n] for n in names if n is not None and n in made_by})),
    )


def _operands(operation: OperationSpec) -> tuple[str | None, str | None]:
    """The tensor whose bits are walked, and the one that takes the weights' place."""
    if operation.kind == "attention_scores":
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
    if kind == "conv2d":
        return size["out_grid"], size["kernel"] * size["in_channels"], size["out_channels"], 1
    if kind == "attention_scores":
        return size["tokens"], size["head_dim"], size["tokens"], size["heads"]
    if kind == "attention_context":
        return size["head_dim"], size["tokens"], size["tokens"], size["heads"]
    if kind == "head":
        return 1, size["in_features"], size["classes"], 1
    return size["rows"], size["in_features"], size["out_features"], 1


def _window(kind: str, shapes: Mapping[str, int | tuple[int, ...]], rows: int) -> Window:
    if kind != "conv2d":
        return Window((1, 1), (1, 1), (0, 0), (1, rows), (1, rows))
    pairs = [_pair(shapes[key]) for key in ("kernel", "stride", "padding", "in_grid", "out_grid")]
    return Window(*pairs)


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    assert not isinstance(value, int)
    return int(value[0]), int(value[1])


def _vector_op(operation: OperationSpec) -> VectorOp:
    shapes: Mapping[str, int | tuple[int, ...]] = operation.shapes
    inputs = 1
    if operation.kind == "pool":
        rows = math.prod(_pair(shapes["out_grid"]))
        inputs = math.prod(_pair(shapes["kernel"]))
    else:
        count = shapes.get("rows", shapes.get("tokens"))
        assert isinstance(count, int)
        rows = count
    channels = shapes["channels"]
    assert isinstance(channels, int)
    return VectorOp(
        operation.name,
        operation.kind,
        rows,
        channels,
        operation.timesteps,
        inputs,
        operation.output,
    )
