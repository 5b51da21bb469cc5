"""Timesteps of all values: int16 labels on every storage, read through each tensor's strides.

A storage has one label for each block of its elements: of a sequence with time first, T of them.

Views, permutes and reshapes need no rule, as they read the same labels. Time enters where an axis
of the input is declared to be time, where one frame is repeated T times, and, in a loop over an
input that never changes, with each further firing of a neuron and each further call of a layer.
NEVER marks what is the same at every timestep.
"""

from __future__ import annotations

import math
from collections import Counter

import torch
from torch import Tensor

from models.capturing.blocks import BlockLabels, UniformLabel
from models.capturing.propagation import NEVER, DerivedValue, Values, compact, once
from models.capturing.rules import COMPARISONS, SOFTMAX
from models.capturing.sequences import along, firing_keys, joint
from models.capturing.tape import INPUT, RANDOM, Call, Spec, Tape

_COPIES = ("clone", "_to_copy", "contiguous", "alias_copy")
# Made of constants alone, whatever they overwrite.
_UNLABELLED = ("fill", "zero")


class Labels:
    """Hold the labels of one tape's values; a replay walks them, call by call.

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
        self._blocks: dict[int, BlockLabels] = {}
        self._uniform: dict[int, UniformLabel] = {}
        self._equal: set[int] = set()
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
        labelled = (
            call.flags & INPUT
            or call.rule.group == "matrix"
            or any(s.storage in self._blocks or s.storage in self._uniform for s in call.reads)
        )
        if labelled and not self._label_alike(call):
            self._label(call, DerivedValue(self, call, values).labels())
        for storage in self._last.get(call.index, ()):
            self._blocks.pop(storage, None)
            self._uniform.pop(storage, None)

    def _label_alike(self, call: Call) -> bool:
        """Label what is made, element by element, of tensors with one label each.

        So are most calls: those of a loop over time, also of the one inside of a neuron.
        """
        rule = call.rule
        if rule.name == "stack" and self._begun:
            return self._label_stack(call)
        copies = rule.name in _COPIES
        if rule.group == "norm" and rule.name not in SOFTMAX:
            return self._label_in_blocks(call)
        if not (copies or rule.group == "pointwise") or rule.name in _UNLABELLED:
            return False
        if rule.name in COMPARISONS and not self._begun:
            return False
        latest = NEVER
        for spec in call.reads:
            if spec.storage in self._blocks:
                single = self._blocks[spec.storage].single(spec)
                if single is None:
                    return self._label_in_blocks(call)
                latest = max(latest, single)
                continue
            known = self._uniform.get(spec.storage)
            if known is None or not known.elements or not known.reaches(spec.span()[1]):
                if known is None and 0 not in spec.stride[:2]:
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

    def _label_stack(self, call: Call) -> bool:
        """Label frames of one label each, one after another, as a neuron returns them."""
        alike = [self._uniform.get(spec.storage) for spec in call.args[0]]
        reach = [spec.span()[1] for spec in call.args[0]]
        found = [a.label for a, end in zip(alike, reach, strict=True) if a and a.reaches(end)]
        if len(found) < len(alike) or max(found) == NEVER:
            return False
        made = call.outputs[0]
        blocks = BlockLabels(NEVER, made.elements // len(found), made.dtype.itemsize)
        blocks.labels = torch.tensor(found, dtype=torch.int16)
        if math.prod(made.size[: joint(call)]) != 1 or not blocks.covered(made):
            return False
        self._blocks[made.storage] = blocks
        low, high = self.of_call[call.index] = min(found), max(found)
        if self._is_equal(call, low, high):
            self._equal.add(made.storage)
        return True

    def _label_in_blocks(self, call: Call) -> bool:
        """Label what is made, element by element, of whole tensors with the same labels."""
        known: BlockLabels | None = None
        for spec in call.reads:
            own = self._blocks.get(spec.storage)
            if own is None:
                if spec.storage in self._uniform or 0 in spec.stride[:2]:
                    return False
                continue
            if known is None:
                known, layout = own, spec[2:]
            if spec[2:] != layout or not own.covered(spec) or not own.equals(known):
                return False
        if known is None or any(s[2:] != layout for s in (*call.written, *call.outputs[:1])):
            return False
        low, high = self.of_call[call.index] = known.bounds()
        equal = self._is_equal(call, low, high)
        for spec in (*call.written, *call.outputs):
            if spec[2:] != layout or spec.storage in self._uniform:
                self._write_alike(spec, high)
            else:
                self._blocks[spec.storage] = known.copied(spec.dtype.itemsize)
            (self._equal.add if equal else self._equal.discard)(spec.storage)
        return True

    def _write_alike(self, spec: Spec, label: int) -> None:
        """Give all elements of a tensor one label."""
        first, last = spec.span()
        width = spec.dtype.itemsize
        dense = first == 0 and spec.elements * width == last + 1
        known = self._uniform.get(spec.storage)
        before = 0 if known is None else known.elements * known.width
        if dense and last + 1 >= before and spec.storage not in self._blocks:
            self._uniform[spec.storage] = UniformLabel(label, spec.elements, width)
        else:
            self._write(spec, torch.tensor(label, dtype=torch.int16).expand(spec.size))

    def _spread(self, storage: int) -> None:
        """Give a storage of one label a label for each block, which is all of it."""
        known = self._uniform.pop(storage, None)
        if known is not None:
            self._blocks[storage] = BlockLabels(known.label, known.elements, known.width)

    def _label(self, call: Call, made: Tensor | None) -> None:
        if call.rule.name in COMPARISONS and not self._begun and made is not None:
            made = self._next_firing(call, made)
        if call.rule.group == "matrix":
            made = self._next_call(call, made)
        if made is None:
            return
        low = high = NEVER
        if made.numel():
            made = compact(made)
            low, high = (int(each) for each in torch.aminmax(made))
        self.of_call[call.index] = (low, high) if made.numel() else (0, 0)
        equal = self._is_equal(call, low, high)
        for spec in (*call.written, *call.outputs):
            if low == high:
                self._write_alike(spec, low)
            else:
                try:
                    self._write(spec, made.expand(spec.size))
                except RuntimeError:
                    self._write(spec, made.max().expand(spec.size))
            (self._equal.add if equal else self._equal.discard)(spec.storage)

    def read(self, spec: Spec) -> Tensor:
        """Return the labels of a tensor; an axis of T equal frames begins time."""
        alike = self._uniform.get(spec.storage)
        if alike is not None and alike.reaches(spec.span()[1]):
            return torch.tensor(alike.label, dtype=torch.int16).expand(spec.size)
        self._spread(spec.storage)
        own = self._blocks.get(spec.storage)
        if own is None:
            return torch.tensor(NEVER, dtype=torch.int16).expand(spec.size)
        return own.read(spec)

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
        """Return whether anything is of a timestep."""
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
        for at in call.rule.factors:
            labels = self.timed(call.args[at])
            if self._calls[key] == self.timesteps > 1 and not self.has_time(labels):
                labels = torch.tensor(step, dtype=torch.int16).expand(labels.shape)
            self.of_operand[call.index, at] = once(labels).clone().expand(labels.shape)
            spec = call.args[at]
            if spec.storage in self._equal or self._repeated(spec, self.read(spec)) is not None:
                self.equal_operands.add((call.index, at))
        untimed = made is None or not self.has_time(made)
        if untimed and self._calls[key] == self.timesteps > 1:
            return torch.tensor(step, dtype=torch.int16).expand(call.outputs[0].size)
        return made

    def _weights_of(self, call: Call) -> object:
        """What tells layers apart whose calls follow one another in time."""
        if call.rule.group != "matrix":
            return None
        weights = self.tape.weights(call)
        return (call.place.module, weights[0] if weights else call.place.site)

    def _is_equal(self, call: Call, low: int, high: int) -> bool:
        """Whether all frames of a result are equal: T of them, made of repeated frames alone."""
        if self.timesteps == 1 or call.rule.is_random or (low, high) != (0, self.timesteps - 1):
            return False
        for spec in call.reads:
            if self.tape.origins[spec.storage] & RANDOM:
                return False
            if spec.storage not in self._equal and self._is_timed(spec):
                return False
        return True

    def _is_timed(self, spec: Spec) -> bool:
        alike = self._uniform.get(spec.storage)
        if alike is not None:
            return alike.label > NEVER
        return spec.storage in self._blocks and self.has_time(self.read(spec))

    def _write(self, spec: Spec, labels: Tensor) -> None:
        self._spread(spec.storage)
        if spec.storage not in self._blocks:
            width = spec.dtype.itemsize
            self._blocks[spec.storage] = BlockLabels(NEVER, spec.span()[1] // width + 1, width)
        self._blocks[spec.storage].write(spec, labels)
