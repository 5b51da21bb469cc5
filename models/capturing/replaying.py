"""A tape run once more, alone or beside a run of changed inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.capturing.rules import SHAPES_ONLY
from models.capturing.tape import Call, Spec, Tape, tensors_in

Randomness = tuple[Tensor, dict[Any, Tensor]]
# By weighted sum, the arguments whose first axis is that of the result.
_ROWS = {"convolution": (0,), "mm": (0,), "addmm": (1,), "bmm": (0, 1)}
_DIGITS = 1e-5


class TapedProduct(NamedTuple):
    """Hold what a weighted sum gave in a run of the network.

    `operands`: copies, by position, of those whose coding holds no more than all but last digits.
    """

    result: Tensor
    operands: dict[int, Tensor]


class TensorMemory:
    """Hold the storages of a run by number, each with the tensors that were read of it."""

    def __init__(self) -> None:
        self._storages: dict[int, Any] = {}
        self._tensors: dict[int, dict[Spec, Tensor]] = {}

    def __contains__(self, number: int) -> bool:
        return number in self._storages

    def put(self, number: int, storage: Any) -> None:
        """Keep a storage in place of what the number had."""
        self._storages[number] = storage
        self._tensors[number] = {}

    def copied(self, number: int) -> Any:
        """Return a copy of a storage."""
        return self._storages[number].clone()

    def drop(self, number: int) -> None:
        """Free a storage, if it is there."""
        self._storages.pop(number, None)
        self._tensors.pop(number, None)

    def tensor(self, spec: Spec) -> Tensor:
        """Return the tensor that a Spec is, as it is now."""
        tensors = self._tensors[spec.storage]
        known = tensors.get(spec)
        if known is None:
            empty = torch.empty(0, dtype=spec.dtype)
            storage = self._storages[spec.storage]
            known = tensors[spec] = empty.set_(storage, spec.offset, spec.size, spec.stride)
        return known

    def keep_made(self, call: Call, made: Any) -> None:
        """Keep what a call made, and no tensor of what it changed, whose sizes may have changed."""
        for spec in call.written:
            if spec.storage in self._tensors:
                self._tensors[spec.storage] = {}
        tensors = [made] if isinstance(made, Tensor) else tensors_in(made)
        for spec, tensor in zip(call.outputs, tensors, strict=False):
            if spec.storage not in self._storages:
                self.put(spec.storage, tensor.untyped_storage())
                if (tensor.stride(), tensor.storage_offset()) == (spec.stride, spec.offset):
                    self._tensors[spec.storage][spec] = tensor


class TapeReplay:
    """Run a tape on storages of its own.

    `products`: of the run that is replayed. Where the operands are equal bit for bit a weighted
    sum is not computed once more. They are used up.
    """

    def __init__(self, tape: Tape, products: dict[int, TapedProduct] | None = None) -> None:
        self.tape = tape
        self.products = products or {}
        self.memory = TensorMemory()
        self.beside: ChangedReplay | None = None

    def run(
        self, inputs: Sequence[Tensor] | None = None, random: Randomness | None = None
    ) -> Iterator[Call]:
        """Yield each call before it runs; `tensor` reads its arguments.

        `inputs`: other values than the first run's; `random`: the states of another run.
        """
        self.memory = TensorMemory()
        for number, values in self.tape.initial.items():
            own = values.clone() if number in self.tape.written else values
            self.memory.put(number, own.untyped_storage())
        for spec, values in zip(self.tape.inputs, inputs or (), strict=bool(inputs)):
            self.memory.put(spec.storage, _laid_out(spec, values))
        own_state = torch.get_rng_state()
        state, generators = random or (self.tape.random_state, self.tape.generators)
        torch.set_rng_state(state)
        for generator, begin in zip(self.tape.generators, generators.values(), strict=True):
            generator.set_state(begin)
        try:
            yield from self._calls()
        finally:
            torch.set_rng_state(own_state)

    def _calls(self) -> Iterator[Call]:
        frees = self.tape.frees
        for call in self.tape.calls:
            yield call
            made = self._recorded(call)
            if self.beside is not None:
                self.beside.run(call, made)
            self.memory.keep_made(call, run_call(call, self.tensor) if made is None else made)
            if self.beside is not None:
                self.beside.begin(call)
            for number in frees.get(call.index, ()):
                self.memory.drop(number)
                if self.beside is not None:
                    self.beside.memory.drop(number)

    def _recorded(self, call: Call) -> Tensor | None:
        """The recorded result of a weighted sum; None where it must be computed."""
        product = self.products.pop(call.index, None)
        if product is None:
            return None
        equal = (torch.equal(self.tensor(call.args[at]), x) for at, x in product.operands.items())
        return product.result if all(equal) else None

    def tensor(self, spec: Spec) -> Tensor:
        """Return the tensor that a Spec is in this replay, as it is now."""
        return self.memory.tensor(spec)


class ChangedReplay:
    """Run the same tape on other inputs, beside a replay: only what differs is computed.

    `operands`: the positions of the data of each weighted sum, by call. `changed`: by call and
    position, which elements differ by more than another unit's last digits; `early`: the weighted
    sums whose result differs too early.
    """

    def __init__(
        self,
        replay: TapeReplay,
        operands: Mapping[int, Sequence[int]],
        begins: Callable[[Call], tuple[Spec, Tensor] | None],
        may_differ: Callable[[Spec, Tensor], bool],
    ) -> None:
        """`begins`: called behind each call; returns a tensor of its results, changed, or None.
        `may_differ`: whether elements of a result may.
        """
        self.replay, self.operands, self.begins = replay, operands, begins
        self.may_differ = may_differ
        self.early: list[Call] = []
        self.memory = TensorMemory()
        self.changed: dict[tuple[int, int], npt.NDArray[np.bool_]] = {}
        replay.beside = self

    def change(self, spec: Spec, values: Tensor) -> None:
        """Give a tensor other values than the replay's."""
        self.memory.put(spec.storage, _laid_out(spec, values))

    def begin(self, call: Call) -> None:
        """Look at what a call made; change it, if time begins there."""
        if call.index in self.operands and call.outputs[0].storage in self.memory:
            spec = call.outputs[0]
            if not self.may_differ(spec, _differing(*self._both(spec))):
                self.early.append(call)
        found = self.begins(call)
        if found is not None:
            self.memory.put(found[0].storage, self.replay.memory.copied(found[0].storage))
            self.tensor(found[0]).copy_(found[1])

    def run(self, call: Call, made: Tensor | None) -> None:
        """Run a call ahead of the replay, if it reads anything that differs.

        `made`: the replay's result, where it is known.
        """
        own = [spec for spec in call.reads if spec.storage in self.memory]
        if not own or call.rule.name in SHAPES_ONLY:
            return
        written = [spec.storage for spec in call.written]
        differing = [spec for spec in own if not torch.equal(*self._both(spec))]
        if not differing and not any(number in self.memory for number in written):
            return
        for at in self.operands.get(call.index, ()):
            if call.args[at] in differing:
                self.changed[call.index, at] = _differing(*self._both(call.args[at])).numpy()
        if call.rule.is_random and call.rule.name.endswith("_like") and not written:
            return
        for number in written:
            if number not in self.memory:
                self.memory.put(number, self.replay.memory.copied(number))
        rows = None if made is None else self._rows(call, differing)
        if made is not None and rows is not None:
            self.memory.keep_made(call, self._changed_rows(call, made, rows))
            return
        state = torch.get_rng_state() if call.rule.is_random else None
        generator = call.kwargs.get("generator")
        before = None if generator is None else generator.get_state()
        result = run_call(call, self.tensor)
        if state is not None:
            torch.set_rng_state(state)
        if generator is not None and before is not None:
            generator.set_state(before)
        known = self.replay.memory
        if all(s.storage in self.memory or s.storage not in known for s in call.outputs):
            self.memory.keep_made(call, result)

    def _rows(self, call: Call, differing: Sequence[Spec]) -> Tensor | None:
        """The rows of a weighted sum that differ; None where no single rows do."""
        positions = _ROWS.get(call.rule.name, ())
        if any(spec not in [call.args[at] for at in positions] for spec in differing):
            return None
        if call.rule.name == "addmm" and len(call.args[0].size) > 1:
            return None
        found = torch.zeros(call.outputs[0].size[0], dtype=torch.bool)
        for at in positions:
            first, second = self._both(call.args[at])
            found |= (first != second).flatten(1).any(1)
        return found.nonzero().flatten()

    def _changed_rows(self, call: Call, made: Tensor, rows: Tensor) -> Tensor:
        """The replay's result, with the rows that differ computed."""
        args = [_value(value, self.tensor) for value in call.args]
        for at in _ROWS[call.rule.name]:
            args[at] = args[at].index_select(0, rows)
        result = made.clone()
        result[rows] = call.func(*args, **call.kwargs)
        return result

    def tensor(self, spec: Spec) -> Tensor:
        """Return a tensor of this run: the replay's where nothing differs."""
        return (self if spec.storage in self.memory else self.replay).memory.tensor(spec)

    def _both(self, spec: Spec) -> tuple[Tensor, Tensor]:
        return self.replay.tensor(spec), self.tensor(spec)


def run_call(call: Call, tensor: Callable[[Spec], Tensor]) -> Any:
    """Run a call on the tensors that its Specs are."""
    args = [_value(value, tensor) for value in call.args]
    kwargs = {key: _value(value, tensor) for key, value in call.kwargs.items()}
    return call.func(*args, **kwargs)


def _value(value: Any, tensor: Callable[[Spec], Tensor]) -> Any:
    if isinstance(value, Spec):
        return tensor(value)
    if isinstance(value, list | tuple) and any(isinstance(each, Spec) for each in value):
        return [_value(each, tensor) for each in value]
    return value


def _laid_out(spec: Spec, values: Tensor) -> Any:
    """A storage that holds values as a Spec lays them out."""
    own = torch.empty_strided(spec.size, spec.stride, dtype=spec.dtype)
    return own.copy_(values).untyped_storage()


def _differing(first: Tensor, second: Tensor) -> Tensor:
    """Which elements differ by more than another unit's last digits."""
    one, other = first.double(), second.double()
    least = _DIGITS * max(float(one.abs().max()) if one.numel() else 0.0, 1.0)
    return ~((one - other).abs() <= least)
