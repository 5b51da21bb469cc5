"""Checks of the operations that a manifest lists, one against what those before it made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from simulator.trace_format.kinds import ANY, KINDS, Flow, Size, model_of
from simulator.trace_format.problems import Broken, Problems, one_of
from simulator.trace_format.schema import (
    ListedOperation,
    ModelSection,
    OperationSpec,
    TensorSpec,
)


class _Value(NamedTuple):
    """What is known of a stored tensor or of an operation's output; planes 0: real-valued."""

    timesteps: int
    rows: int
    channels: int | None
    grid: tuple[int, int]
    planes: int


class OperationsWalk:
    """Walk the operations in order and keep what is known of every value made so far.

    None is a value of which nothing is known, as its entry breaks a rule.
    """

    def __init__(
        self,
        problems: Problems,
        tensors: dict[str, TensorSpec | None],
        model: ModelSection | None,
        stages: Mapping[str, str],
    ) -> None:
        self.problems = problems
        self.tensors = tensors
        self.model = model
        self.stages = stages
        self.values: dict[str, _Value | None] = {}
        self.names: set[str] = set()
        self.produced: set[str | None] = set()

    def check(self, items: list[Any]) -> list[OperationSpec]:
        """Return the operations that keep their own rules."""
        operations = []
        self.produced = {text_in(item, "output") for item in items}
        for name, tensor in self.tensors.items():
            if name not in self.produced:
                self.values[name] = _stored(tensor)
        for index, item in enumerate(items):
            place = f"operations[{index}]"
            if operation := self._parsed(place, item):
                for field, *problem in self._broken(operation):
                    self.problems.add(f"{place} ({operation.name}).{field}", *problem)
                self._produce(place, operation)
                operations.append(operation)
            elif output := text_in(item, "output"):
                self.values[output] = None
        return operations

    def _parsed(self, place: str, item: object) -> OperationSpec | None:
        """Return an entry as an operation, None where it breaks the rules of its fields."""
        listed = self.problems.parsed(place, ListedOperation, item)
        if listed is None:
            return None
        before = self.problems.count
        for key, known in (("kind", KINDS), ("stage", self.stages)):
            if getattr(listed, key) not in known:
                self.problems.add(f"{place}.{key}", getattr(listed, key), one_of(known))
        if self.problems.count > before:
            return None
        shapes, parameters = (
            self.problems.parsed(f"{place}.{key}", model_of(listed.kind, key), getattr(listed, key))
            for key in ("shapes", "parameters")
        )
        if shapes is None or parameters is None:
            return None
        sizes = {key: getattr(shapes, key) for key in listed.shapes}  # lists became tuples
        role = self.stages[listed.stage]
        return OperationSpec(**(vars(listed) | {"shapes": sizes, "role": role}))

    def _broken(self, operation: OperationSpec) -> Iterator[Broken]:
        """Yield what breaks a rule: field, value and rule of each."""
        kind = KINDS[operation.kind]
        flow = kind.flow(operation.shapes)
        if operation.name in self.names:
            yield "name", operation.name, "a name that no earlier one has"
        self.names.add(operation.name)
        for field, value, rule in kind.check(operation.shapes):
            yield f"shapes.{field}", value, rule
        yield from self._place_and_bits(operation)
        yield from self._input(operation, "input", flow.input, flow)
        yield from self._second(operation, flow)
        for name in operation.more_inputs:
            yield from self._absent(operation, "more_inputs", name)
        if self.model:
            masked = flow.input if kind.sums_tokens else flow.output
            yield from of_model(operation.timesteps, masked[0], operation.mask, self.model)

    def _place_and_bits(self, operation: OperationSpec) -> Iterator[Broken]:
        """Stage and block agree; weights have bits where there are weights."""
        inside, block = operation.role in ("blocks", "halting"), operation.block
        if not inside and block is not None:
            yield "block", block, f"null in stage {operation.stage!r}"
        if inside and self.model and (block is None or block >= self.model.blocks):
            last = self.model.blocks - 1
            yield "block", block, f"an integer from 0 to {last} in stage {operation.stage!r}"
        weighted = KINDS[operation.kind].weighted
        if weighted != (operation.weight_bits > 0):
            rule = f"{'at least 1' if weighted else '0'} for kind {operation.kind!r}"
            yield "weight_bits", operation.weight_bits, rule

    def _second(self, operation: OperationSpec, flow: Flow) -> Iterator[Broken]:
        """A second input is there exactly where the kind has one."""
        second = KINDS[operation.kind].second
        given = operation.second_input is not None
        if second is not None and second != given:
            rule = f"{'a name' if second else 'null'} for kind {operation.kind!r}"
            yield "second_input", operation.second_input, rule
        elif given and flow.second:
            yield from self._input(operation, "second_input", flow.second, flow)

    def _input(
        self, operation: OperationSpec, field: str, size: Size, flow: Flow
    ) -> Iterator[Broken]:
        """One input exists by now, with the size, timesteps and bits that are taken."""
        name = str(getattr(operation, field))
        yield from self._absent(operation, field, name)
        value = self.values.get(name)
        if value is None:
            return
        if size != ANY:
            if value.rows != size[0] or size[1] not in (None, value.channels):
                channels = "any number of" if size[1] is None else size[1]
                rule = f"{size[0]} rows of {channels} channels, by the shapes of the operation"
                yield field, f"{name}: {value.rows} rows of {value.channels} channels", rule
            elif flow.in_grid and value.grid != flow.in_grid:
                yield "shapes.in_grid", flow.in_grid, f"that of {name}, {value.grid}"
            # The head may run once on the mean over timesteps.
            after_mean = operation.kind == "head" and operation.timesteps == 1
            if value.timesteps not in (1, operation.timesteps) and not after_mean:
                rule = f"1 or the timesteps of its input {name}, {value.timesteps}"
                yield "timesteps", operation.timesteps, rule
        if field == "input" and operation.input_bits != value.planes:
            rule = f"the planes of its input {name}, {value.planes} (0: real-valued)"
            yield "input_bits", operation.input_bits, rule

    def _absent(self, operation: OperationSpec, field: str, name: str) -> Iterator[Broken]:
        """An input is there by now; a delayed one may be made later."""
        known = self.produced if operation.parameters.get("delayed") else self.values
        if name not in known and name not in self.values:
            rule = "a stored tensor or the output of an earlier operation"
            yield field, name, rule, self.values

    def _produce(self, place: str, operation: OperationSpec) -> None:
        """The output: a value from now on; as the tensor list says, if it is listed there."""
        name, flow = operation.output, KINDS[operation.kind].flow(operation.shapes)
        if name in self.values:
            rule = "a name that no earlier operation gave"
            self.problems.add(f"{place} ({operation.name}).output", name, rule)
        first = self.values.get(operation.input)
        once = operation.kind in ("integrate", "halting", "head")  # these sum over the timesteps
        grid = flow.out_grid or (first.grid if first else (0, 0))
        if flow.output[0] == 1:
            grid = (1, 1)
        steps = 1 if once else operation.timesteps
        result = _Value(steps, *flow.output, grid, 0)
        tensor = self.tensors.get(name)
        self.values[name] = _stored(tensor) if name in self.tensors else result
        if tensor is None:
            return
        found = (tensor.timesteps, tensor.rows, tensor.channels)
        if found != result[:3]:
            rule = f"{result[:3]} by the shapes of {operation.name}"
            self.problems.add(f"tensor {name}: timesteps, rows, channels", found, rule)
        if operation.kind == "lif" and tensor.kind != "spikes":
            self.problems.add(f"tensor {name}: kind", tensor.kind, f"spikes, from {operation.name}")
        if operation.mask is not None and tensor.mask != operation.mask:
            rule = f"that of {operation.name}, {operation.mask!r}, which leaves out halted rows"
            self.problems.add(f"tensor {name}: mask", tensor.mask, rule)


def of_model(timesteps: int, rows: int, mask: str | None, model: ModelSection) -> Iterator[Broken]:
    """Yield timesteps and a mask that are not those of the model and of a block."""
    if timesteps not in (1, model.timesteps):
        yield "timesteps", timesteps, f"1 or the timesteps of the model, {model.timesteps}"
    if mask is None:
        return
    if int(mask) >= model.blocks:
        yield "mask", mask, f"the number of a block, at most {model.blocks - 1}"
    if (timesteps, rows) != (model.timesteps, model.tokens):
        rule = (
            f"null: its timesteps and rows {(timesteps, rows)} are not those of the model's masks, "
            f"{(model.timesteps, model.tokens)}"
        )
        yield "mask", mask, rule


def _stored(tensor: TensorSpec | None) -> _Value | None:
    if tensor is None:
        return None
    return _Value(tensor.timesteps, tensor.rows, tensor.channels, tensor.grid, tensor.planes)


def text_in(item: object, key: str) -> str | None:
    """Return the text in a field of an entry that may break every rule."""
    value = item.get(key) if isinstance(item, dict) else None
    return value if isinstance(value, str) else None
