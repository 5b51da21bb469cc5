"""The tape: every call that computed something, with its tensors as places in numbered storages.

A tensor is its storage, dtype, sizes, strides and offset. So views need no entry of their own, a
call in place stays in place, and replaying the tape has the aliasing that the network had.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.capturing.refusals import SourcePlace
from models.capturing.rules import OperatorRule

# Where a storage's values come from, as bits.
INPUT, PARAMETER, FOUND, RANDOM, BEHIND = 1, 2, 4, 8, 16


class Spec(NamedTuple):
    """Describe a tensor: where it lies in which storage."""

    storage: int
    dtype: torch.dtype
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int

    @property
    def elements(self) -> int:
        """Count its elements."""
        return math.prod(self.size)

    def span(self) -> tuple[int, int]:
        """Return the first and last byte that the tensor may touch."""
        return _span(self.size, self.stride, self.offset, self.dtype.itemsize)


@lru_cache(maxsize=4096)
def _span(
    size: tuple[int, ...], stride: tuple[int, ...], offset: int, width: int
) -> tuple[int, int]:
    if 0 in size:
        return (0, -1)
    last = sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    return offset * width, (offset + last + 1) * width - 1


@dataclass(eq=False, slots=True)
class Call:
    """Describe one computing call; tensors in `args` and `kwargs` are Specs.

    `reads`: the tensors among the arguments; `written`: those that the call changes; `flags`: of
    its results, as `outputs` known once it has run.
    """

    index: int
    func: Any
    rule: OperatorRule
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    place: SourcePlace
    reads: tuple[Spec, ...]
    written: tuple[Spec, ...]
    flags: int = 0
    outputs: tuple[Spec, ...] = ()


@dataclass(eq=False)
class Tape:
    """Hold what one run did.

    `functions`: of all dispatched calls, views among them; `positions`: of each computing call
    among these. `initial`: values of the storages that no call made; `origins`: where each
    storage's values come from; `inputs`, `result`: what the network took and returned, in order.
    `fixed`: copies of what weighted sums read beside data, as it was when first read.
    """

    random_state: Tensor
    generators: dict[Any, Tensor]
    calls: list[Call] = field(default_factory=list)
    functions: list[Any] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    initial: dict[int, Tensor] = field(default_factory=dict)
    origins: list[int] = field(default_factory=list)
    inputs: list[Spec] = field(default_factory=list)
    result: list[Spec] = field(default_factory=list)
    fixed: dict[int, Tensor] = field(default_factory=dict)

    @cached_property
    def written(self) -> set[int]:
        """Return the storages that a call changes in place."""
        return {spec.storage for call in self.calls for spec in call.written}

    @cached_property
    def _twins(self) -> dict[int, int]:
        """By storage that a call made of constants, the first that the same call made of them."""
        first: dict[object, int] = {}
        found: dict[int, int] = {}
        for call in self.calls:
            if call.flags & (INPUT | RANDOM) or call.rule.writes or call.rule.is_random:
                continue
            args = tuple(self._recipe(each, found) for each in call.args)
            named = tuple((key, self._recipe(each, found)) for key, each in call.kwargs.items())
            for place, spec in enumerate(call.outputs):
                if spec.storage in self.written:
                    continue
                recipe = (str(call.func), repr(args), repr(named), place)
                found[spec.storage] = first.setdefault(recipe, spec.storage)
        return found

    def _recipe(self, value: Any, known: dict[int, int]) -> Any:
        if isinstance(value, Spec):
            return value._replace(storage=known.get(value.storage, value.storage))
        if isinstance(value, list | tuple):
            return tuple(self._recipe(each, known) for each in value)
        return value

    def weights(self, call: Call) -> tuple[Spec, ...]:
        """Return the factors of a weighted sum that no input reaches, less zeros and the like that
        the run itself made; equal ones, made at each timestep of the same constants, as masked
        weights are, are one.
        """
        specs = [call.args[at] for at in call.rule.factors]
        own = [s for s in specs if self.origins[s.storage] and not self.origins[s.storage] & INPUT]
        return tuple(s._replace(storage=self._twins.get(s.storage, s.storage)) for s in own)

    def repeats(self, call: Call, operands: Iterable[int]) -> bool:
        """Return whether a weighted sum has the recorded result once its operands are the recorded
        ones: what else it reads are tensors that the network holds, and that no call changes.
        """
        data = {call.args[at] for at in operands}
        others = [spec for spec in call.reads if spec not in data]
        return (
            not call.rule.writes
            and len(call.outputs) == 1
            and all(s.storage in self.fixed and s.storage not in self.written for s in others)
        )

    @cached_property
    def makers(self) -> dict[int, Call]:
        """Return the call that made each storage."""
        return {spec.storage: call for call in reversed(self.calls) for spec in call.outputs}

    @cached_property
    def frees(self) -> dict[int, list[int]]:
        """Return by call the storages that no later one needs."""
        last: dict[int, int] = {}
        for call in self.calls:
            for spec in (*call.reads, *call.outputs):
                last[spec.storage] = call.index
        kept = {spec.storage for spec in (*self.inputs, *self.result)}
        found: dict[int, list[int]] = {}
        for storage, index in last.items():
            if storage not in kept:
                found.setdefault(index, []).append(storage)
        return found


def specs_in(values: Any) -> Iterator[Spec]:
    """Yield all Specs in arguments, whose lists are at most one deep."""
    for value in values:
        if isinstance(value, Spec):
            yield value
        elif isinstance(value, list | tuple) and not isinstance(value, torch.Size):
            yield from (each for each in value if isinstance(each, Spec))


def tensors_in(value: Any) -> list[Tensor]:
    """Return all tensors in what a call or a network returned: tuples, lists, dicts, attributes."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, list | tuple):
        return [tensor for each in value for tensor in tensors_in(each)]
    if isinstance(value, dict):
        return [tensor for each in value.values() for tensor in tensors_in(each)]
    return [t for each in vars(value).values() for t in tensors_in(each)] if _is_data(value) else []


def _is_data(value: Any) -> bool:
    return hasattr(value, "__dataclass_fields__")
