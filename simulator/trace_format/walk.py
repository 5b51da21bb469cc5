"""Checks of the operations that a manifest lists, one against what those before it made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from simulator.trace_format.kinds import ANY, KINDS, OPERATION, OPTIONAL, Flow, Size
from simulator.trace_format.schema import Problems, one_of
from simulator.trace_format.specs import OperationSpec, TensorSpec


class _Value(NamedTuple):
    """What is known of a stored tensor or of an operation's output; planes 0: real-valued."""

    timesteps: int
    rows: int
    channels: int | None
    grid: tuple[int, int]
    planes: int


class OperationsWalk:
    """Walks the operations in order and keeps what is known of every value that exists so far.

    None is a value of which nothing is known, as its entry breaks a rule.
    """

    def __init__(
        self,
        problems: Problems,
        tensors: dict[str, TensorSpec | None],
        model: dict[str, Any] | None,
        stages: Mapping[str, str],
    ) -> None:
        self.problems = problems
        self.tensors = tensors
        self.model = model
        self.stages = stages
        self.rules = {**OPERATION, "stage": one_of(stages)}
        self.values: dict[str, _Value | None] = {}
        self.names: set[str] = set()
        self.produced: set[str | None] = set()

    def check(self, items: list[Any]) -> list[OperationSpec]:
        """Return the operations that keep their own rules."""
        operations = []
        self.produced = {text_in(item, "output") for item in items if isinstance(item, dict)}
        for name, tensor in self.tensors.items():
            if name not in self.produced:
                self.values[name] = _stored(tensor)
        for index, item in enumerate(items):
            if not isinstance(item, dict):  # reported with the list
                continue
            place = f"operations[{index}]"
            if not self._entire(place, item):
                if output := text_in(item, "output"):
                    self.values[output] = None
                continue
            shapes = {k: tuple(v) if isinstance(v, list) else v for k, v in item["shapes"].items()}
            role = self.stages[item["stage"]]
            more = tuple(item.get("more_inputs", ()))
            operation = OperationSpec(
                **{**item, "shapes": shapes, "role": role, "more_inputs": more}
            )
            self._check(f"{place} ({operation.name})", operation)
            operations.append(operation)
        return operations

    def _entire(self, place: str, item: dict[str, Any]) -> bool:
        """Whether an entry keeps the rules of its fields."""
        if not self.problems.fields(place, item, self.rules, optional=OPTIONAL):
            return False
        kind = KINDS[item["kind"]]
        shapes = self.problems.fields(f"{place}.shapes", item["shapes"], kind.shapes)
        parameters = self.problems.fields(
            f"{place}.parameters", item["parameters"], kind.parameters, closed=False
        )
        return shapes and parameters

    def _check(self, place: str, operation: OperationSpec) -> None:
        """One operation against its inputs, its output and the model."""
        if operation.name in self.names:
            self.problems.add(f"{place}.name", operation.name, "a name that no earlier one has")
        self.names.add(operation.name)
        flow = KINDS[operation.kind].flow(operation.shapes)
        self._check_windows(place, operation)
        self._check_gate(place, operation)
        self._check_place_and_bits(place, operation)
        first = self._check_input(place, operation, "input", flow.input, flow)
        self._check_second(place, operation, flow)
        for name in operation.more_inputs:
            self._check_exists(place, operation, "more_inputs", name)
        if self.model:
            check_steps(self.problems, place, operation.timesteps, self.model)
            masked = flow.input if KINDS[operation.kind].sums_tokens else flow.output
            size = (operation.timesteps, masked[0])
            check_mask(self.problems, place, operation.mask, size, self.model)
        self._produce(place, operation, flow, first)

    def _check_windows(self, place: str, operation: OperationSpec) -> None:
        """The grid that a window leaves, for convolutions and pools."""
        shapes: Mapping[str, Any] = operation.shapes
        if "kernel" not in shapes:
            return
        if operation.kind == "convolution":
            self._check_convolution(place, shapes)
            return
        axes = zip(
            *(shapes[key] for key in ("in_grid", "padding", "kernel", "stride")), strict=True
        )
        grid = [(size + 2 * padding - kernel) // step + 1 for size, padding, kernel, step in axes]
        if list(shapes["out_grid"]) != grid:
            rule = f"{grid}, (in_grid + 2 padding - kernel) // stride + 1"
            self.problems.add(f"{place}.shapes.out_grid", shapes["out_grid"], rule)

    def _check_convolution(self, place: str, shapes: Mapping[str, Any]) -> None:
        """Axes, groups and the grid that a window of any number of axes leaves."""
        names = ("kernel", "stride", "padding", "dilation", "in_grid", "out_grid")
        axes = len(shapes["kernel"])
        for key in names:
            if len(shapes[key]) != axes:
                rule = f"a list of {axes}, as the kernel is"
                self.problems.add(f"{place}.shapes.{key}", list(shapes[key]), rule)
                return
        for key in ("in_channels", "out_channels"):
            if shapes[key] % shapes["groups"]:
                rule = f"a multiple of its groups, {shapes['groups']}"
                self.problems.add(f"{place}.shapes.{key}", shapes[key], rule)
        for kernel, step, pad, dilation, before, after in zip(
            *(shapes[key] for key in names), strict=True
        ):
            reach = dilation * (kernel - 1) + 1
            least = (before + 2 * pad - reach) // step + 1
            most = least
            if shapes["transposed"]:
                least = (before - 1) * step - 2 * pad + reach
                most = least + max(step, dilation) - 1
            if not least <= after <= most:
                rule = f"from {least} to {most} for in_grid {before}, by the window"
                self.problems.add(f"{place}.shapes.out_grid", after, rule)

    def _check_gate(self, place: str, operation: OperationSpec) -> None:
        """A gate's rows and channels serve those of what they gate evenly."""
        if operation.kind != "spike_gate":
            return
        shapes: Mapping[str, Any] = operation.shapes
        if shapes["gate_rows"] not in (1, shapes["rows"]):
            rule = f"1 or its rows, {shapes['rows']}"
            self.problems.add(f"{place}.shapes.gate_rows", shapes["gate_rows"], rule)
        if shapes["channels"] % shapes["gate_channels"]:
            rule = f"a divisor of its channels, {shapes['channels']}"
            self.problems.add(f"{place}.shapes.gate_channels", shapes["gate_channels"], rule)

    def _check_place_and_bits(self, place: str, operation: OperationSpec) -> None:
        """Stage and block agree; weights have bits where there are weights."""
        inside = operation.role in ("blocks", "halting")
        if not inside and operation.block is not None:
            rule = f"null in stage {operation.stage!r}"
            self.problems.add(f"{place}.block", operation.block, rule)
        if inside and self.model and not _below(operation.block, self.model["blocks"]):
            rule = f"an integer from 0 to {self.model['blocks'] - 1} in stage {operation.stage!r}"
            self.problems.add(f"{place}.block", operation.block, rule)
        weighted = KINDS[operation.kind].weighted
        if weighted != (operation.weight_bits > 0):
            rule = f"{'at least 1' if weighted else '0'} for kind {operation.kind!r}"
            self.problems.add(f"{place}.weight_bits", operation.weight_bits, rule)

    def _check_second(self, place: str, operation: OperationSpec, flow: Flow) -> None:
        """A second input is there exactly where the kind has one."""
        second = KINDS[operation.kind].second
        given = operation.second_input is not None
        if second is not None and second != given:
            rule = f"{'a name' if second else 'null'} for kind {operation.kind!r}"
            self.problems.add(f"{place}.second_input", operation.second_input, rule)
        elif given and flow.second:
            self._check_input(place, operation, "second_input", flow.second, flow)

    def _check_input(
        self, place: str, operation: OperationSpec, field: str, size: Size, flow: Flow
    ) -> _Value | None:
        """One input: it exists by now, with the size, timesteps and bits that are taken."""
        name = str(getattr(operation, field))
        self._check_exists(place, operation, field, name)
        value = self.values.get(name)
        if value is None:
            return None
        if size == ANY:
            self._check_input_bits(place, operation, field, value)
            return value
        found = f"{name}: {value.rows} rows of {value.channels} channels"
        if value.rows != size[0] or size[1] not in (None, value.channels):
            channels = "any number of" if size[1] is None else size[1]
            rule = f"{size[0]} rows of {channels} channels, by the shapes of the operation"
            self.problems.add(f"{place}.{field}", found, rule)
        elif flow.in_grid and value.grid != flow.in_grid:
            self.problems.add(
                f"{place}.shapes.in_grid", flow.in_grid, f"that of {name}, {value.grid}"
            )
        # The head may run once on the mean over timesteps.
        after_mean = operation.kind == "head" and operation.timesteps == 1
        if value.timesteps not in (1, operation.timesteps) and not after_mean:
            rule = f"1 or the timesteps of its input {name}, {value.timesteps}"
            self.problems.add(f"{place}.timesteps", operation.timesteps, rule)
        self._check_input_bits(place, operation, field, value)
        return value

    def _check_exists(self, place: str, operation: OperationSpec, field: str, name: str) -> None:
        """An input is there by now; a delayed one may be made later."""
        known = self.produced if operation.parameters.get("delayed") else self.values
        if name not in known and name not in self.values:
            rule = "a stored tensor or the output of an earlier operation"
            self.problems.add(f"{place}.{field}", name, rule, self.values)

    def _check_input_bits(
        self, place: str, operation: OperationSpec, field: str, value: _Value
    ) -> None:
        if field == "input" and operation.input_bits != value.planes:
            rule = f"the planes of its input {operation.input}, {value.planes} (0: real-valued)"
            self.problems.add(f"{place}.input_bits", operation.input_bits, rule)

    def _produce(
        self, place: str, operation: OperationSpec, flow: Flow, first: _Value | None
    ) -> None:
        """The output: a value from now on; as the tensor list says, if it is listed there."""
        name = operation.output
        if name in self.values:
            self.problems.add(f"{place}.output", name, "a name that no earlier operation gave")
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


def check_steps(problems: Problems, place: str, timesteps: int, model: dict[str, Any]) -> None:
    """Everything runs once or at every timestep."""
    if timesteps not in (1, model["timesteps"]):
        rule = f"1 or the timesteps of the model, {model['timesteps']}"
        problems.add(f"{place}.timesteps", timesteps, rule)


def check_mask(
    problems: Problems, place: str, mask: str | None, size: tuple[int, int], model: dict[str, Any]
) -> None:
    """A mask is that of an existing block, and of what has the (timesteps, rows) of a mask."""
    if mask is None:
        return
    if int(mask) >= model["blocks"]:
        rule = f"the number of a block, at most {model['blocks'] - 1}"
        problems.add(f"{place}.mask", mask, rule)
    if size != (model["timesteps"], model["tokens"]):
        rule = (
            f"null: its timesteps and rows {size} are not those of the model's masks, "
            f"{(model['timesteps'], model['tokens'])}"
        )
        problems.add(f"{place}.mask", mask, rule)


def _stored(tensor: TensorSpec | None) -> _Value | None:
    if tensor is None:
        return None
    return _Value(tensor.timesteps, tensor.rows, tensor.channels, tensor.grid, tensor.planes)


def _below(block: int | None, blocks: int) -> bool:
    return block is not None and block < blocks


def text_in(item: dict[str, Any], key: str) -> str | None:
    """Return the text in a field of an entry that may break every rule."""
    value = item.get(key)
    return value if isinstance(value, str) else None
