"""Checks of a manifest: every field by the schema's tables, then one part against another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from simulator.trace_format.kinds import ANY, KINDS, OPERATION, OPTIONAL, Flow, Size
from simulator.trace_format.layout import Layout
from simulator.trace_format.schema import (
    DATASET,
    HALTING,
    MANIFEST,
    MANIFEST_OPTIONAL,
    MODEL,
    MODEL_OPTIONAL,
    TENSOR,
    TENSOR_OPTIONAL,
    WEIGHTS,
    Problems,
    one_of,
)
from simulator.trace_format.specs import (
    FIRST_ROLES,
    IMAGE_LIMIT_BYTES,
    MEMBER_LIMIT,
    SCHEMA,
    OperationSpec,
    TensorSpec,
    content_hash,
    implied_stages,
    packed_bytes,
)
from simulator.trace_format.stages import STAGES, check_stages


def check_manifest(manifest: dict[str, Any], source: str) -> Layout:
    """The layout a parsed manifest describes; raises one TraceError, a line for each problem."""
    problems = Problems(source)
    newest = manifest["schema"] == SCHEMA
    rules = MANIFEST | (STAGES if newest else {})
    problems.fields("", manifest, rules, optional=MANIFEST_OPTIONAL)
    sections: dict[str, dict[str, Any] | None] = {}
    for name, rules in (("model", MODEL), ("dataset", DATASET), ("weights", WEIGHTS)):
        section = manifest.get(name)
        # Open: what else these sections tell is provenance, and welcome.
        known = MODEL_OPTIONAL if name == "model" else ()
        sound = isinstance(section, dict) and problems.fields(
            name, section, rules, optional=known, closed=False
        )
        sections[name] = section if sound else None
    model = sections["model"]
    if model and not problems.fields("model.halting", model["halting"], HALTING, closed=False):
        model = None
    digests = _items(manifest, "image_sha256")
    _check_sections(problems, model, sections["dataset"], sections["weights"], len(digests))
    _check_image_timesteps(problems, manifest, model, len(digests))
    tensors = _tensors(problems, _items(manifest, "tensors"), model, len(digests))
    stages = check_stages(problems, manifest) if newest else implied_stages(manifest)
    walk = _Operations(problems, tensors, model, (stages if newest else {}) or FIRST_ROLES | stages)
    operations = walk.check(_items(manifest, "operations"))
    if not problems.count and content_hash(manifest) != manifest["content_hash"]:
        rule = f"the hash of the rest of the manifest, {content_hash(manifest)}"
        problems.add("content_hash", manifest["content_hash"], rule)
    problems.raise_any()
    assert model is not None  # its absence is a problem
    classes = [item.shapes["classes"] for item in operations if item.kind == "head"]
    return Layout(
        tensors={name: tensor for name, tensor in tensors.items() if tensor},
        operations=tuple(operations),
        stages=stages,
        image_sha256=tuple(digests),
        timesteps=model["timesteps"],
        blocks=model["blocks"],
        tokens=model["tokens"],
        granularity=model["halting"]["granularity"],
        classes=classes[-1] if classes and isinstance(classes[-1], int) else None,
        image_timesteps=tuple(_items(manifest, "image_timesteps")),
    )


def _items(manifest: dict[str, Any], key: str) -> list[Any]:
    """The items of a list, none where there is no list."""
    items = manifest.get(key)
    return items if isinstance(items, list) else []


def _text(item: dict[str, Any], key: str) -> str | None:
    """The text in a field of an entry that may break every rule."""
    value = item.get(key)
    return value if isinstance(value, str) else None


def _check_sections(
    problems: Problems,
    model: dict[str, Any] | None,
    dataset: dict[str, Any] | None,
    weights: dict[str, Any] | None,
    images: int,
) -> None:
    """What model, data set and weights say of one another and of the number of images."""
    if model and math.prod(model["token_grid"]) != model["tokens"]:
        rule = f"height x width of token_grid, {model['token_grid']}"
        problems.add("model.tokens", model["tokens"], rule)
    if dataset and dataset["images"] != images:
        problems.add("dataset.images", dataset["images"], f"the items of image_sha256, {images}")
    if dataset and len(dataset["image_ids"]) != images:
        rule = f"one for each image of image_sha256, {images}"
        problems.add("dataset.image_ids", dataset["image_ids"], rule)
    if weights and weights["accuracy"] is not None and weights["origin"] != "trained":
        rule = f"null, since weights.origin is {weights['origin']!r} and not 'trained'"
        problems.add("weights.accuracy", weights["accuracy"], rule)


def _check_image_timesteps(
    problems: Problems, manifest: dict[str, Any], model: dict[str, Any] | None, images: int
) -> None:
    """Images that leave early take some of the model's timesteps."""
    if "image_timesteps" not in manifest or model is None:
        return
    steps = _items(manifest, "image_timesteps")
    if len(steps) != images:
        rule = f"one for each image of image_sha256, {images}"
        problems.add("image_timesteps", steps, rule)
    if any(type(each) is int and each > model["timesteps"] for each in steps):
        rule = f"at most the timesteps of the model, {model['timesteps']}"
        problems.add("image_timesteps", steps, rule)


def _tensors(
    problems: Problems, items: list[Any], model: dict[str, Any] | None, images: int
) -> dict[str, TensorSpec | None]:
    """The listed tensors by name, None for one that breaks a rule."""
    tensors: dict[str, TensorSpec | None] = {}
    for index, item in enumerate(items):
        if not isinstance(item, dict):  # told with the list
            continue
        place = f"tensors[{index}]"
        name = _text(item, "name")
        if name in tensors:
            problems.add(f"{place}.name", name, "a name that no earlier tensor has")
        spec = None
        if problems.fields(place, item, TENSOR, optional=TENSOR_OPTIONAL):
            fields: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value
                for key, value in item.items()
            }
            spec = TensorSpec(**fields)
            _check_tensor(problems, f"{place} ({name})", spec, model, images)
        if name is not None:
            tensors[name] = spec
    if model:
        _check_size(problems, tensors, model)
    return tensors


def _check_tensor(
    problems: Problems, place: str, tensor: TensorSpec, model: dict[str, Any] | None, images: int
) -> None:
    """One tensor's fields against each other and against the model."""
    if math.prod(tensor.grid) != tensor.rows:
        problems.add(
            f"{place}.rows", tensor.rows, f"height x width of its grid, {list(tensor.grid)}"
        )
    if tensor.kind == "spikes" and tensor.planes != 1:
        problems.add(f"{place}.planes", tensor.planes, "1 for spikes")
    for key in ("scale", "zero_point"):
        value = getattr(tensor, key)
        if isinstance(value, tuple) and len(value) != tensor.channels:
            problems.add(
                f"{place}.{key}", list(value), f"one for each of {tensor.channels} channels"
            )
    values = images * tensor.timesteps * tensor.rows * tensor.channels
    if tensor.nonzero > values:
        problems.add(f"{place}.nonzero", tensor.nonzero, f"at most its {values} values")
    if not tensor.nonzero <= tensor.ones <= tensor.nonzero * tensor.planes:
        rule = (
            f"from nonzero, {tensor.nonzero}, to nonzero x planes, {tensor.nonzero * tensor.planes}"
        )
        problems.add(f"{place}.ones", tensor.ones, rule)
    if model:
        _check_steps(problems, place, tensor.timesteps, model)
        _check_mask(problems, place, tensor.mask, (tensor.timesteps, tensor.rows), model)


def _check_size(
    problems: Problems, tensors: dict[str, TensorSpec | None], model: dict[str, Any]
) -> None:
    """The limits on one image and on the number of members."""
    masks = model["blocks"] * model["timesteps"] * packed_bytes(model["tokens"])
    size = masks + sum(math.prod(tensor.shape) for tensor in tensors.values() if tensor)
    if size > IMAGE_LIMIT_BYTES:
        problems.add("tensors: bytes of one image", size, f"at most {IMAGE_LIMIT_BYTES}")
    members = len(tensors) + model["blocks"] + 3
    if members > MEMBER_LIMIT:
        problems.add("tensors: members of the archive", members, f"at most {MEMBER_LIMIT}")


def _check_steps(problems: Problems, place: str, timesteps: int, model: dict[str, Any]) -> None:
    """Everything runs once or at every timestep."""
    if timesteps not in (1, model["timesteps"]):
        rule = f"1 or the timesteps of the model, {model['timesteps']}"
        problems.add(f"{place}.timesteps", timesteps, rule)


def _check_mask(
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


class _Value(NamedTuple):
    """What is known of a stored tensor or of an operation's output; planes 0: real-valued."""

    timesteps: int
    rows: int
    channels: int | None
    grid: tuple[int, int]
    planes: int


class _Operations:
    """Walks the operations in order and keeps what is known of every value that exists so far.

    None stands for a value of which nothing is known, as its entry breaks a rule.
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
        """The operations that keep their own rules."""
        operations = []
        self.produced = {_text(item, "output") for item in items if isinstance(item, dict)}
        for name, tensor in self.tensors.items():
            if name not in self.produced:
                self.values[name] = _stored(tensor)
        for index, item in enumerate(items):
            if not isinstance(item, dict):  # told with the list
                continue
            place = f"operations[{index}]"
            if not self._entire(place, item):
                if output := _text(item, "output"):
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
            _check_steps(self.problems, place, operation.timesteps, self.model)
            masked = flow.input if KINDS[operation.kind].sums_tokens else flow.output
            size = (operation.timesteps, masked[0])
            _check_mask(self.problems, place, operation.mask, size, self.model)
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


def _stored(tensor: TensorSpec | None) -> _Value | None:
    if tensor is None:
        return None
    return _Value(tensor.timesteps, tensor.rows, tensor.channels, tensor.grid, tensor.planes)


def _below(block: int | None, blocks: int) -> bool:
    return block is not None and block < blocks
