"""Layers and networks of them, as every machine sees them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import NamedTuple

from simulator.operations.windows import Window, line
from simulator.trace import TensorSpec

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


class VectorOp(NamedTuple):
    """Describe an element-wise operation: `rows` x `channels` results at each of `timesteps`.

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
    """Describe a layer: a timestep's `groups` products (rows x inputs) by (inputs x outputs).

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

    @cached_property
    def dense_macs(self) -> int:
        """Count the multiply-accumulates of one timestep with nothing skipped."""
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
        """Count the channels of the operand that one group of a convolution reads."""
        return self.channels // self.groups

    @cached_property
    def product_class(self) -> str:
        """Return the class of the product, by which a machine with several arrays chooses one."""
        if self.is_attention:
            return ATTENTION
        if self.integer_input and not self.producers:
            return INPUT
        window = self.scattered or self.window
        # A window that sees the map once is a linear layer of all its pixels.
        once = math.prod(window.out_grid) == 1
        return CONVOLUTIONS if self.kind == "conv2d" and not once else LINEARS

    @cached_property
    def is_elementwise(self) -> bool:
        """Say whether it is no product: sums over tokens or channels, done by the vector unit."""
        return self.kind in ELEMENT_KINDS

    @cached_property
    def is_attention(self) -> bool:
        """Say whether the weights are themselves activations."""
        return self.kind in _ATTENTION

    @cached_property
    def transposed(self) -> bool:
        """Say whether the rows are the channels of a head, and the inputs its tokens."""
        return self.is_attention and _ATTENTION[self.kind].transposed

    @property
    def outputs_are_tokens(self) -> bool:
        """Say whether the outputs are live tokens, fewer where tokens have halted."""
        return self.is_attention and _ATTENTION[self.kind].outputs_are_tokens

    @cached_property
    def second_bits(self) -> int:
        """Return the bits of activations in the weights' place; 0 where there are weights."""
        if not self.is_attention:
            return 0
        return self.factor_bits if _ATTENTION[self.kind].takes_product else self.second_planes

    @property
    def feeds_product(self) -> bool:
        """Say whether the results are no spikes, but wait in the weight buffer for a product."""
        return self.is_attention and not _ATTENTION[self.kind].takes_product and self.feeds

    def computed_timesteps(self, reuse_static_input: bool) -> int:
        """Return the timesteps at which the product is computed: 1 where one result serves all."""
        ahead = self.role in ("stem", "layers")
        reused = self.static_input and ahead and reuse_static_input
        return 1 if reused else self.timesteps

    def operand_bits(self, rows: int, tokens: int) -> int:
        """Return the bits of the operand behind rows of one group; `tokens` if it is transposed."""
        if self.transposed:
            return rows * tokens * self.planes
        if self.is_attention:
            return rows * self.inputs * self.planes
        return rows * self.group_channels * self.planes * self.window.pixels // self.rows


class Stream(NamedTuple):
    """Describe real-valued sums that a later layer reads, so that a machine has to keep them."""

    timesteps: int
    planes: int
    rows: int
    channels: int


@dataclass(frozen=True, eq=False)
class Network:
    """Hold the layers of a trace in order of execution, and what mask and tensor names mean.

    Equal to itself alone, so that what follows from it can be kept.

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


@lru_cache(maxsize=4)
def key_values_first(network: Network) -> Network:
    """Return the network with attention as Q (K^T V): equal results, as no softmax is between."""
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
