"""The recorder: a dispatch mode that writes the tape of a network's first run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from models.capturing.marks import Mark, Marks
from models.capturing.operands import Coded, encode
from models.capturing.places import RowPlaces
from models.capturing.refusals import CaptureError, SourcePlace
from models.capturing.replaying import TapedProduct
from models.capturing.rules import BATCH_NORMS, SHAPES_ONLY, VECTOR_SUMS, OperatorRule
from models.capturing.running import DispatchMode, modules_of
from models.capturing.tape import (
    BEHIND,
    FOUND,
    INPUT,
    PARAMETER,
    RANDOM,
    Call,
    Spec,
    Tape,
    specs_in,
    tensors_in,
)

_PLAIN = frozenset((int, float, bool, type(None), str, torch.dtype, torch.device, torch.layout))


class Entered(NamedTuple):
    """Describe a weighted sum that data entered: which call, which factors are data, their numbers.

    `blank`: no data, but zeros that the run itself made, as a recurrent layer's first input.
    `operands`: by the factor's position; `keys`: the same value has the same key.
    """

    call: int
    operands: dict[int, Coded]
    keys: dict[int, tuple[Any, ...]]
    blank: bool


class TapeRecorder(DispatchMode):
    """Write down every call of one run, and pack what enters each weighted sum before it runs."""

    def __init__(self, places: RowPlaces, known: Iterable[Tensor], inputs: list[Tensor]) -> None:
        """`known`: the network's parameters, buffers and other tensors; `inputs`: its input."""
        super().__init__()
        self.places = places
        self.tape = Tape(random_state=self.random_state, generators=self.generators)
        self.entered: list[Entered] = []
        self.marks = Marks()
        self.products: dict[int, TapedProduct] = {}
        self.flops = 0
        self.refusal: CaptureError | None = None
        self._numbers: dict[int, int] = {}
        self._references: list[Any] = []
        self._versions: list[int] = []
        self._random_places: dict[int, SourcePlace] = {}
        self._coded: dict[tuple[Any, ...], Coded] = {}
        self._known = {_identity(each.untyped_storage()) for each in known if _has_storage(each)}
        self.tape.inputs += map(self._input, inputs)

    def mark(self, name: str, alive: Tensor, tokens: Any) -> None:
        """Note a mask that the network declares."""
        self.marks.append(Mark(name, len(self.tape.calls), tokens, self._spec(alive)))

    def finish(self, result: list[Tensor]) -> Tape:
        """Return the tape; `result`: the tensors that the network returned."""
        self.tape.result += [self._spec(tensor) for tensor in result if _has_storage(tensor)]
        return self.tape

    def dispatched(
        self, func: Any, rule: OperatorRule, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Write an operation down and run it."""
        self.tape.functions.append(func)
        if rule.is_view or rule.group == "peek":
            return func(*args, **kwargs)
        try:
            made = self._record(func, rule, args, kwargs)
        except CaptureError as error:
            self.refusal = error  # TorchScript makes another error of it
            raise
        # FlopCounterMode would add these same formulas up, at the price of a second mode.
        if rule.flops is not None:
            self.flops += rule.flops(*args, **kwargs, out_val=made)
        elif rule.name in VECTOR_SUMS:  # torch has no formula of these
            self.flops += 2 * args[rule.factors[0]].numel()
        return made

    def _record(
        self, func: Any, rule: OperatorRule, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        place = self.places.here()
        reads: list[Spec] = []
        listed = tuple([self._listed(value, place, reads) for value in args])
        named = {key: self._listed(value, place, reads) for key, value in kwargs.items()}
        changed = [named.get(key) if isinstance(key, str) else listed[key] for key in rule.writes]
        written = tuple(specs_in(changed))
        tape = self.tape
        call = Call(len(tape.calls), func, rule, listed, named, place, tuple(reads), written)
        tape.positions.append(len(tape.functions) - 1)
        flags = self._flags(call)
        if not rule.group and flags & INPUT:
            raise _unknown(place, func)
        self._refuse(call, flags)
        entered = None
        if rule.group == "matrix":
            entered = self._enter(call, args)
            flags |= BEHIND * bool(flags & INPUT)
        for spec in written:
            self._keep(spec)
        made = func(*args, **kwargs)
        if entered is not None:
            self.products[call.index] = product_of(made, args, entered.operands)
        call.flags = flags
        call.outputs = tuple(
            [self._spec(each, flags) for each in tensors_in(made) if _has_storage(each)]
        )
        for spec in written:
            self._versions[spec.storage] += 1
            tape.origins[spec.storage] |= flags
        if flags & RANDOM:
            for spec in (*call.outputs, *written):
                self._random_places.setdefault(spec.storage, place)
        tape.calls.append(call)
        return made

    def _flags(self, call: Call) -> int:
        """Where the results come from."""
        flags = RANDOM if call.rule.is_random else 0
        if call.rule.name not in SHAPES_ONLY:
            for spec in call.reads:
                flags |= self.tape.origins[spec.storage]
        return flags

    def _refuse(self, call: Call, flags: int) -> None:
        """Randomness behind the first weighted sum, and statistics of the batch."""
        position = BATCH_NORMS.get(call.rule.name)
        if position is not None and flags & INPUT and call.args[position]:
            raise CaptureError(
                call.place,
                "batch-norm takes the statistics of the batch, so an image's spikes depend on the "
                "others",
                "call eval(), and keep track_running_stats",
            )
        if not flags & RANDOM and not call.rule.is_random:
            return
        origins = self.tape.origins
        behind = any(origins[spec.storage] & BEHIND for spec in call.reads)
        joins = [s for s in call.reads if origins[s.storage] & (RANDOM | BEHIND) == RANDOM]
        if behind and (call.rule.is_random or (joins and call.rule.group != "matrix")):
            place = next((self._random_places[s.storage] for s in joins), call.place)
            raise CaptureError(
                place,
                f"random numbers enter behind the first layer ({call.rule.name}): dropout is on "
                "although the network is in eval()",
                "pass training=self.training",
            )

    def _enter(self, call: Call, args: tuple[Any, ...]) -> Entered | None:
        """Pack the factors that are data; None where there are none."""
        tape, positions = self.tape, call.rule.factors
        origins = {at: tape.origins[call.args[at].storage] for at in positions}
        data = [at for at in positions if origins[at] & INPUT]
        blank = False
        if not data:
            strange = [at for at in positions if origins[at] & FOUND]
            weights = any(origins[at] & PARAMETER for at in positions)
            if strange and weights:
                raise CaptureError(
                    call.place,
                    "reads a tensor that no recorded operation made (numpy? another thread?)",
                    "compute it with torch, or hand it in as an input",
                )
            silent = [at for at in positions if not origins[at] and not args[at].any()]
            if not silent or not weights:
                return None
            data, blank = silent, True
        elif any(origins[at] & RANDOM and not origins[at] & INPUT for at in positions):
            raise CaptureError(call.place, "its weights are random", "call eval()")
        operands, keys = {}, {}
        for at in data:
            spec = call.args[at]
            key = (spec, self._versions[spec.storage])
            if key not in self._coded:
                coded = encode(args[at])
                if coded is None:
                    raise CaptureError(
                        call.place, "reads NaN or infinity", "check the weights and the input"
                    )
                self._coded[key] = coded
            operands[at], keys[at] = self._coded[key], (spec.storage, key[1])
        for spec in call.reads:
            number, found = spec.storage, spec.storage in tape.initial
            if found and number not in tape.fixed and not tape.origins[number] & INPUT:
                tape.fixed[number] = tape.initial[number].clone()
        self.entered.append(Entered(call.index, operands, keys, blank))
        return self.entered[-1]

    def _listed(self, value: Any, place: SourcePlace, reads: list[Spec]) -> Any:
        """An argument as the tape has it; its tensors are added to `reads`."""
        if type(value) in _PLAIN:  # ahead of isinstance, which a Tensor's class answers in Python
            return value
        if isinstance(value, Tensor):
            if not _has_storage(value):
                kind = str(value.layout).removeprefix("torch.")
                raise CaptureError(place, f"a tensor of layout {kind}", "make it dense")
            reads.append(self._spec(value))
            return reads[-1]
        if isinstance(value, list | tuple):
            return tuple([self._listed(each, place, reads) for each in value])
        if isinstance(value, torch.Generator):
            self.keep_generator(value)
        return value

    def _spec(self, tensor: Tensor, flags: int | None = None) -> Spec:
        """Number a tensor's storage; `flags`: of one that a call made, else it was found."""
        storage = tensor.untyped_storage()
        address = _identity(storage)
        number = self._numbers.get(address)
        if number is None:
            number = self._numbers[address] = len(self.tape.origins)
            # The weak reference keeps the address from being given to another storage.
            self._references.append(StorageWeakRef(storage))
            self._versions.append(0)
            if flags is None:
                flags = PARAMETER if address in self._known else FOUND
                self.tape.initial[number] = torch.empty(0, dtype=tensor.dtype).set_(storage)
            self.tape.origins.append(flags)
        size, stride = tuple(tensor.shape), tensor.stride()
        return Spec(number, tensor.dtype, size, stride, tensor.storage_offset())

    def _input(self, tensor: Tensor) -> Spec:
        spec = self._spec(tensor)
        self.tape.origins[spec.storage] = INPUT
        self._keep(spec)
        return spec

    def _keep(self, spec: Spec) -> None:
        """Copy a storage that the run found, before the run changes it for the first time."""
        initial, number = self.tape.initial, spec.storage
        if self._versions[number] == 0 and number in initial:
            initial[number] = initial[number].clone()


def product_of(made: Tensor, args: tuple[Any, ...], operands: dict[int, Coded]) -> TapedProduct:
    """Copy a weighted sum's result, before anything can change it."""
    inexact = {at: args[at].clone() for at, coded in operands.items() if coded.kind == "integer"}
    return TapedProduct(made.clone(), inexact)


def _identity(storage: torch.UntypedStorage) -> int:
    """A storage's own number: all empty ones share a data_ptr(), and a weak reference is slow."""
    return int(storage._cdata)


def _has_storage(tensor: Tensor) -> bool:
    return tensor.layout is torch.strided and not tensor.is_quantized


def _unknown(place: SourcePlace, func: Any) -> CaptureError:
    name = func.name().partition(".")[0]
    if not name.startswith("aten::"):
        return CaptureError(
            place,
            f"{name} is one kernel to PyTorch, which hides its operations",
            'write it in operations of PyTorch, or ask its library for them (backend="torch")',
        )
    if "sparse" in name:
        return CaptureError(place, f"{name} makes a sparse tensor", "make it dense")
    return CaptureError(place, f"{name} is an operation that captures do not know", "replace it")


def known_tensors(network: Any) -> list[Tensor]:
    """Return the tensors that a network holds: parameters, buffers and plain attributes."""
    found: list[Tensor] = []
    for root in modules_of(network):
        found += [*root.parameters(), *root.buffers()]
        for module in root.modules():
            found += [value for value in vars(module).values() if isinstance(value, Tensor)]
    return found
