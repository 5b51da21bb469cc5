"""Timesteps of all values: int16 labels on every storage, read through each tensor's strides.

Views, permutes and reshapes need no rule, as they read the same labels. Time enters where an axis
of the input is declared to be time, where one frame is repeated T times, and, in a loop over an
input that never changes, with each further firing of a neuron and each further call of a layer.
NEVER marks what is the same at every timestep.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from models.capturing.rules import COMPARISONS, MATRIX
from models.capturing.tape import INPUT, RANDOM, Call, Spec, Tape

NEVER = -1
Values = Callable[[Spec], Tensor]


class Labels:
    """Labels of one tape's values; a replay walks them, call by call.

    `of_operand`: by (call, position of a factor), the labels as they were when the call ran.
    `of_call`: by call, the lowest and highest label of what it made. `equal_operands`: factors
    that are the same at each timestep, as nothing but repeated frames entered. `began_at`: the call
    that first laid equal frames along time.
    """

    def __init__(self, tape: Tape, timesteps: int, time_axis: int | None) -> None:
        self.tape, self.timesteps = tape, timesteps
        self.of_operand: dict[tuple[int, int], Tensor] = {}
        self.of_call: dict[int, tuple[int, int]] = {}
        self.equal_operands: set[tuple[int, int]] = set()
        self._labels: dict[int, Tensor] = {}
        self._equal: set[int] = set()
        self._widths: dict[int, int] = {}
        self._begun = False
        self.began_at: int | None = None
        self._fired: dict[tuple[str, int], int] = {}
        self._calls = Counter(self._weights_of(call) for call in tape.calls)
        self._at: Counter[object] = Counter()
        if time_axis is not None:
            for spec in tape.inputs:
                if spec.size[time_axis] == timesteps:
                    self._write(spec, _along(spec.size, time_axis, timesteps))
                    self._begun = True
        last = {spec.storage: call.index for call in tape.calls for spec in call.inputs()}
        self._last: dict[int, list[int]] = {}
        for storage, index in last.items():
            self._last.setdefault(index, []).append(storage)

    def walk(self, call: Call, values: Values) -> None:
        """Label what a call makes; `values`: reads its arguments, before it runs."""
        if call.flags & INPUT or self._any(call) or call.rule.group == "matrix":
            self._label(call, _Made(self, call, values).labels())
        for storage in self._last.get(call.index, ()):
            self._labels.pop(storage, None)

    def _label(self, call: Call, made: Tensor | None) -> None:
        targets = [*call.written(), *call.outputs]
        if call.rule.name in COMPARISONS and not self._begun and made is not None:
            made = self._next_firing(call, made)
        if call.rule.group == "matrix":
            made = self._next_call(call, made)
        equal = self._is_equal(call, made)
        if made is not None:
            self.of_call[call.index] = (
                (int(made.min()), int(made.max())) if made.numel() else (0, 0)
            )
        for spec in targets:
            labels = made
            if labels is None:
                continue
            if tuple(labels.shape) != spec.size:
                fits = labels.dim() <= len(spec.size)
                try:
                    labels = labels.expand(spec.size) if fits else labels.max().expand(spec.size)
                except RuntimeError:
                    labels = labels.max().expand(spec.size)
            self._write(spec, labels)
            (self._equal.add if equal else self._equal.discard)(spec.storage)

    def read(self, spec: Spec) -> Tensor:
        """Return the labels of a tensor; an axis of T equal frames begins time."""
        whole = self._labels.get(spec.storage)
        if whole is None:
            return torch.full(spec.size, NEVER, dtype=torch.int16)
        if self._widths[spec.storage] != spec.dtype.itemsize:
            return whole.max().expand(spec.size)
        return whole.as_strided(spec.size, spec.stride, spec.offset)

    def _any(self, call: Call) -> bool:
        return any(spec.storage in self._labels for spec in call.inputs())

    def timed(self, spec: Spec) -> Tensor:
        """Return labels, of equal frames along a leading axis without strides as a new time."""
        labels = self.read(spec)
        axis = self._repeated(spec, labels)
        if axis is not None:
            self._begun = True
            return _along(spec.size, axis, self.timesteps)
        return labels

    def _repeated(self, spec: Spec, labels: Tensor) -> int | None:
        if self.timesteps == 1 or not self.tape.origins[spec.storage] & INPUT:
            return None
        for axis, (size, stride) in enumerate(zip(spec.size[:2], spec.stride[:2], strict=True)):
            if size == self.timesteps and stride == 0 and not self.has_time(labels):
                return axis
        return None

    def begin(self, call: Call) -> None:
        """Mark that time has entered by the frames of a sequence that a call makes."""
        self._begun = True
        if self.began_at is None:
            self.began_at = call.index

    @staticmethod
    def has_time(labels: Tensor) -> bool:
        """Whether anything is of a timestep."""
        return bool(labels.numel()) and int(labels.max()) > NEVER

    def _next_firing(self, call: Call, made: Tensor) -> Tensor:
        """In a loop over an input without time, a neuron's next firing is the next timestep."""
        key = (call.place.module, call.place.site)
        before, latest = self._fired.get(key), int(made.max()) if made.numel() else NEVER
        step = latest
        if before is None:
            step = max(latest, 0)
        elif latest in (before, NEVER):
            step = min(before + 1, self.timesteps - 1)
        self._fired[key] = step
        return torch.full_like(made, step) if latest != step else made

    def _next_call(self, call: Call, made: Tensor | None) -> Tensor | None:
        """A layer that runs T times on what has no time runs once a timestep."""
        key = self._weights_of(call)
        step = self._at[key]
        self._at[key] += 1
        for at in MATRIX[call.rule.name]:
            labels = self.timed(call.args[at])
            if self._calls[key] == self.timesteps > 1 and not self.has_time(labels):
                labels = torch.full_like(labels, step)
            self.of_operand[call.index, at] = labels.clone()
            if call.args[at].storage in self._equal or self._repeated_now(call.args[at]):
                self.equal_operands.add((call.index, at))
        untimed = made is None or not self.has_time(made)
        if untimed and self._calls[key] == self.timesteps > 1:
            return torch.full(call.outputs[0].size, step, dtype=torch.int16)
        return made

    def _repeated_now(self, spec: Spec) -> bool:
        return self._repeated(spec, self.read(spec)) is not None

    def _weights_of(self, call: Call) -> object:
        """What tells layers apart whose calls follow one another in time."""
        if call.rule.group != "matrix":
            return None
        specs = [call.args[at] for at in MATRIX[call.rule.name]]
        weights = [spec for spec in specs if not self.tape.origins[spec.storage] & INPUT]
        stored = [each for each in weights if self.tape.origins[each.storage]]
        return (call.place.module, stored[0] if stored else call.place.site)

    def _is_equal(self, call: Call, made: Tensor | None) -> bool:
        """Whether all frames of a result are equal: T of them, made of repeated frames alone."""
        if made is None or self.timesteps == 1 or call.rule.is_random:
            return False
        if made.numel() == 0 or (int(made.min()), int(made.max())) != (0, self.timesteps - 1):
            return False
        for spec in call.inputs():
            if self.tape.origins[spec.storage] & RANDOM:
                return False
            timed = spec.storage in self._labels and self.has_time(self.read(spec))
            if timed and spec.storage not in self._equal:
                return False
        return True

    def _write(self, spec: Spec, labels: Tensor) -> None:
        width = spec.dtype.itemsize
        last = spec.span()[1] // width + 1
        whole = self._labels.get(spec.storage)
        if whole is None or len(whole) < last:
            grown = torch.full((max(last, 1),), NEVER, dtype=torch.int16)
            if whole is not None:
                grown[: len(whole)] = whole
            whole = self._labels[spec.storage] = grown
            self._widths[spec.storage] = width
        if self._widths[spec.storage] == width:
            whole.as_strided(spec.size, spec.stride, spec.offset).copy_(labels)
        else:
            whole.fill_(int(labels.max()))


def _along(size: tuple[int, ...], axis: int, steps: int) -> Tensor:
    """Labels 0, 1, ... along one axis."""
    shape = [1] * len(size)
    shape[axis] = steps
    return torch.arange(steps, dtype=torch.int16).reshape(shape).expand(size)


class _Made:
    """Labels of a call's results from those of its arguments."""

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
        return [self.labels_of.timed(spec) for spec in self.call.inputs()]

    def _pointwise(self) -> Tensor | None:
        """The latest of what is combined."""
        found = self._inputs()
        if not found:
            return None
        latest = found[0]
        for other in found[1:]:
            try:
                latest = torch.maximum(latest, other)
            except RuntimeError:
                latest = torch.maximum(latest, other.max()) if other.numel() else latest
        return latest

    _random = _pointwise

    def _move(self) -> Tensor | None:
        """Do with the labels what the call does with the values."""
        call, name = self.call, self.call.rule.name
        if name in ("clone", "_to_copy", "contiguous", "alias_copy"):
            return self._inputs()[0]
        if name in ("copy_", "copy"):
            return self.labels_of.timed(call.args[1])
        if name == "im2col":
            return self._window()
        begun = self._sequence()
        if begun is not None:
            return begun
        args = [self._moved(value, at) for at, value in enumerate(call.args)]
        if name == "constant_pad_nd":
            args = [*args[:2], NEVER]
        if call.rule.writes:
            args[0] = args[0].clone()
        try:
            made = call.func(*args, **{k: self._moved(v, 1) for k, v in call.kwargs.items()})
        except (RuntimeError, TypeError):  # not for the dtype of labels
            return self._pointwise()
        made = made[0] if isinstance(made, tuple) else made
        return made.to(torch.int16) if isinstance(made, Tensor) else None

    def _moved(self, value: Any, at: int) -> Any:
        """Labels in place of data; what says where to, as it is."""
        if isinstance(value, Spec):
            index = at > 0 and not (value.dtype.is_floating_point or value.dtype.is_complex)
            return self.values(value) if index else self.labels_of.timed(value).float()
        if isinstance(value, tuple) and any(isinstance(each, Spec) for each in value):
            return [self._moved(each, at) for each in value]
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
        return _along(call.outputs[0].size, axis, steps)

    def _norm(self) -> Tensor:
        labels = self.labels_of.timed(next(self.call.inputs()))
        if self.call.rule.name in ("_softmax", "_log_softmax", "_safe_softmax", "softmax"):
            return labels.amax(int(self.call.args[1]), keepdim=True).expand(labels.shape)
        return labels

    def _window(self) -> Tensor:
        """Each map for itself: the latest of its elements."""
        spec = self.call.outputs[0]
        labels = self.labels_of.timed(next(self.call.inputs()))
        lead = 2 if len(spec.size) > 3 or labels.dim() > 3 else max(labels.dim() - 2, 0)
        lead = min(lead, 1) if labels.dim() == 3 else lead
        latest = labels.flatten(lead).amax(lead) if labels.dim() > lead else labels
        return latest.reshape(*spec.size[:lead], *[1] * (len(spec.size) - lead)).expand(spec.size)

    def _reduce(self) -> Tensor:
        call = self.call
        labels = self.labels_of.timed(next(call.inputs()))
        spec = call.outputs[0] if call.outputs else None
        axes, keep = _axes(call)
        if axes is None or spec is None:
            return labels.max() if labels.numel() else labels
        made = labels.amax(axes, keepdim=keep) if axes else labels
        return made if tuple(made.shape) == spec.size else made.max().expand(spec.size)

    def _matrix(self) -> Tensor:
        first, second = (self.labels_of.timed(self.call.args[at]) for at in self._factors())
        size = self.call.outputs[0].size
        if self.call.rule.name == "convolution":
            return self._convolved(first, size)
        rows = first.amax(-1, keepdim=True) if first.dim() > 1 else first.max().reshape(1)
        columns = second.amax(-2, keepdim=True) if second.dim() > 1 else second.max().reshape(1)
        made = torch.maximum(rows, columns) if second.dim() > 1 else rows.reshape(-1)
        mixed = self._mixed_axis(first, second, size)
        made = made.expand(size) if made.dim() == len(size) else made.max().expand(size)
        return made if mixed is None else _along(size, mixed, self.labels_of.timesteps)

    def _factors(self) -> tuple[int, int]:
        return MATRIX[self.call.rule.name]

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
                if _is_time(labels, axis, steps) and size[axis] == steps:
                    return _along(size, axis, steps)
        lead = 1 if batched else 0
        latest = labels.flatten(lead).amax(lead) if batched else labels.max()
        return latest.reshape(*size[:lead], *[1] * (len(size) - lead)).expand(size)


def _is_time(labels: Tensor, axis: int, steps: int) -> bool:
    """Whether an axis is all timesteps in order, at each place."""
    axis %= max(labels.dim(), 1)
    if labels.dim() == 0 or labels.shape[axis] != steps or not labels.numel():
        return False
    return bool((labels == _along(tuple(labels.shape), axis, steps)).all())


def _axes(call: Call) -> tuple[tuple[int, ...] | None, bool]:
    """The axes of a reduction, None for all, and whether they are kept."""
    dims: object = call.kwargs.get("dim")
    keep = bool(call.kwargs.get("keepdim", False))
    for argument, value in zip(call.func._schema.arguments, call.args, strict=False):
        if argument.name in ("dim", "dims"):
            dims = value
        elif argument.name == "keepdim":
            keep = bool(value)
    if dims is None or dims == ():
        return None, keep
    return (tuple(dims) if isinstance(dims, tuple | list) else (int(dims),)), keep  # type: ignore[call-overload]


def sequence_axis(call: Call, steps: int | None) -> int | None:
    """The axis along which a call lays `steps` (None: any number of) equal frames, if it does."""
    if call.rule.name == "repeat":
        repeats = [int(each) for each in call.args[1]]
        many = [axis for axis, count in enumerate(repeats) if count > 1]
        old = call.args[0].size
        grown = (1,) * (len(repeats) - len(old)) + tuple(old)
        if len(many) == 1 and many[0] < 2 and grown[many[0]] == 1:
            return many[0] if steps in (None, repeats[many[0]]) else None
    if call.rule.name in ("stack", "cat"):
        frames = list(call.args[0])
        axis = int(call.args[1]) if len(call.args) > 1 else int(call.kwargs.get("dim", 0))
        axis %= len(call.outputs[0].size)
        equal = len(set(frames)) == 1 and (call.rule.name == "stack" or frames[0].size[axis] == 1)
        if equal and len(frames) > 1 and axis < 2 and steps in (None, len(frames)):
            return axis
    return None


def timesteps_of(tape: Tape) -> int | None:
    """How many timesteps a run had by its own account; None where nothing tells."""
    counts: Counter[object] = Counter()
    for call in tape.calls:
        if not call.flags & INPUT:
            continue
        axis = sequence_axis(call, None)
        if axis is not None:
            return int(call.outputs[0].size[axis])
        for spec in call.inputs():
            if tape.origins[spec.storage] & INPUT and 0 in spec.stride[:2]:
                axis = spec.stride.index(0)
                if spec.size[axis] > 1 and not counts:
                    return spec.size[axis]
        if call.rule.group == "matrix":
            specs = [call.args[at] for at in MATRIX[call.rule.name]]
            counts[
                (call.place.module, *[s for s in specs if not tape.origins[s.storage] & INPUT])
            ] += 1
    return counts.most_common(1)[0][1] if counts else None
