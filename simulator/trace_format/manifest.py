"""Checks of a manifest: every field by the schema, then one part against another."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from simulator.trace_format.layout import Layout
from simulator.trace_format.problems import Broken, Problems
from simulator.trace_format.schema import (
    DatasetSection,
    FirstManifest,
    HaltingSection,
    Manifest,
    ModelSection,
    StagesSection,
    TensorSpec,
    WeightsSection,
    packed_bytes,
)
from simulator.trace_format.specs import (
    FIRST_ROLES,
    IMAGE_LIMIT_BYTES,
    MEMBER_LIMIT,
    SCHEMA,
    content_hash,
    implied_stages,
)
from simulator.trace_format.walk import OperationsWalk, of_model, text_in


def check_manifest(manifest: dict[str, Any], source: str) -> Layout:
    """Return the layout of a parsed manifest; raise one TraceError with a line a problem."""
    problems = Problems(source)
    newest = manifest["schema"] == SCHEMA
    problems.parsed("", Manifest if newest else FirstManifest, manifest)
    model = problems.parsed("model", ModelSection, manifest.get("model"))
    halting = problems.parsed("model.halting", HaltingSection, model.halting) if model else None
    model = model if halting else None
    digests, listed = _items(manifest, "image_sha256"), _items(manifest, "operations")
    for problem in _sections(problems, manifest, model, len(digests)):
        problems.add(*problem)
    tensors = _tensors(problems, _items(manifest, "tensors"), model, len(digests))
    stages = implied_stages(manifest)
    roles = FIRST_ROLES | stages
    if newest and (declared := problems.parsed("", StagesSection, manifest)):
        stages = roles = declared.stages
        used = {text_in(item, "stage") for item in listed}
        for problem in _stages(stages, used, halting.granularity if halting else "none"):
            problems.add(*problem)
    operations = OperationsWalk(problems, tensors, model, roles).check(listed)
    if not problems.count and content_hash(manifest) != manifest["content_hash"]:
        rule = f"the hash of the rest of the manifest, {content_hash(manifest)}"
        problems.add("content_hash", manifest["content_hash"], rule)
    problems.raise_any()
    assert model is not None
    assert halting is not None
    classes = [item.shapes["classes"] for item in operations if item.kind == "head"]
    return Layout(
        tensors={name: tensor for name, tensor in tensors.items() if tensor},
        operations=tuple(operations),
        stages=stages,
        image_sha256=tuple(digests),
        timesteps=model.timesteps,
        blocks=model.blocks,
        tokens=model.tokens,
        granularity=halting.granularity,
        classes=classes[-1] if classes and isinstance(classes[-1], int) else None,
        image_timesteps=tuple(_items(manifest, "image_timesteps")),
    )


def _items(manifest: dict[str, Any], key: str) -> list[Any]:
    """Return the items of a list, none where there is no list."""
    items = manifest.get(key)
    return items if isinstance(items, list) else []


def _sections(
    problems: Problems, manifest: dict[str, Any], model: ModelSection | None, images: int
) -> Iterator[Broken]:
    """Yield what sections say against one another and against the number of images."""
    if model and math.prod(model.token_grid) != model.tokens:
        rule = f"height x width of token_grid, {list(model.token_grid)}"
        yield "model.tokens", model.tokens, rule
    each_image = f"one for each image of image_sha256, {images}"
    if dataset := problems.parsed("dataset", DatasetSection, manifest.get("dataset")):
        if dataset.images != images:
            yield "dataset.images", dataset.images, f"the items of image_sha256, {images}"
        if len(dataset.image_ids) != images:
            yield "dataset.image_ids", dataset.image_ids, each_image
    weights = problems.parsed("weights", WeightsSection, manifest.get("weights"))
    if weights and weights.accuracy is not None and weights.origin != "trained":
        rule = f"null, since weights.origin is {weights.origin!r} and not 'trained'"
        yield "weights.accuracy", weights.accuracy, rule
    steps = _items(manifest, "image_timesteps")
    if model and "image_timesteps" in manifest and len(steps) != images:
        yield "image_timesteps", steps, each_image
    if model and any(type(each) is int and each > model.timesteps for each in steps):
        yield "image_timesteps", steps, f"at most the timesteps of the model, {model.timesteps}"


def _tensors(
    problems: Problems, items: list[Any], model: ModelSection | None, images: int
) -> dict[str, TensorSpec | None]:
    """Return the listed tensors by name, None for one that breaks a rule."""
    tensors: dict[str, TensorSpec | None] = {}
    for index, item in enumerate(items):
        place, name = f"tensors[{index}]", text_in(item, "name")
        if name in tensors:
            problems.add(f"{place}.name", name, "a name that no earlier tensor has")
        spec = problems.parsed(place, TensorSpec, item)
        for field, value, rule in _of_tensor(spec, model, images) if spec else ():
            problems.add(f"{place} ({name}).{field}", value, rule)
        if name is not None:
            tensors[name] = spec
    if model:
        masks = model.blocks * model.timesteps * packed_bytes(model.tokens)
        size = masks + sum(math.prod(tensor.shape) for tensor in tensors.values() if tensor)
        if size > IMAGE_LIMIT_BYTES:
            problems.add("tensors: bytes of one image", size, f"at most {IMAGE_LIMIT_BYTES}")
        members = len(tensors) + model.blocks + 3
        if members > MEMBER_LIMIT:
            problems.add("tensors: members of the archive", members, f"at most {MEMBER_LIMIT}")
    return tensors


def _of_tensor(tensor: TensorSpec, model: ModelSection | None, images: int) -> Iterator[Broken]:
    """Yield what a tensor's fields say against each other and against the model."""
    if math.prod(tensor.grid) != tensor.rows:
        yield "rows", tensor.rows, f"height x width of its grid, {list(tensor.grid)}"
    if tensor.kind == "spikes" and tensor.planes != 1:
        yield "planes", tensor.planes, "1 for spikes"
    for key in ("scale", "zero_point"):
        value = getattr(tensor, key)
        if isinstance(value, tuple) and len(value) != tensor.channels:
            yield key, value, f"one for each of {tensor.channels} channels"
    values = images * tensor.timesteps * tensor.rows * tensor.channels
    if tensor.nonzero > values:
        yield "nonzero", tensor.nonzero, f"at most its {values} values"
    most = tensor.nonzero * tensor.planes
    if not tensor.nonzero <= tensor.ones <= most:
        yield "ones", tensor.ones, f"from nonzero, {tensor.nonzero}, to nonzero x planes, {most}"
    if model:
        yield from of_model(tensor.timesteps, tensor.rows, tensor.mask, model)


def _stages(stages: dict[str, str], used: set[str | None], granularity: str) -> Iterator[Broken]:
    """Yield declared stages that no operation has, and roles that do not go together."""
    for stage in sorted(stages.keys() - used):
        yield "stages: key", stage, "the stage of an operation"
    if "layers" in stages.values():
        if beside := sorted(set(stages.values()) - {"layers", "head"}):
            rule = f"without role 'layers': plain layers have no role {beside[0]!r} beside them"
            yield "stages", stages, rule
        if granularity != "none":
            yield "stages", stages, "without role 'layers': only tokens of blocks halt"
