"""What the recorder knows of PyTorch's operations: a class for each, by name or by torch's tags.

An operation in no class that touches data is refused by name: its weights, times and arithmetic
would be a guess.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._ops import OpOverload
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
# Make a tensor of nothing but shapes and constants.
FACTORY = frozenset(
    """arange empty empty_like empty_strided eye full full_like linspace new_empty
    new_empty_strided new_full new_ones new_zeros ones ones_like scalar_tensor zeros
    zeros_like""".split()  # noqa: SIM905
)
# Values change places; none is computed.
MOVE = frozenset(
    """_to_copy alias_copy cat clone constant_pad_nd contiguous copy copy_ flip gather index
    index_select masked_select repeat roll select_scatter slice_scatter stack tril triu unfold_copy
    index_put index_put_ index_copy index_copy_ scatter scatter_ embedding take resize_ permute_copy
    nonzero view_copy expand_copy select_copy slice_copy transpose_copy unsqueeze_copy squeeze_copy
    im2col reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d
    replication_pad3d pixel_shuffle pixel_unshuffle channel_shuffle""".split()  # noqa: SIM905
)
# One result for a window of neighbouring elements of a map; every map for itself.
WINDOW = frozenset(
    """max_pool2d_with_indices max_pool3d_with_indices max_pool1d avg_pool1d avg_pool2d avg_pool3d
    _adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d adaptive_max_pool3d
    upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_bilinear2d upsample_linear1d
    upsample_bicubic2d upsample_trilinear3d _upsample_nearest_exact2d max_unpool2d
    col2im""".split()  # noqa: SIM905
)
# The shape stays; an element depends on others of its map.
NORM = frozenset(
    """native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training
    _native_batch_norm_legit_functional native_layer_norm native_group_norm _softmax _log_softmax
    _safe_softmax cumsum cumprod softmax log_softmax _fused_rms_norm sort topk
    _weight_norm_interface""".split()  # noqa: SIM905
)
# One result for all elements along some axes.
REDUCE = frozenset(
    """all amax amin any argmax argmin count_nonzero logsumexp max mean median min nansum norm
    linalg_vector_norm prod std sum var var_mean std_mean""".split()  # noqa: SIM905
)
# Look at a tensor and return a Python value or nothing.
PEEK = frozenset(
    """_local_scalar_dense equal is_same_size is_nonzero allclose sym_size sym_stride sym_numel
    sym_storage_offset item _assert_async _assert_tensor_metadata device stride size
    numel dim is_contiguous prim_layout""".split()  # noqa: SIM905
)
SAME = frozenset("fill_ zero_ set_ fill zero masked_fill masked_fill_ where lerp lerp_".split())  # noqa: SIM905
SOFTMAX = ("_softmax", "_log_softmax", "_safe_softmax", "softmax")
"""The normalisations that mix along their second argument's axis alone."""
BATCH_NORMS = {
    "native_batch_norm": 5,
    "_native_batch_norm_legit": 5,
    "_native_batch_norm_legit_functional": 5,
}
"""The position of `training`."""
FIRING = frozenset("ge gt le lt heaviside sign round floor ceil trunc".split())  # noqa: SIM905
COMPARISONS = frozenset("ge gt le lt heaviside sign".split())  # noqa: SIM905
# Operations of other libraries are unknown; the profiler's are nothing at all.
_GROUPS = {"profiler": "peek"}
SHAPES_ONLY = frozenset(name for name in FACTORY if name.endswith("_like") or name[:4] == "new_")


# Share the storage of what they read, though torch does not say so.
VIEWS = frozenset(
    """_unsafe_view _reshape_alias unsafe_split unsafe_split_with_sizes unsafe_chunk""".split()  # noqa: SIM905
)


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
    """One operation: its short name, class, mutated arguments and marks.

    `parts`: does it by other operations, or returns NotImplemented; `flops`: torch's formula.
    """

    name: str
    group: str
    writes: tuple[int | str, ...]
    is_view: bool
    is_random: bool
    parts: Callable[..., Any] | None
    flops: Any


_RULES: dict[int, tuple[Any, OperatorRule]] = {}


def rule_of(func: Any) -> OperatorRule:
    """Return the rule of an overload; group "" is unknown."""
    known = _RULES.get(id(func))  # its hash is computed in Python
    if known is None:
        known = _RULES[id(func)] = (func, _rule(func))
    return known[1]


def _rule(func: Any) -> OperatorRule:
    if not isinstance(func, OpOverload):
        return OperatorRule(str(func), "", (), False, False, None, None)
    name = func._schema.name.partition("::")[2]
    base = name[:-1] if name.endswith("_") and not name.startswith("__") else name
    writes: list[int | str] = []
    for position, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            writes.append(argument.name if argument.kwarg_only else position)
    tags = func.tags
    random = torch.Tag.nondeterministic_seeded in tags or name in ("rand_like", "randn_like")
    composite = func.has_kernel_for_dispatch_key(torch._C.DispatchKey.CompositeImplicitAutograd)
    return OperatorRule(
        name=base if name not in MOVE else name,
        group=_GROUPS.get(func.namespace) or _group(func, name, base),
        writes=tuple(writes),
        is_view=func.is_view or name in VIEWS,
        is_random=random,
        parts=func.decompose if composite else _PARTS.get(name),  # reshape may be a copy
        flops=flop_registry.get(func._overloadpacket),
    )


def _group(func: OpOverload, name: str, base: str) -> str:
    if func.namespace not in ("aten", "prims", "prim"):
        return ""
    if base in MATRIX:
        return "matrix"
    if torch.Tag.nondeterministic_seeded in func.tags:
        return "random"
    for names, group in (
        (FACTORY, "factory"),
        (MOVE, "move"),
        (WINDOW, "window"),
        (NORM, "norm"),
        (REDUCE, "reduce"),
        (PEEK, "peek"),
    ):
        if name in names or base in names:
            return group
    return "pointwise" if base in SAME or torch.Tag.pointwise in func.tags else ""
