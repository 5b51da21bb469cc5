"""Timesteps of all values: int16 labels on every storage, read through each tensor's strides.

Views, permutes and reshapes need no rule, as they read the same labels. Time enters where an axis
of the input is declared to be time, where one frame is repeated T times, and, in a loop over an
input that never changes, with each further firing of a neuron and each further call of a layer.
NEVER marks what is the same at every timestep.
"""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from models.capturing.propagation import NEVER, DerivedValue, Values
from models.capturing.rules import COMPARISONS, MATRIX
from models.capturing.sequences import along
from models.capturing.tape import INPUT, RANDOM, Call, Spec, Tape


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
                    self._write(spec, along(spec.size, time_axis, timesteps))
                    self._begun = True
        last = {spec.storage: call.index for call in tape.calls for spec in call.inputs()}
        self._last: dict[int, list[int]] = {}
        for storage, index in last.items():
            self._last.setdefault(index, []).append(storage)

    def walk(self, call: Call, values: Values) -> None:
        """Label what a call makes; `values`: reads its arguments, before it runs."""
        if call.flags & INPUT or self._any(call) or call.rule.group == "matrix":
            self._label(call, DerivedValue(self, call, values).labels())
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
            low, high = torch.aminmax(made) if made.numel() else (0, 0)
            self.of_call[call.index] = int(low), int(high)
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
        labels_of_storage = self._labels.get(spec.storage)
        if labels_of_storage is None:
            return torch.full(spec.size, NEVER, dtype=torch.int16)
        if self._widths[spec.storage] != spec.dtype.itemsize:
            return labels_of_storage.max().expand(spec.size)
        return labels_of_storage.as_strided(spec.size, spec.stride, spec.offset)

    def _any(self, call: Call) -> bool:
        return any(spec.storage in self._labels for spec in call.inputs())

    def timed(self, spec: Spec) -> Tensor:
        """Return labels, of equal frames along a leading axis without strides as a new time."""
        labels = self.read(spec)
        axis = self._repeated(spec, labels)
        if axis is not None:
            self._begun = True
            return along(spec.size, axis, self.timesteps)
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
        labels_of_storage = self._labels.get(spec.storage)
        if labels_of_storage is None or len(labels_of_storage) < last:
            grown = torch.full((max(last, 1),), NEVER, dtype=torch.int16)
            if labels_of_storage is not None:
                grown[: len(labels_of_storage)] = labels_of_storage
            labels_of_storage = self._labels[spec.storage] = grown
            self._widths[spec.storage] = width
        if self._widths[spec.storage] == width:
            labels_of_storage.as_strided(spec.size, spec.stride, spec.offset).copy_(labels)
        else:
            labels_of_storage.fill_(int(labels.max()))
