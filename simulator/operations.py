"""What must be computed: a trace's operations as layers, and the rows of each that are live.

A layer is one matrix operation (convolution, linear, attention product, head) with the element-wise
operations that follow it (pool, LIF, residual, integration, halting). Halting is applied here: a
layer under a mask has, at each timestep, only the rows of tokens that are active. Nothing in this
module knows any hardware.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from simulator.config.arrays import Int32s
from simulator.errors import LoweringError
from simulator.trace import Image, OperationSpec, Outline, TensorSpec, Trace
from simulator.windows import Window, line, window_of

STREAM_BITS = 16
"""Bits of an element of a residual stream of real-valued sums, where no machine states them."""

MATRIX_KINDS = (
    "conv2d",
    "linear",
    "attention_scores",
    "attention_context",
    "head",
    "convolution",
    "product",
)
ELEMENT_KINDS = ("spike_driven_attention", "token_qk_attention")
INPUT, CONVOLUTIONS, LINEARS, ATTENTION = "input", "convolutions", "linears", "attention"
"""Classes of products: of the network's integer input, convolutions, linear layers, and products
of two activations."""
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


class VectorOp(NamedTuple):
    """An element-wise operation: `rows` x `channels` results at each of `timesteps`.

    `window_inputs`: inputs compared for each result of a pool, operations for each result of
    `add`, `multiply`, `compare` and `table`, 1 elsewhere. `rearrange` costs nothing.
    """

    name: str
    kind: str
    rows: int
    channels: int
    timesteps: int
    window_inputs: int
    output: str


class _Walk(NamedTuple):
    """How an attention product is walked; `takes_product`: a product takes the weights' place."""

    transposed: bool
    outputs_are_tokens: bool
    takes_product: bool


_ATTENTION = {
    "attention_scores": _Walk(False, True, False),
    "attention_context": _Walk(True, True, True),
    "attention_key_values": _Walk(True, False, False),
    "attention_query": _Walk(False, False, True),
    "product_of_rows": _Walk(False, False, False),
    "product_of_columns": _Walk(True, False, True),
}
"""(Q K^T) V and Q (K^T V); between the two the product of spikes stays on chip."""


@dataclass(frozen=True)
class Layer:
    """One matrix operation, per timestep `groups` products (rows x inputs) by (inputs x outputs).

    `operand`: the tensor whose bits are walked; `second`: the tensor that takes the place of the
    weights (keys) or None; scores are not stored, so `attention_context` walks the values instead,
    transposed: its rows are the channels of a head, its inputs and outputs tokens.
    `stage`: the trace's name of its part of the network; `role`: what that part is, one of ROLES.
    `output`: what the operation itself makes; `mean_tokens`: tokens that a head takes the mean of;
    `reads`: stored tensors and streams that its element-wise operations read; `planes`: bit-planes
    of the operand; `mask`: the block whose halting mask applies, or None.
    `static_input`: the operand has one timestep and feeds all of them. `second_planes`: bit-planes
    of `second`. `feeds`: whether the result of a product of activations is a factor of another.
    `product_bits`: of such a result; `factor_bits`: of one that it takes; see lowering/widths.py.
    `scattered`: the window of a convolution whose rows are input pixels (lowering/by_inputs.py).
    """

    index: int
    name: str
    kind: str
    stage: str
    role: str
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
    output: str = ""
    second_planes: int = 1
    product_bits: int = 0
    factor_bits: int = 0
    feeds: bool = True
    mean_tokens: int = 0
    producers: tuple[int, ...] = ()
    vector_ops: tuple[VectorOp, ...] = field(default=())
    reads: tuple[str, ...] = ()
    scattered: Window | None = None

    @property
    def dense_macs(self) -> int:
        """Multiply-accumulates of one timestep with nothing skipped."""
        if self.is_elementwise:
            return 0
        if self.scattered is not None:
            pixels = math.prod(self.scattered.out_grid) * self.scattered.taps
            return pixels * self.inputs * self.outputs
        # Zeros that a transposed convolution inserts are no inputs.
        rows = self.window.pixels if self.window.is_transposed else self.rows
        return rows * self.inputs * self.outputs * self.groups

    @property
    def group_channels(self) -> int:
        """Channels of the operand that one group of a convolution reads."""
        return self.channels // self.groups

    @property
    def product_class(self) -> str:
        """The class of the product, by which a machine with several arrays chooses one."""
        if self.is_attention:
            return ATTENTION
        if self.integer_input and not self.producers:
            return INPUT
        window = self.scattered or self.window
        # A window that sees the map once is a linear layer of all its pixels.
        once = math.prod(window.out_grid) == 1
        return CONVOLUTIONS if self.kind == "conv2d" and not once else LINEARS

    @property
    def is_elementwise(self) -> bool:
        """Whether it is no product: sums over tokens or channels, done by the vector unit."""
        return self.kind in ELEMENT_KINDS

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
        if not self.is_attention:
            return 0
        return self.factor_bits if _ATTENTION[self.kind].takes_product else self.second_planes

    @property
    def feeds_product(self) -> bool:
        """Whether the results are no spikes but wait in the weight buffer for the next product."""
        return self.is_attention and not _ATTENTION[self.kind].takes_product and self.feeds

    def computed_timesteps(self, reuse_static_input: bool) -> int:
        """Timesteps at which the product is computed: 1 where one result can serve them all."""
        ahead = self.role in ("stem", "layers")
        reused = self.static_input and ahead and reuse_static_input
        return 1 if reused else self.timesteps

    def operand_bits(self, rows: int, tokens: int) -> int:
        """Bits of the operand behind so many rows of one group; `tokens` if it is transposed."""
        if self.transposed:
            return rows * tokens * self.planes
        if self.is_attention:
            return rows * self.inputs * self.planes
        return rows * self.group_channels * self.planes * self.window.pixels // self.rows


class Stream(NamedTuple):
    """Real-valued sums that a later layer adds to or reads, so that a machine has to keep them."""

    timesteps: int
    planes: int
    rows: int
    channels: int


@dataclass(frozen=True)
class Network:
    """The layers of a trace in order of execution, and what the mask and tensor names stand for.

    `sees_future`: layers that depend on later timesteps, by a capture's experiment; `recurrent`:
    those that read what a later layer made one timestep earlier. `attention_order`: which product
    of attention the trace says comes first. `held`: what is kept between
    layers: the stored tensors, and the streams that traces leave out.
    """

    layers: tuple[Layer, ...]
    tensors: Mapping[str, TensorSpec]
    held: Mapping[str, TensorSpec | Stream]
    consumers: Mapping[str, tuple[int, ...]]
    timesteps: int
    tokens: int
    blocks: int
    granularity: str
    sees_future: tuple[str, ...] = ()
    recurrent: tuple[str, ...] = ()
    attention_order: str = "scores_first"


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
                f"{self.trace.path}: operation {operation.name}: must follow a matrix operation"
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


def key_values_first(network: Network) -> Network:
    """The same network with attention as Q (K^T V): equal results, since no softmax is between."""
    makers = {op.output: layer.index for layer in network.layers for op in layer.vector_ops}
    layers = list(network.layers)
    consumers = {name: list(users) for name, users in network.consumers.items()}
    for context in network.layers:
        if context.kind != "attention_context":
            continue
        ahead = [layers[i] for i in context.producers if layers[i].kind == "attention_scores"]
        if not ahead:
            continue
        scores = ahead[0]
        q, k, v = scores.operand, scores.second, context.operand
        head_dim, tokens = scores.inputs, scores.rows
        own = {name: makers[name] for name in (q, k, v) if name in makers}
        layers[scores.index] = replace(
            scores,
            kind="attention_key_values",
            operand=k,
            second=v,
            rows=head_dim,
            window=line(head_dim),
            inputs=tokens,
            outputs=head_dim,
            producers=tuple(sorted({own[name] for name in (k, v) if name in own})),
        )
        layers[context.index] = replace(
            context,
            kind="attention_query",
            operand=q,
            rows=tokens,
            window=line(tokens),
            inputs=head_dim,
            outputs=head_dim,
            producers=tuple(sorted({scores.index} | {own[q]} if q in own else {scores.index})),
        )
        for name, user in ((q, context.index), (v, scores.index)):
            if name is not None:
                consumers[name].append(user)
    return replace(
        network,
        layers=tuple(layers),
        consumers={name: tuple(users) for name, users in consumers.items()},
    )


def live_rows(layer: Layer, image: Image, tokens: int) -> list[Int32s]:
    """The rows that a layer computes at each timestep: all, or those of active tokens."""
    if layer.mask is None:
        every = layer.inputs if layer.transposed else layer.rows
        everything = np.arange(every, dtype=np.int32)
        return [everything] * layer.timesteps
    return [np.flatnonzero(active).astype(np.int32) for active in image.active[layer.mask]]


def _begin_layer(index: int, operation: OperationSpec, tensors: Mapping[str, TensorSpec]) -> Layer:
    shapes: Mapping[str, int | tuple[int, ...]] = operation.shapes
    if operation.kind == "product":
        return _begin_product(index, operation, tensors)
    operand, second = _operands(operation)
    spec = tensors.get(operand) if operand else None
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
        window=(
            window_of(operation.name, shapes)
            if operation.kind in ("conv2d", "convolution")
            else line(rows)
        ),
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
    shapes: Mapping[str, int | tuple[int, ...]] = operation.shapes
    rows, inputs, outputs, groups = _product(operation.kind, shapes)
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
    return Layer(
        index=index,
        name=operation.name,
        kind=kind,
        stage=operation.stage,
        role=operation.role,
        block=operation.block,
        timesteps=operation.timesteps,
        operand=operation.input,
        second=second,
        rows=rows,
        inputs=inputs,
        outputs=outputs,
        groups=groups,
        planes=spec.planes,
        weight_bits=0,
        mask=operation.mask,
        static_input=False,
        integer_input=spec.kind == "integer",
        window=line(rows),
        channels=spec.channels,
        output=operation.output,
        second_planes=planes,
        feeds=False,  # until a product reads it
    )


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
