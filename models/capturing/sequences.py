"""Where time enters: equal frames laid along an axis, and how many timesteps a run had."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from models.capturing.rules import COMPARISONS
from models.capturing.tape import INPUT, Call, Tape


def along(size: tuple[int, ...], axis: int, steps: int) -> Tensor:
    """Return labels 0, 1, ... along one axis."""
    shape = [1] * len(size)
    shape[axis] = steps
    return torch.arange(steps, dtype=torch.int16).reshape(shape).expand(size)


def joint(call: Call) -> int:
    """Return the axis along which a call joins tensors."""
    axis = int(call.args[1]) if len(call.args) > 1 else int(call.kwargs.get("dim", 0))
    return axis % max(len(call.outputs[0].size), 1)


def sequence_axis(call: Call, steps: int | None) -> int | None:
    """Return the axis along which a call lays `steps` (None: any number of) equal frames."""
    if call.rule.name == "repeat":
        repeats = [int(each) for each in call.args[1]]
        many = [axis for axis, count in enumerate(repeats) if count > 1]
        old = call.args[0].size
        grown = (1,) * (len(repeats) - len(old)) + tuple(old)
        if len(many) == 1 and many[0] < 2 and grown[many[0]] == 1:
            return many[0] if steps in (None, repeats[many[0]]) else None
    if call.rule.name in ("stack", "cat"):
        frames, axis = list(call.args[0]), joint(call)
        equal = len(set(frames)) == 1 and (call.rule.name == "stack" or frames[0].size[axis] == 1)
        if equal and len(frames) > 1 and axis < 2 and steps in (None, len(frames)):
            return axis
    return None


def firing_keys(tape: Tape, timesteps: int | None = None) -> dict[int, object]:
    """Return by comparison what all firings of one neuron share: its place in the network.

    Several neurons may fire at one place, as in a loop over layers: there each is known by the
    layer that ran last of those that lead to it, if all of them fire equally often. `timesteps`:
    where they are known; what fires so often at one place is one neuron, whatever leads to it.
    """
    runs: Counter[object] = Counter()
    last: dict[int, tuple[int, object]] = {}  # by storage: the latest weighted sum, its weights
    by_place: dict[tuple[str, int], list[tuple[int, object]]] = {}
    for call in tape.calls:
        sources = [last[spec.storage] for spec in call.reads if spec.storage in last]
        own = max(sources, key=lambda each: each[0], default=(-1, None))
        if call.rule.group == "matrix":
            own = (call.index, tape.weights(call) or call.place.site)
            runs[own[1]] += 1
        for spec in (*call.written, *call.outputs):
            last[spec.storage] = own
        if call.rule.name in COMPARISONS and call.flags & INPUT:
            place = (call.place.module, call.place.site)
            by_place.setdefault(place, []).append((call.index, own[1]))
    found: dict[int, object] = {}
    for place, firings in by_place.items():
        counts = Counter(layer for _, layer in firings)
        equal = len(counts) > 1 and len(set(counts.values())) == 1
        # What fires once of layers that run more often is one neuron of a recurrent network.
        often = max(counts.values()) > 1 or all(runs[layer] == 1 for layer in counts)
        several = equal and often and len(firings) != timesteps
        for index, layer in firings:
            found[index] = (*place, layer) if several else place
    return found


def timesteps_of(tape: Tape, frames: bool = True) -> int | None:
    """Return how many timesteps a run had by its own account; None where nothing tells.

    Equal frames laid in a sequence tell, unless `frames` is False; in a loop it is how often
    neurons compare, or, where there is a comparison for all timesteps at once, how often a layer
    runs.
    """
    firing = firing_keys(tape)
    compared: Counter[object] = Counter()
    layers: Counter[object] = Counter()
    for call in tape.calls:
        if not call.flags & INPUT:
            continue
        count = _frames(call, tape) if frames else None
        if count is not None and not compared:
            return count
        if call.rule.name in COMPARISONS:
            compared[firing[call.index]] += 1
        if call.rule.group == "matrix":
            layers[(call.place.module, *tape.weights(call))] += 1
    for counts in (compared, layers):
        several = Counter(count for count in counts.values() if count > 1)
        if several:
            return several.most_common(1)[0][0]
    return 1 if layers else None


def _frames(call: Call, tape: Tape) -> int | None:
    """How many equal frames of the input a call lays in a sequence, or reads as one."""
    axis = sequence_axis(call, None)
    if axis is not None:
        return call.outputs[0].size[axis]
    for spec in call.reads:
        if tape.origins[spec.storage] & INPUT and 0 in spec.stride[:2]:
            size = spec.size[spec.stride.index(0)]
            if size > 1:
                return size
    return None
