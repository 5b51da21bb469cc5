"""The stages that a trace of version 2 declares: what each part of the network is."""

from __future__ import annotations

from typing import Any

from simulator.trace_format.schema import NAME, Problems, Rule, map_of, one_of
from simulator.trace_format.specs import ROLES

_ROLE_BY_STAGE = map_of(one_of(ROLES))
STAGES = {
    "stages": Rule(
        f"{_ROLE_BY_STAGE.text}, each key {NAME.text}",
        lambda value: _ROLE_BY_STAGE.holds(value) and all(map(NAME.holds, value)),
    )
}


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
