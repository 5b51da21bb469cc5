"""What a foreign network does between its layers: sums, means, and changes of layout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode, resolve_name

from models.foreign.ledger import LOST, Ledger, Value

# By the last part of a function's name. Copies in time are known of the image alone.
LAYOUT = frozenset(
    """flatten unflatten reshape view contiguous unsqueeze squeeze clone detach to float double cpu
    type_as""".split()  # noqa: SIM905
)
REPEATS = frozenset(("repeat", "expand"))
SWAPS = frozenset(("transpose", "permute", "swapaxes", "mT"))
SILENT = frozenset(
    """__get__ __set__ __len__ __hash__ __repr__ size dim ndimension numel nelement element_size
    stride storage_offset data_ptr get_device is_contiguous is_floating_point is_complex
    requires_grad_""".split()  # noqa: SIM905
)
ADDS = frozenset(("add", "add_", "__add__", "__iadd__", "__radd__"))
MEANS = frozenset(("mean", "sum"))  # the scale of a sum folds into the classifier behind it
TIME, TOKENS = "time", "tokens"


class FollowFunctions(TorchFunctionMode):
    """Follows values through torch's functions outside the layers that hooks list."""

    def __init__(self, ledger: Ledger, place: Callable[[], str]) -> None:
        """`place`: the name of the module that is running."""
        super().__init__()
        self.ledger = ledger
        self.place = place

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if self.ledger.depth == 0:
            self._follow(func, args, kwargs, result)
        return result

    def _follow(self, func: Any, args: tuple[Any, ...], kwargs: Any, result: Any) -> None:
        values = [value for arg in args if (value := self.ledger.find(arg)) is not None]
        name = (resolve_name(func) or getattr(func, "__name__", "")).rsplit(".", 1)[-1]
        if not values or name in SILENT:
            return
        value = values[0]
        if LOST in values:
            self._lose(result)
            return
        repeats = name in REPEATS and value.name == "sps.image"
        if (name in LAYOUT or repeats) and isinstance(result, Tensor):
            self.ledger.know(result, value)
        elif name in SWAPS and _swaps_last_two(args[0], result) and value.rows > 1:
            self.ledger.know(result, replace(value, channels_last=not value.channels_last))
        elif name in ADDS and len(values) == 2 and _alike(*values):
            label = self.ledger.unique(f"{self.place()}.add")
            self.ledger.know(result, self.ledger.add(label, values[0], values[1], result))
        elif name in MEANS and (means := _means(args, kwargs, value)) is not None:
            self.ledger.know(result, replace(value, means=value.means | means))
        elif name in ("dropout", "dropout2d") and result.shape == args[0].shape:
            self.ledger.know(result, value)
        else:
            self.ledger.refuse(f"{self.place()}: {resolve_name(func) or name}")
            self._lose(result)

    def _lose(self, result: Any) -> None:
        """What is made of something unknown is not followed, and not told again."""
        for each in result if isinstance(result, tuple | list) else (result,):
            if isinstance(each, Tensor):
                self.ledger.know(each, LOST)


def _alike(first: Value, second: Value) -> bool:
    return (first.rows, first.channels) == (second.rows, second.channels)


def _swaps_last_two(before: Tensor, after: Any) -> bool:
    """Whether tokens and channels have changed places, and nothing else has."""
    if not isinstance(after, Tensor) or before.dim() not in (3, 4) or after.dim() != before.dim():
        return False
    return after.data_ptr() == before.data_ptr() and after.stride() == (
        *before.stride()[:-2],
        before.stride(-1),
        before.stride(-2),
    )


def _means(args: tuple[Any, ...], kwargs: Any, value: Value) -> frozenset[str] | None:
    """What a mean is taken over: time, tokens or both; None for anything else."""
    tensor = args[0]
    given = kwargs.get("dim", args[1] if len(args) > 1 else None)
    if given is None:
        return None
    axes = {axis % tensor.dim() for axis in (given if isinstance(given, tuple | list) else [given])}
    channel = tensor.dim() - 1 if value.channels_last or tensor.dim() < 4 else 2
    if TOKENS in value.means:
        channel = tensor.dim() - 1
    means = set()
    for axis in axes:
        if axis == 0 and TIME not in value.means:
            means.add(TIME)
        elif axis >= 2 and axis != channel:
            means.add(TOKENS)
        else:
            return None
    over_tokens = [axis for axis in range(2, tensor.dim()) if axis != channel]
    if TOKENS in means and not all(axis in axes for axis in over_tokens):
        return None
    return frozenset(means)
