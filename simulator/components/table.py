"""The table of all parts, in markdown, made from the classes themselves."""

from __future__ import annotations

import inspect
from typing import Any, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from simulator.components.base import registry, slots

# The longest suffix of a field's name that fits is its unit.
UNITS = {
    "_bits": "bit",
    "_bytes": "B",
    "_kib": "KiB",
    "_cycles": "cycles",
    "_ns": "ns",
    "_us": "µs",
    "_mhz": "MHz",
    "_gb_per_s": "GB/s",
    "_per_cycle": "per cycle",
    "_cycles_per_element": "cycles per element",
    "_pj": "pJ",
    "_uw": "µW",
    "_um2": "µm²",
    "_nm": "nm",
    "_v": "V",
}
_BOUNDS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤", "multiple_of": "multiple of"}


def parts_table() -> str:
    """Return every slot's parts with their fields: value, unit, default and meaning."""
    rows = [
        ("part, and its fields", "value", "unit", "default", "meaning"),
        ("---",) * 5,
    ]
    for slot in slots():
        for kind, part in registry(slot).items():
            first = inspect.cleandoc(part.__doc__ or "").partition("\n\n")[0]
            rows.append((f"{slot}: `{kind}`", "", "", "", " ".join(first.split())))
            for name, info in part.model_fields.items():
                fitting = [suffix for suffix in UNITS if name.endswith(suffix)]
                unit = UNITS.get(max(fitting, key=len, default=""), "")
                value = (_value(info), unit, _default(info), info.description or "")
                rows.append((f"`{name}`", *value))
    return "\n".join("| " + " | ".join(_cell(text) for text in row) + " |" for row in rows)


def _value(info: FieldInfo) -> str:
    """The type and the bounds of a field: `int > 0, ≤ 1024`."""
    bounds = [
        f"{sign} {getattr(rule, bound):g}"
        for rule in info.metadata
        for bound, sign in _BOUNDS.items()
        if getattr(rule, bound, None) is not None
    ]
    return " ".join([_type_name(info.annotation), ", ".join(bounds)]).strip()


def _type_name(annotation: Any) -> str:
    if get_origin(annotation) is not None:
        text = str(annotation).replace("typing.", "")
        return text.removeprefix("Literal[").rstrip("]") if text.startswith("Literal") else text
    return str(getattr(annotation, "__name__", annotation))


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    default = info.get_default(call_default_factory=False)
    if default is PydanticUndefined or default is None:
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
