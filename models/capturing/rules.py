"""What the recorder knows of PyTorch's operations: a class for each, by name or by torch's tags.

An operation in no class that touches data is refused by name: its weights, times and arithmetic
would be a guess.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

# Weighted sums: the positions of the two factors among the arguments.
MATRIX = {
    "convolution": (0, 1),
    "mm": (0, 1),
    "addmm": (1, 2),
    "bmm": (0, 1),
    "baddbmm": (1, 2),
    "mv": (0, 1),
    "addmv": (1, 2),
    "dot": (0, 1),
}
VECTOR_SUMS = ("mv", "addmv", "dot")


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Make a tensor of nothing but shapes and constants.
FACTORY = _names(
    """arange empty empty_like empty_strided eye full full_like linspace new_empty
    new_empty_strided new_full new_ones new_zeros ones ones_like scalar_tensor zeros zeros_like"""
)
# Values change places; none is computed.
MOVE = _names(
    """_to_copy alias_copy cat clone constant_pad_nd contiguous copy copy_ flip gather index
    index_select masked_select repeat roll select_scatter slice_scatter stack tril triu unfold_copy
    index_put index_put_ index_copy index_copy_ scatter scatter_ embedding take resize_ permute_copy
    nonzero view_copy expand_copy select_copy slice_copy transpose_copy unsqueeze_copy squeeze_copy
    im2col reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d
    replication_pad3d pixel_shuffle pixel_unshuffle channel_shuffle"""
)
_GROUPS = {
    "matrix": frozenset(MATRIX),
    "factory": FACTORY,
    "move": MOVE,
    # One result for a window of neighbouring elements of a map; every map for itself.
    "window": _names(
        """max_pool2d_with_indices max_pool3d_with_indices max_pool1d avg_pool1d avg_pool2d
        avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d adaptive_max_pool3d
        upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_bilinear2d
        upsample_linear1d upsample_bicubic2d upsample_trilinear3d _upsample_nearest_exact2d
        max_unpool2d col2im"""
    ),
    # The shape stays; an element depends on others of its map.
    "norm": _names(
        """native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training
        _native_batch_norm_legit_functional native_layer_norm native_group_norm _softmax
        _log_softmax _safe_softmax cumsum cumprod softmax log_softmax _fused_rms_norm sort topk
        _weight_norm_interface"""
    ),
    # One result for all elements along some axes.
    "reduce": _names(
        """all amax amin any argmax argmin count_nonzero logsumexp max mean median min nansum norm
        linalg_vector_norm prod std sum var var_mean std_mean"""
    ),
    # Look at a tensor and return a Python value or nothing.
    "peek": _names(
        """_local_scalar_dense equal is_same_size is_nonzero allclose sym_size sym_stride sym_numel
        sym_storage_offset item _assert_async _assert_tensor_metadata device stride size numel dim
        is_contiguous prim_layout"""
    ),
    # Each element for itself, though torch does not say so.
    "pointwise": _names("fill zero masked_fill where lerp"),
}
_GROUP_OF = {name: group for group, names in _GROUPS.items() for name in names}
SOFTMAX = ("_softmax", "_log_softmax", "_safe_softmax", "softmax")
"""The normalisations that mix along their second argument's axis alone."""
BATCH_NORMS = {
    "native_batch_norm": 5,
    "_native_batch_norm_legit": 5,
    "_native_batch_norm_legit_functional": 5,
}
"""The position of `training`."""
COMPARISONS = _names("ge gt le lt heaviside sign")
FIRING = COMPARISONS | _names("round floor ceil trunc")
SHAPES_ONLY = frozenset(name for name in FACTORY if name.endswith("_like") or name[:4] == "new_")
# Share the storage of what they read, though torch does not say so.
VIEWS = _names("_unsafe_view _reshape_alias unsafe_split unsafe_split_with_sizes unsafe_chunk")


def _bilinear(first: Tensor, weight: Tensor, second: Tensor, *axes: Any) -> Any:
    """nn.Bilinear: a weighted sum of the first input, and a product of that with the second."""
    if [list(each) for each in axes[:4]] != [[1, 3], [0], [1, 2], [2, 3]]:
        return NotImplemented
    return torch.einsum("ni,oij,nj->no", first, weight, second)


def _traced_convolution(*args: Any) -> Any:
    """The convolution of a traced network: the same, ahead of switches of its kernels."""
    return torch.ops.aten.convolution(*args[:9])


def _lstm_layer(x: Tensor, *rest: Any) -> Any:
    """A layer of nn.LSTM over a sequence."""
    own, back, bias, other, h, c, reverse, sizes = rest[:8]
    if sizes or rest[8] != 2:  # packed sequences; other cells
        return NotImplemented
    made: list[Tensor] = []
    for frame in reversed(x.unbind(0)) if reverse else x.unbind(0):
        gates = frame @ own.mT + bias + (h @ back.mT + other)
        enter, forget, new, leave = gates.chunk(4, -1)
        c = forget.sigmoid() * c + enter.sigmoid() * new.tanh()
        h = leave.sigmoid() * c.tanh()
        made.append(h)
    return torch.stack(made[::-1] if reverse else made), h, c, x.new_empty(0)


# Done by other operations though torch has a kernel of each.
_PARTS = {
    "_trilinear": _bilinear,
    "_convolution": _traced_convolution,
    "mkldnn_rnn_layer": _lstm_layer,
}


class OperatorRule(NamedTuple):
    """Describe one operation: its short name, class, mutated arguments and marks.

    `factors`: the positions of a weighted sum's factors; `arguments`: all arguments' names;
    `parts`: does it by other operations, or returns NotImplemented; `flops`: torch's formula.
    """

    name: str
    group: str
    writes: tuple[int | str, ...] = ()
    is_view: bool = False
    is_random: bool = False
    factors: tuple[int, ...] = ()
    arguments: tuple[str, ...] = ()
    parts: Callable[..., Any] | None = None
    flops: Any = None


_OVERLOAD = type(torch.ops.aten.mm.default)
# Of the modules and attributes that torch calls its own by an underscore, these two have no public
# counterpart: the key (its name as a string misses kernels in Python) and `_schema` below.
_COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd
_RULES: dict[int, tuple[Any, OperatorRule]] = {}


def rule_of(func: Any) -> OperatorRule:
    """Return the rule of an overload; group "" is unknown."""
    known = _RULES.get(id(func))  # its hash is computed in Python
    if known is None:
        known = _RULES[id(func)] = (func, _rule(func))
    return known[1]


def _rule(func: Any) -> OperatorRule:
    if not isinstance(func, _OVERLOAD):
        return OperatorRule(str(func), "")
    name = func.overloadpacket.__name__
    base = name[:-1] if name.endswith("_") and not name.startswith("__") else name
    arguments = func._schema.arguments
    writes = [
        argument.name if argument.kwarg_only else position
        for position, argument in enumerate(arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    ]
    seeded = torch.Tag.nondeterministic_seeded in func.tags
    composite = func.has_kernel_for_dispatch_key(_COMPOSITE)
    return OperatorRule(
        name=base if name not in MOVE else name,
        group=_group(func, name, base),
        writes=tuple(writes),
        is_view=func.is_view or name in VIEWS,
        is_random=seeded or name in ("rand_like", "randn_like"),
        factors=MATRIX.get(base, ()),
        arguments=tuple(argument.name for argument in arguments),
        parts=func.decompose if composite else _PARTS.get(name),  # reshape may be a copy
        flops=flop_registry.get(func.overloadpacket),
    )


def _group(func: Any, name: str, base: str) -> str:
    if func.namespace == "profiler":  # whose operations are nothing at all
        return "peek"
    if func.namespace not in ("aten", "prims", "prim"):
        return ""
    known = _GROUP_OF.get(name) or _GROUP_OF.get(base)
    if torch.Tag.nondeterministic_seeded in func.tags and known != "matrix":
        return "random"
    return known or ("pointwise" if torch.Tag.pointwise in func.tags else "")
