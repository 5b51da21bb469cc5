"""The kinds of operation that a trace may list: their shapes, inputs, outputs and parameters.

Attention without products is written down as three operations, so that each spike tensor that
enters a weighted sum, and each that gates one, is stored:

- `spike_driven_attention` (input k, second input v): for each channel, the number of live tokens
  whose k and v both spiked; one row. A `lif` makes the channel gate of it, stored as one row a
  timestep, and a `spike_gate` lets q through where its channel's gate is 1.
- `token_qk_attention` (input q): for each token and head, q's spikes over the head's channels. A
  `lif` makes the token gate of it, stored as (token, head), and a `spike_gate` lets k through where
  its token's and head's gate is 1.
- `spike_gate`: input (rows, channels) AND second input (gate_rows, gate_channels). One gate row
  serves all rows, or each row has its own; a gate channel serves channels / gate_channels
  neighbouring channels.

A `pool` of type `sum` is an average pool whose division folds into the weights that follow.
`token_mean` is the mean over all tokens, one row a timestep. A `residual` whose parameters have a
`second_scale` adds that many times its second input. A residual stream of real-valued sums
(membrane potentials) is not stored: its operations have input_bits 0, and what is stored are the
spikes that neurons make of it ahead of each weighted sum. In stage `sps` is everything ahead of
the tokens that can halt, so of a network in several stages all stages but the last.

A network that was captured as it runs, with no layer recognised by its class, is a list of these,
all in stage `layers`, none under a mask unless its owner declared one:

- `convolution`: of one to four axes, in groups, dilated, or `transposed` (each input is spread over
  the taps). A leading axis of kernel 1 counts maps side by side.
- `product` of two activations, (rows, inputs) by (inputs, outputs), `groups` (heads) side by side.
  `input_by`: the stored rows of its input are the product's `rows`, or its `inputs`; `second_by`:
  those of the second input are its `outputs`, its `inputs`, or `product`: the second input is the
  result of an earlier product, which is not stored.
- `neuron`: parameters are how often one neuron does each operation in a timestep, by the
  operation's name in PyTorch, and `states`, the values that it keeps. Which comparisons fire, and
  what belongs to a neuron, is found by rules of thumb.
- `elementwise`, likewise; `reduce`: `channels` values become `results`.
- `rearrange`: no arithmetic: a stored tensor that is a part of others, joins them or lays them out
  again. A parameter `delayed` says that an input is its value one timestep earlier, so a later
  operation may make it.

A tensor's value is (number - zero_point) * scale, for each channel where these are lists; `error`:
the largest difference to the network's own value, where real values were rounded to the planes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, StrictBool, StrictFloat, create_model

from simulator.trace_format.problems import Broken
from simulator.trace_format.schema import (
    NATURAL,
    Closed,
    Count,
    Natural,
    Open,
    Pair,
    Plain,
    entire,
    said,
)

# (rows, channels); channels None: any number; (0, None): any size.
Size = tuple[int, int | None]
ANY: Size = (0, None)
_Names = tuple[str | int, str | int | None]


class Flow(NamedTuple):
    """Hold what shapes imply of inputs and output; grids where an operation works on maps."""

    input: Size
    second: Size | None
    output: Size
    in_grid: tuple[int, int] | None = None
    out_grid: tuple[int, int] | None = None


_MakeFlow = Callable[[Mapping[str, Any]], Flow]
_BY_ROWS, _BY_TOKENS = ("rows", "channels"), ("tokens", "channels")


class Kind(NamedTuple):
    """Describe a kind of operation.

    `parameters`: those that must be there. `second`: whether there is a second input; None: maybe.
    `sums_tokens`: the output has one row for all tokens, so that a mask is one over the input's.
    `check`: what the shapes break among themselves.
    """

    shapes: dict[str, Any]
    flow: _MakeFlow
    parameters: dict[str, Any]
    second: bool | None = False
    weighted: bool = False
    sums_tokens: bool = False
    check: Callable[[Mapping[str, Any]], Iterable[Broken]] = lambda shapes: ()


def _sizes(first: _Names, second: _Names | None, output: _Names) -> _MakeFlow:
    """Return a flow whose sizes are those of named shapes; a number is a size of its own."""

    def size(shapes: Mapping[str, Any], names: _Names) -> Size:
        found: Any = (shapes[each] if isinstance(each, str) else each for each in names)
        rows, channels = found
        return rows, channels

    return lambda shapes: Flow(
        size(shapes, first), second and size(shapes, second), size(shapes, output)
    )


def _conv2d_flow(shapes: Mapping[str, Any]) -> Flow:
    before, after = shapes["in_grid"], shapes["out_grid"]
    inputs = (math.prod(before), shapes["in_channels"])
    return Flow(inputs, None, (math.prod(after), shapes["out_channels"]), before, after)


def _pool_flow(shapes: Mapping[str, Any]) -> Flow:
    channels = shapes["channels"]
    return _conv2d_flow({**shapes, "in_channels": channels, "out_channels": channels})


def _scores_flow(shapes: Mapping[str, Any]) -> Flow:
    tokens, heads = shapes["tokens"], shapes["heads"]
    spikes = (tokens, heads * shapes["head_dim"])
    return Flow(spikes, spikes, (tokens, heads * tokens))


def _context_flow(shapes: Mapping[str, Any]) -> Flow:
    scores = _scores_flow(shapes)
    return Flow(scores.output, scores.input, scores.input)


def _attention_flow(shapes: Mapping[str, Any]) -> Flow:
    tokens = shapes["tokens"]
    return Flow((tokens, None), (tokens, None), (tokens, shapes["heads"] * shapes["head_dim"]))


def _column_flow(shapes: Mapping[str, Any]) -> Flow:
    spikes = _scores_flow(shapes).input
    return Flow(spikes, spikes, (1, spikes[1]))


def _token_sum_flow(shapes: Mapping[str, Any]) -> Flow:
    return Flow(_scores_flow(shapes).input, None, (shapes["tokens"], shapes["heads"]))


def _convolution_flow(shapes: Mapping[str, Any]) -> Flow:
    inputs = (math.prod(shapes["in_grid"]), shapes["in_channels"])
    grid = shapes["out_grid"]
    output = (math.prod(grid), shapes["out_channels"])
    return Flow(inputs, None, output, None, (math.prod(grid[:-1]), grid[-1]))


def _product_flow(shapes: Mapping[str, Any]) -> Flow:
    output = (shapes["rows"], shapes["outputs"] * shapes["groups"])
    return Flow(ANY, ANY, output)


def _check_window(shapes: Mapping[str, Any]) -> Iterator[Broken]:
    """Yield an output grid that the window does not leave."""
    axes = zip(*(shapes[key] for key in ("in_grid", "padding", "kernel", "stride")), strict=True)
    grid = tuple((size + 2 * padding - kernel) // step + 1 for size, padding, kernel, step in axes)
    if shapes["out_grid"] != grid:
        rule = f"{list(grid)}, (in_grid + 2 padding - kernel) // stride + 1"
        yield "out_grid", shapes["out_grid"], rule


def _check_convolution(shapes: Mapping[str, Any]) -> Iterator[Broken]:
    """Yield wrong axes, groups, or a grid that a window of any number of axes does not leave."""
    names = ("kernel", "stride", "padding", "dilation", "in_grid", "out_grid")
    axes = len(shapes["kernel"])
    for key in names:
        if len(shapes[key]) != axes:
            yield key, shapes[key], f"a list of {axes}, as the kernel is"
            return
    for key in ("in_channels", "out_channels"):
        if shapes[key] % shapes["groups"]:
            yield key, shapes[key], f"a multiple of its groups, {shapes['groups']}"
    for kernel, step, pad, dilation, before, after in zip(
        *(shapes[key] for key in names), strict=True
    ):
        reach = dilation * (kernel - 1) + 1
        least = (before + 2 * pad - reach) // step + 1
        most = least
        if shapes["transposed"]:
            least = (before - 1) * step - 2 * pad + reach
            most = least + max(step, dilation) - 1
        if not least <= after <= most:
            yield "out_grid", after, f"from {least} to {most} for in_grid {before}, by the window"


def _check_gate(shapes: Mapping[str, Any]) -> Iterator[Broken]:
    """Yield rows or channels of a gate that do not serve those of what they gate evenly."""
    if shapes["gate_rows"] not in (1, shapes["rows"]):
        yield "gate_rows", shapes["gate_rows"], f"1 or its rows, {shapes['rows']}"
    if shapes["channels"] % shapes["gate_channels"]:
        rule = f"a divisor of its channels, {shapes['channels']}"
        yield "gate_channels", shapes["gate_channels"], rule


_WINDOW = {
    **dict.fromkeys(("kernel", "stride", "in_grid", "out_grid"), Pair),
    "padding": Annotated[tuple[Natural, Natural], said(f"a list of 2, each {NATURAL}")],
}
_CONV2D = {"in_channels": Count, "out_channels": Count, **_WINDOW}
_UP_TO_4 = {"min_length": 1, "max_length": 4}
_GRID = Annotated[tuple[Count, ...], said("a list of 1 to 4, each an integer from 1", **_UP_TO_4)]
_PADDING = Annotated[
    tuple[Natural, ...], said("a list of 1 to 4, each an integer from 0", **_UP_TO_4)
]
_CONVOLUTION = {
    "in_channels": Count,
    "out_channels": Count,
    "groups": Count,
    "transposed": Annotated[int, entire(0, 1)],
    **dict.fromkeys(("kernel", "stride", "dilation", "in_grid", "out_grid"), _GRID),
    "padding": _PADDING,
}
_NUMBER = Annotated[StrictBool | StrictFloat, said("a number")]
_PLAIN = Annotated[Plain, said("a number or a string")]
_PRODUCT = dict.fromkeys(("rows", "inputs", "outputs", "groups"), Count)
_PRODUCT_PARAMETERS = {
    "input_by": Literal["rows", "inputs"],
    "second_by": Literal["outputs", "inputs", "product"],
}
_LINEAR = {"in_features": Count, "out_features": Count, "rows": Count}
_HEADS = {"heads": Count, "head_dim": Count, "tokens": Count}
_ROWS = {"rows": Count, "channels": Count}
_GATE = {**_ROWS, "gate_rows": Count, "gate_channels": Count}
_HALTING = {"tokens": Count, "channels": Count}
_HEAD = {"in_features": Count, "classes": Count, "tokens": Count}
_LIF_PARAMETERS = dict.fromkeys(("tau", "threshold", "reset", "decay_input"), _NUMBER)
_SCORE_PARAMETERS = dict.fromkeys(("gamma", "beta", "threshold"), _NUMBER) | {"mean_field": _PLAIN}
# K^T V first: no network here is captured so, and which inputs are stored is not settled.
_LINEAR_ATTENTION = Kind(_HEADS, _attention_flow, {}, second=None)
_IN_PLACE, _FREE = _sizes(_BY_ROWS, _BY_ROWS, _BY_ROWS), _sizes(ANY, ANY, _BY_ROWS)

KINDS = {
    "conv2d": Kind(_CONV2D, _conv2d_flow, {}, weighted=True, check=_check_window),
    "linear": Kind(
        _LINEAR, _sizes(("rows", "in_features"), None, ("rows", "out_features")), {}, weighted=True
    ),
    "attention_scores": Kind(_HEADS, _scores_flow, {}, second=True),
    "attention_context": Kind(_HEADS, _context_flow, {}, second=True),
    "linear_attention": _LINEAR_ATTENTION,
    "spike_driven_attention": Kind(_HEADS, _column_flow, {}, second=True, sums_tokens=True),
    "token_qk_attention": Kind(_HEADS, _token_sum_flow, {}),
    "spike_gate": Kind(
        _GATE,
        _sizes(_BY_ROWS, ("gate_rows", "gate_channels"), _BY_ROWS),
        {},
        second=True,
        check=_check_gate,
    ),
    "lif": Kind(_ROWS, _IN_PLACE, _LIF_PARAMETERS),
    "pool": Kind(
        {"channels": Count, **_WINDOW},
        _pool_flow,
        {"type": Literal["max", "sum"]},
        check=_check_window,
    ),
    "integrate": Kind(_ROWS, _IN_PLACE, {}),
    "residual": Kind(_ROWS, _IN_PLACE, {}, second=True),
    "token_mean": Kind(_HALTING, _sizes(_BY_TOKENS, None, (1, "channels")), {}, sums_tokens=True),
    "halting": Kind(_HALTING, _sizes(_BY_TOKENS, None, _BY_TOKENS), _SCORE_PARAMETERS),
    "head": Kind(_HEAD, _sizes(("tokens", "in_features"), None, (1, "classes")), {}, weighted=True),
    "convolution": Kind(
        _CONVOLUTION, _convolution_flow, {}, weighted=True, check=_check_convolution
    ),
    "product": Kind(_PRODUCT, _product_flow, _PRODUCT_PARAMETERS, second=True),
    "neuron": Kind(_ROWS, _FREE, {"states": Count}, second=None),
    "elementwise": Kind(_ROWS, _FREE, {}, second=None),
    "reduce": Kind({**_ROWS, "results": Count}, _sizes(ANY, ANY, (1, "results")), {}, second=None),
    "rearrange": Kind(_ROWS, _FREE, {}, second=None),
}


@cache
def model_of(kind: str, field: Literal["shapes", "parameters"]) -> type[BaseModel]:
    """Return the model of what a kind has; shapes have no other keys, parameters may."""
    base = Closed if field == "shapes" else Open
    fields: dict[str, Any] = {
        name: (rule, ...) for name, rule in getattr(KINDS[kind], field).items()
    }
    return create_model(f"{kind}_{field}", __base__=base, **fields)
