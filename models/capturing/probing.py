"""A neuron's update probed with numbers: tau, threshold and reset of what is a LIF or IF neuron.

One timestep of the neuron's own calls is run on chosen potentials v and inputs x. If the compared
potential is a v + b x - c, with one state, its parameters follow; else the neuron keeps no more
than its operation counts.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from models.capturing.flow import Node, TapeFlow
from models.capturing.neurons import NeuronGroup
from models.capturing.rules import COMPARISONS
from models.capturing.tape import INPUT, Call, Spec, Tape, specs_in

_V = (0.0, 0.01, -0.02, 0.03, 0.0, 0.02, -0.4, 0.6)
_X = (0.0, 0.0, 0.01, 0.02, -0.03, 0.5, 0.1, -0.2)
_FIRST = 6
"""The points below any threshold by which the potential is fitted; the others test it."""
_CLOSE = 1e-4


def parameters_of(neuron: NeuronGroup, flow: TapeFlow, tape: Tape) -> dict[str, Any]:
    """Return tau, decay_input, threshold and reset, as a trace has them; {} for other neurons."""
    try:
        return _Probe(neuron, flow, tape).fit()
    except _Unfit:
        return {}


class _Unfit(Exception):
    """The neuron is not of this form, or its calls cannot be run on numbers."""


class _Probe:
    def __init__(self, neuron: NeuronGroup, flow: TapeFlow, tape: Tape) -> None:
        self.flow, self.tape = flow, tape
        self.own = set(neuron.nodes)
        self.compared = self._at(neuron.fires, 1)
        self.values: dict[int, Tensor] = {}
        self.inputs: set[int] = set()
        self.candidates = self._states(neuron)

    def _at(self, node: Node, step: int) -> Call:
        """The call of a node at one timestep."""
        for call in node.calls:
            if self.flow.times.get(call.index) == (step, step):
                return call
        raise _Unfit

    def _states(self, neuron: NeuronGroup) -> set[int]:
        """What the second timestep reads of the first."""
        read = set()
        for node in neuron.nodes:
            for call in node.calls:
                if self.flow.times.get(call.index) == (1, 1):
                    read |= {m for _, makers in self.flow.reads[call.index] for m in makers}
        return {
            self._root(each) for each in map(self._behind_copies, read) if self._is_before(each)
        }

    def _root(self, index: int) -> int:
        """The state that a value follows from alone, as a decayed potential follows from it."""
        while True:
            makers = {m for _, own in self.flow.reads.get(index, ()) for m in own}
            before = {each for each in map(self._behind_copies, makers) if self._is_before(each)}
            if len(makers) != 1 or not before:
                return index
            (index,) = before

    def _behind_copies(self, index: int) -> int:
        while self.flow.of_call[index].group == "move":
            makers = [m for _, own in self.flow.reads[index] for m in own]
            if len(makers) != 1:
                break
            index = makers[0]
        return index

    def _is_before(self, index: int) -> bool:
        return self.flow.of_call[index] in self.own and self.flow.times.get(index) == (0, 0)

    def fit(self) -> dict[str, Any]:
        """Fit the potential, then look at what a spike leaves of it."""
        if len(self.candidates) != 1 or self.compared.rule.name not in COMPARISONS:
            raise _Unfit
        (state,) = self.candidates
        v = torch.tensor(_V, dtype=torch.float64)
        x = torch.tensor(_X, dtype=torch.float64)
        over = self._over(state, v, x)
        columns = torch.stack([v, x, torch.ones_like(v)], 1)
        solved = torch.linalg.lstsq(columns[:_FIRST], over[:_FIRST, None]).solution[:, 0]
        if float((columns @ solved - over).abs().max()) > _CLOSE:
            raise _Unfit
        a, b, minus = (float(each) for each in solved)
        return {**_leak(a, b), **self._reset(state, a, b, -minus)}

    def _over(self, state: int, v: Tensor, x: Tensor) -> Tensor:
        """The compared potential less its threshold."""
        self.values = {state: v}
        first, second = self.compared.args[:2]
        left = self._argument(self.compared, first, x)
        number = isinstance(second, Spec | int | float)
        right = self._argument(self.compared, second, x) if number else 0.0
        return torch.as_tensor(left - right, dtype=torch.float64).expand(v.shape).clone()

    def _reset(self, state: int, a: float, b: float, c: float) -> dict[str, Any]:
        """What the state is after a spike: a constant, or the potential less the threshold."""
        v = torch.tensor([0.0, 0.0], dtype=torch.float64)
        x = torch.tensor([(c + 1.0) / b, (c + 2.0) / b], dtype=torch.float64)
        over = self._over(state, v, x)
        if not bool((over > 0).all()):
            raise _Unfit
        after = self._call(self._at(self.flow.of_call[state], 1), x)
        step = float(after[1] - after[0])
        if abs(step) < _CLOSE:
            reset = float(after[0])
            return {"threshold": round(c + (1 - a) * reset, 6), "reset": round(reset, 6)}
        if abs(step - 1.0) > _CLOSE or abs(float(after[0] - over[0])) > _CLOSE:
            raise _Unfit
        return {"threshold": round(c, 6), "reset": 0.0, "soft_reset": 1}

    def _call(self, call: Call, x: Tensor) -> Tensor:
        """A call's result on the probe's numbers."""
        index = call.index
        if index in self.values:
            return self.values[index]
        node = self.flow.of_call.get(index)
        if node is None or node.layer is not None or node.group not in ("pointwise", "move"):
            raise _Unfit
        if node.group == "move":
            if call.rule.name not in ("_to_copy", "clone", "copy_"):
                raise _Unfit
            source = call.args[1] if call.rule.name == "copy_" else call.args[0]
            made = self._argument(call, source, x)
        else:
            args = [self._argument(call, value, x) for value in call.args]
            named = {k: v for k, v in call.kwargs.items() if not isinstance(v, Spec)}
            made = call.func(*args, **named)
        self.values[index] = torch.as_tensor(made).to(torch.float64).expand(x.shape)
        return self.values[index]

    def _argument(self, call: Call, value: Any, x: Tensor) -> Any:
        if not isinstance(value, Spec):
            return value
        makers = next((own for spec, own in self.flow.reads[call.index] if spec == value), [])
        if not makers:
            return self._constant(value)
        if len(makers) != 1:
            raise _Unfit
        maker = self._behind_copies(makers[0])
        if maker in self.values:
            return self.values[maker]
        if self.flow.of_call[maker] not in self.own:
            self.inputs.add(maker)
            if len(self.inputs) > 1:
                raise _Unfit
            return x
        return self._call(self.tape.calls[maker], x)

    def _constant(self, spec: Spec) -> Any:
        """The one value of a tensor that no input reaches."""
        own = self._computed(spec)
        if own.numel() == 0 or not bool((own == own.flatten()[0]).all()):
            raise _Unfit
        return own.flatten()[0].double()

    def _computed(self, spec: Spec) -> Tensor:
        """A tensor that the network holds, or that the run made of such tensors."""
        storage = self.tape.initial.get(spec.storage)
        if storage is None:
            maker = self.tape.makers.get(spec.storage)
            if maker is None or maker.flags & INPUT or maker.rule.is_random or maker.rule.writes:
                raise _Unfit
            args = [self._computed(v) if isinstance(v, Spec) else v for v in maker.args]
            if any(isinstance(each, tuple) and any(specs_in((each,))) for each in args):
                raise _Unfit
            storage = torch.as_tensor(maker.func(*args, **maker.kwargs)).contiguous().flatten()
        return storage.as_strided(spec.size, spec.stride, spec.offset)


def _leak(a: float, b: float) -> dict[str, Any]:
    """tau and decay_input of v' = a v + b x."""
    if abs(a - 1.0) < _CLOSE and abs(b - 1.0) < _CLOSE:
        return {"tau": 1.0, "decay_input": 0, "leak": 0}
    if not 0.0 <= a < 1.0:
        raise _Unfit
    decays = abs(b - (1.0 - a)) < _CLOSE
    if not decays and abs(b - 1.0) > _CLOSE:
        raise _Unfit
    return {"tau": round(1.0 / (1.0 - a), 6), "decay_input": int(decays)}
