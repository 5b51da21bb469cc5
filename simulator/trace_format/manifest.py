"""Checks of a manifest: every field by the schema's tables, then one part against another."""

from __future__ import annotations

import math
from typing import Any

from simulator.trace_format.layout import Layout
from simulator.trace_format.schema import (
    DATASET,
    HALTING,
    MANIFEST,
    MANIFEST_OPTIONAL,
    MODEL,
    MODEL_OPTIONAL,
    NAME,
    TENSOR,
    TENSOR_OPTIONAL,
    WEIGHTS,
    Problems,
    Rule,
    map_of,
    one_of,
)
from simulator.trace_format.specs import (
    FIRST_ROLES,
    IMAGE_LIMIT_BYTES,
    MEMBER_LIMIT,
    ROLES,
    SCHEMA,
    TensorSpec,
    content_hash,
    implied_stages,
    packed_bytes,
)
from simulator.trace_format.walk import OperationsWalk, check_mask, check_steps, text_in

_ROLE_BY_STAGE = map_of(one_of(ROLES))
STAGES = {
    "stages": Rule(
        f"{_ROLE_BY_STAGE.text}, each key {NAME.text}",
        lambda value: _ROLE_BY_STAGE.holds(value) and all(map(NAME.holds, value)),
    )
}


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
    walk = OperationsWalk(
        problems, tensors, model, (stages if newest else {}) or FIRST_ROLES | stages
    )
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
        if not isinstance(item, dict):  # reported with the list
            continue
        place = f"tensors[{index}]"
        name = text_in(item, "name")
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
        check_steps(problems, place, tensor.timesteps, model)
        check_mask(problems, place, tensor.mask, (tensor.timesteps, tensor.rows), model)


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


def check_stages(problems: Problems, manifest: dict[str, Any]) -> dict[str, str]:
    """Return the role of each declared stage, none where the declaration breaks a rule."""
    declared = manifest.get("stages")
    if not STAGES["stages"].holds(declared):
        return {}  # the fields of the manifest report it
    stages = dict(declared or {})
    items = manifest.get("operations")
    listed = items if isinstance(items, list) else []
    used = [item.get("stage") for item in listed if isinstance(item, dict)]
    for stage in sorted(stages.keys() - {name for name in used if isinstance(name, str)}):
        problems.add("stages: key", stage, "the stage of an operation")
    beside = sorted(set(stages.values()) - {"layers", "head"})
    if "layers" in stages.values() and beside:
        rule = f"without role 'layers': plain layers have no role {beside[0]!r} beside them"
        problems.add("stages", stages, rule)
    if "layers" in stages.values() and _granularity(manifest) != "none":
        rule = "without role 'layers': only tokens of blocks halt"
        problems.add("stages", stages, rule)
    return stages


def _granularity(manifest: dict[str, Any]) -> object:
    """Return the granularity of the halting; `none` where the model breaks a rule."""
    model = manifest.get("model")
    halting = model.get("halting") if isinstance(model, dict) else None
    return halting.get("granularity") if isinstance(halting, dict) else "none"
