"""Labels of a call's results from those of its arguments, by the class of the operation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from models.capturing.rules import SOFTMAX
from models.capturing.sequences import along, joint, sequence_axis
from models.capturing.tape import INPUT, Call, Spec

if TYPE_CHECKING:
    from models.capturing.labels import Labels

NEVER = -1
# Labels that take no time.
_FEW = 64
Values = Callable[[Spec], Tensor]


class DerivedValue:
    """Derive the labels of a call's results from those of its arguments."""

    def __init__(self, labels: Labels, call: Call, values: Values) -> None:
        self.labels_of, self.call, self.values = labels, call, values

    def labels(self) -> Tensor | None:
        """Return the labels of the first result; None: made of constants alone."""
        call = self.call
        group = call.rule.group
        if group == "factory" or (group == "random" and call.rule.name.endswith("_like")):
            return None
        if call.rule.name in ("fill", "zero"):
            return None
        made: Tensor | None = getattr(self, f"_{group}", self._pointwise)()
        return made

    def _inputs(self) -> list[Tensor]:
        return [self.labels_of.timed(spec) for spec in self.call.reads]

    def _pointwise(self) -> Tensor | None:
        """The latest of what is combined."""
        found = [once(each) for each in self._inputs()]
        if not found:
            return None
        made = found[0]
        for other in found[1:]:
            try:
                made = torch.maximum(made, other)
            except RuntimeError:
                made = torch.maximum(made, other.max()) if other.numel() else made
        return made

    _random = _pointwise

    def _move(self) -> Tensor | None:
        """Do with the labels what the call does with the values."""
        call, name = self.call, self.call.rule.name
        if name in ("clone", "_to_copy", "contiguous", "alias_copy"):
            return self._inputs()[0]
        if name in ("copy_", "copy"):
            return self.labels_of.timed(call.args[1])
        if name == "im2col":  # patches of all channels: each image for itself
            labels, size = self._inputs()[0], call.outputs[0].size
            kept = latest(labels, range(len(size) == 3, labels.dim()))
            return kept.reshape(-1, *[1] * (len(size) - 1)).expand(size)
        if (begun := self._sequence()) is not None:
            return begun
        for dtype in (torch.int16, torch.float32):  # some are not for whole numbers
            args = [self._moved(value, at, dtype) for at, value in enumerate(call.args)]
            if name == "constant_pad_nd":
                args = [*args[:2], NEVER]
            if name in ("cat", "stack"):
                args[0] = _joined(args[0], None if name == "stack" else joint(call))
            if call.rule.writes:
                args[0] = args[0].clone()
            named = {key: self._moved(value, 1, dtype) for key, value in call.kwargs.items()}
            try:
                made = call.func(*args, **named)
            except (RuntimeError, TypeError):
                continue
            made = made[0] if isinstance(made, tuple) else made
            return made.to(torch.int16) if isinstance(made, Tensor) else None
        return self._pointwise()

    def _moved(self, value: Any, at: int, dtype: torch.dtype) -> Any:
        """Labels in place of data; what says where to, as it is."""
        if isinstance(value, Spec):
            index = at > 0 and not (value.dtype.is_floating_point or value.dtype.is_complex)
            return self.values(value) if index else self.labels_of.timed(value).to(dtype)
        if isinstance(value, tuple) and any(isinstance(each, Spec) for each in value):
            return [self._moved(each, at, dtype) for each in value]
        return value

    def _sequence(self) -> Tensor | None:
        """T equal frames, repeated or stacked, where there was no time yet."""
        call, steps = self.call, self.labels_of.timesteps
        axis = sequence_axis(call, steps)
        if steps == 1 or axis is None or not call.flags & INPUT:
            return None
        found = self._inputs()
        if any(self.labels_of.has_time(labels) for labels in found):
            return None
        self.labels_of.begin(call)
        return along(call.outputs[0].size, axis, steps)

    def _norm(self) -> Tensor:
        labels = self.labels_of.timed(self.call.reads[0])
        if self.call.rule.name in SOFTMAX:
            return latest(labels, (int(self.call.args[1]),)).expand(labels.shape)
        return labels

    def _window(self) -> Tensor:
        """Each map for itself: the latest of its elements."""
        spec = self.call.outputs[0]
        labels = self.labels_of.timed(self.call.reads[0])
        lead = 2 if len(spec.size) > 3 or labels.dim() > 3 else max(labels.dim() - 2, 0)
        lead = min(lead, 1) if labels.dim() == 3 else lead
        kept = latest(labels, range(lead, labels.dim()))
        return kept.reshape(*spec.size[:lead], *[1] * (len(spec.size) - lead)).expand(spec.size)

    def _reduce(self) -> Tensor:
        call = self.call
        labels = self.labels_of.timed(call.reads[0])
        spec = call.outputs[0] if call.outputs else None
        axes, keep = _axes(call)
        if axes is None or spec is None:
            return once(labels).max() if labels.numel() else labels
        made = once(labels, axes).amax(axes, keepdim=keep) if axes else labels
        return made if tuple(made.shape) == spec.size else made.max().expand(spec.size)

    def _matrix(self) -> Tensor:
        first, second = (self.labels_of.timed(self.call.args[at]) for at in self.call.rule.factors)
        size = self.call.outputs[0].size
        if self.call.rule.name == "convolution":
            return self._convolved(first, size)
        rows = once(latest(first, (-1,)))
        columns = once(latest(second, (-2 if second.dim() > 1 else 0,)))
        made = torch.maximum(rows, columns) if second.dim() > 1 else rows.reshape(-1)
        mixed = self._mixed_axis(first, second, size)
        made = made.expand(size) if made.dim() == len(size) else made.max().expand(size)
        return made if mixed is None else along(size, mixed, self.labels_of.timesteps)

    def _mixed_axis(self, first: Tensor, second: Tensor, size: tuple[int, ...]) -> int | None:
        """The output's axis that is time again, where the sum runs over time (a T x T weight)."""
        steps = self.labels_of.timesteps
        if steps == 1:
            return None
        if _is_time(first, -1, steps) and size[-1] == steps:
            return len(size) - 1
        if second.dim() > 1 and _is_time(second, -2, steps) and size[-2] == steps:
            return len(size) - 2
        return None

    def _convolved(self, labels: Tensor, size: tuple[int, ...]) -> Tensor:
        steps = self.labels_of.timesteps
        batched = labels.dim() == len(size) and len(size) > 2
        if batched and steps > 1:
            for axis in range(2, len(size)):
                if size[axis] == steps and _is_time(_unpadded(labels, axis), axis, steps):
                    return along(size, axis, steps)
        lead = 1 if batched else 0
        kept = latest(labels, range(lead, labels.dim()))
        return kept.reshape(*size[:lead], *[1] * (len(size) - lead)).expand(size)


def _joined(parts: list[Tensor], joint: int | None) -> list[Tensor]:
    """Return parts with one place along each other axis along which all have one label."""
    axes = min(part.dim() for part in parts)
    alike = [k for k in range(axes) if k != joint and not any(part.stride(k) for part in parts)]
    return [once(part, alike) for part in parts]


def latest(labels: Tensor, axes: Collection[int]) -> Tensor:
    """Return the latest label along axes, of which one place stays."""
    labels = once(labels, axes)
    read = [axis for axis in axes if labels.shape[axis] != 1]
    return labels.amax(read, keepdim=True) if read else labels


def once(labels: Tensor, axes: Iterable[int] | None = None) -> Tensor:
    """Return labels with one place where all along an axis are the same element."""
    strides = labels.stride()
    size = list(labels.shape)
    for axis in range(len(size)) if axes is None else axes:
        if size[axis] and not strides[axis]:
            size[axis] = 1
    return labels.as_strided(size, strides, labels.storage_offset())


def compact(labels: Tensor) -> Tensor:
    """Return labels with one place where all along an axis are equal, as far as that matters."""
    labels = once(labels)
    if labels.numel() > _FEW:
        for axis in reversed(range(labels.dim())):
            first = labels.narrow(axis, 0, 1)
            if labels.shape[axis] > 1 and bool((labels == first).all()):
                labels = first
    return labels


def _unpadded(labels: Tensor, axis: int) -> Tensor:
    """Return labels less the places of no timestep at both ends of an axis."""
    line = latest(labels, [each for each in range(labels.dim()) if each != axis]).flatten()
    timed = (line > NEVER).nonzero().flatten()
    if not len(timed):
        return labels
    return labels.narrow(axis, int(timed[0]), int(timed[-1] - timed[0]) + 1)


def _is_time(labels: Tensor, axis: int, steps: int) -> bool:
    """Whether an axis is all timesteps in order, at each place."""
    axis %= max(labels.dim(), 1)
    if labels.dim() == 0 or labels.shape[axis] != steps or not labels.numel():
        return False
    known = once(labels)
    if known.shape[axis] != steps:
        return False
    return bool((known == along(tuple(known.shape), axis, steps)).all())


def _axes(call: Call) -> tuple[tuple[int, ...] | None, bool]:
    """The axes of a reduction, None for all, and whether they are kept."""
    dims: object = call.kwargs.get("dim")
    keep = bool(call.kwargs.get("keepdim", False))
    for argument, value in zip(call.rule.arguments, call.args, strict=False):
        if argument in ("dim", "dims"):
            dims = value
        elif argument == "keepdim":
            keep = bool(value)
    if dims is None or dims == ():
        return None, keep
    return (tuple(dims) if isinstance(dims, tuple | list) else (int(dims),)), keep  # type: ignore[call-overload]
