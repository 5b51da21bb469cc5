"""Timesteps of all values: int16 labels on every storage, read through each tensor's strides.

Views, permutes and reshapes need no rule, as they read the same labels. Time enters where an axis
of the input is declared to be time, where one frame is repeated T times, and, in a loop over an
input that never changes, with each further firing of a neuron and each further call of a layer.
NEVER marks what is the same at every timestep.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import torch
from torch import Tensor

from models.capturing.propagation import NEVER, DerivedValue, Values, once
from models.capturing.rules import COMPARISONS, MATRIX
from models.capturing.sequences import along, firing_keys
from models.capturing.tape import INPUT, RANDOM, Call, Spec, Tape

_COPIES = ("clone", "_to_copy", "contiguous", "alias_copy")
# Made of constants alone, whatever they overwrite.
_UNLABELLED = ("fill", "zero")


class UniformLabel(NamedTuple):
    """The one label of a storage's first `elements`, each of `width` bytes."""

    label: int
    elements: int
    width: int


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
        self._uniform: dict[int, UniformLabel] = {}
        self._equal: set[int] = set()
        self._widths: dict[int, int] = {}
        self._begun = False
        self.began_at: int | None = None
        self._fired: dict[object, int] = {}
        self._firing = firing_keys(tape, timesteps)
        self._calls = Counter(self._weights_of(call) for call in tape.calls)
        self._at: Counter[object] = Counter()
        if time_axis is not None:
            for spec in tape.inputs:
                frames = spec.size[time_axis]
                if frames >= timesteps:  # more where the run left early
                    self._write(spec, along(spec.size, time_axis, frames))
                    self._begun = True
        last = {spec.storage: call.index for call in tape.calls for spec in call.reads}
        self._last: dict[int, list[int]] = {}
        for storage, index in last.items():
            self._last.setdefault(index, []).append(storage)

    def walk(self, call: Call, values: Values) -> None:
        """Label what a call makes; `values`: reads its arguments, before it runs."""
        labelled = call.flags & INPUT or self._any(call) or call.rule.group == "matrix"
        if labelled and not self._label_alike(call):
            self._label(call, DerivedValue(self, call, values).labels())
        for storage in self._last.get(call.index, ()):
            self._labels.pop(storage, None)
            self._uniform.pop(storage, None)

    def _label_alike(self, call: Call) -> bool:
        """Label what is made, element by element, of tensors with one label each.

        So are most calls: those of a loop over time, also of the one inside of a neuron.
        """
        rule = call.rule
        copies = rule.name in _COPIES
        if not (copies or rule.group == "pointwise") or rule.name in _UNLABELLED:
            return False
        if rule.name in COMPARISONS and not self._begun:
            return False
        latest = NEVER
        for spec in call.reads:
            known = self._uniform.get(spec.storage)
            if (
                known is None
                or not known.elements
                or spec.span()[1] >= known.elements * known.width
            ):
                if known is None and spec.storage not in self._labels and 0 not in spec.stride[:2]:
                    continue  # no label at all
                return False
            if known.label == NEVER and 0 in spec.stride[:2]:
                return False  # perhaps equal frames, where time begins
            latest = max(latest, known.label)
        self.of_call[call.index] = latest, latest
        for spec in (*call.written, *call.outputs):
            self._write_alike(spec, latest)
            self._equal.discard(spec.storage)
        return True

    def _write_alike(self, spec: Spec, label: int) -> None:
        """Give all elements of a tensor one label."""
        first, last = spec.span()
        width = spec.dtype.itemsize
        dense = first == 0 and spec.elements * width == last + 1
        known = self._uniform.get(spec.storage)
        before = 0 if known is None else known.elements * known.width
        if dense and last + 1 >= before and spec.storage not in self._labels:
            self._uniform[spec.storage] = UniformLabel(label, spec.elements, width)
        else:
            self._write(spec, torch.tensor(label, dtype=torch.int16).expand(spec.size))

    def _spread(self, storage: int) -> None:
        """Give a storage of one label a label for each element."""
        known = self._uniform.pop(storage, None)
        if known is not None:
            self._labels[storage] = torch.full((known.elements,), known.label, dtype=torch.int16)
            self._widths[storage] = known.width

    def _label(self, call: Call, made: Tensor | None) -> None:
        targets = [*call.written, *call.outputs]
        if call.rule.name in COMPARISONS and not self._begun and made is not None:
            made = self._next_firing(call, made)
        if call.rule.group == "matrix":
            made = self._next_call(call, made)
        low = high = NEVER
        if made is not None and made.numel():
            low, high = (int(each) for each in torch.aminmax(once(made)))
        equal = made is not None and self._is_equal(call, low, high)
        if made is not None:
            self.of_call[call.index] = (low, high) if made.numel() else (0, 0)
        for spec in targets:
            labels = made
            if labels is None:
                continue
            if low == high:
                self._write_alike(spec, low)
                (self._equal.add if equal else self._equal.discard)(spec.storage)
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
        alike = self._uniform.get(spec.storage)
        if alike is not None and spec.span()[1] < alike.elements * alike.width:
            return torch.tensor(alike.label, dtype=torch.int16).expand(spec.size)
        self._spread(spec.storage)
        labels_of_storage = self._labels.get(spec.storage)
        if labels_of_storage is None:
            return torch.tensor(NEVER, dtype=torch.int16).expand(spec.size)
        labels_of_storage = self._grown(spec)  # what is read may reach beyond all that is labelled
        if self._widths[spec.storage] != spec.dtype.itemsize:
            return labels_of_storage.max().expand(spec.size)
        return labels_of_storage.as_strided(spec.size, spec.stride, spec.offset)

    def _any(self, call: Call) -> bool:
        return any(self._has_labels(spec) for spec in call.reads)

    def _has_labels(self, spec: Spec) -> bool:
        return spec.storage in self._labels or spec.storage in self._uniform

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
        return bool(labels.numel()) and int(once(labels).max()) > NEVER

    def _next_firing(self, call: Call, made: Tensor) -> Tensor:
        """In a loop over an input without time, a neuron's next firing is the next timestep."""
        key = self._firing.get(call.index, call.place)
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
            self.of_operand[call.index, at] = labels.clone() if any(labels.stride()) else labels
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
        weights = self.tape.weights(call, MATRIX[call.rule.name])
        return (call.place.module, weights[0] if weights else call.place.site)

    def _is_equal(self, call: Call, low: int, high: int) -> bool:
        """Whether all frames of a result are equal: T of them, made of repeated frames alone."""
        if self.timesteps == 1 or call.rule.is_random or (low, high) != (0, self.timesteps - 1):
            return False
        for spec in call.reads:
            if self.tape.origins[spec.storage] & RANDOM:
                return False
            timed = self._has_labels(spec) and self.has_time(self.read(spec))
            if timed and spec.storage not in self._equal:
                return False
        return True

    def _grown(self, spec: Spec) -> Tensor:
        """The labels of a storage, as far as a tensor reaches at least."""
        width = self._widths.setdefault(spec.storage, spec.dtype.itemsize)
        last = spec.span()[1] // width + 1
        labels = self._labels.get(spec.storage)
        if labels is None or len(labels) < last:
            grown = torch.full((max(last, 1),), NEVER, dtype=torch.int16)
            if labels is not None:
                grown[: len(labels)] = labels
            labels = self._labels[spec.storage] = grown
        return labels

    def _write(self, spec: Spec, labels: Tensor) -> None:
        self._spread(spec.storage)
        labels_of_storage = self._grown(spec)
        if self._widths[spec.storage] == spec.dtype.itemsize:
            labels_of_storage.as_strided(spec.size, spec.stride, spec.offset).copy_(labels)
        else:
            labels_of_storage.fill_(int(labels.max()))
