"""What pydantic finds wrong, in the words of the file: `file:line: path: value: rule`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from types import UnionType
from typing import Any, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from simulator.components.base import Component, registry
from simulator.config.located_yaml import Document, dotted
from simulator.config.wording import one_line, shown, suggestion

WRITTEN_AS = "written_as"
"""Key in a field's `json_schema_extra`: the class of the mapping that may stand for its value."""


def report_errors(document: Document, error: ValidationError, model: type[BaseModel]) -> None:
    """Add what validation found to the document's problems, unless already said of that value."""
    said = {problem.location for problem in document.problems}
    for details in error.errors(include_url=False):
        location = details["loc"]
        if location not in said:
            around = _model_at(model, document.data, location[:-1])
            absent = details["type"] in ("missing", "missing_kind")
            value = "(none)" if absent else shown(details["input"])
            rule = _rule(details, around)
            text = f"{dotted(location) or 'the file'}: {value}: {rule}"
            document.report(document.place(location), text, location)


def _rule(details: ErrorDetails, around: type[BaseModel] | None) -> str:
    """The rule that is broken; `around` is the class that the value is a field of."""
    name = str(details["loc"][-1]) if details["loc"] else ""
    context = details.get("ctx", {})
    match details["type"]:
        case "missing":
            info = _fields(around).get(name)
            return ": ".join(filter(None, ("must be given", info and info.description)))
        case "extra_forbidden":
            kind = ["kind"] if around and issubclass(around, Component) else []
            return f"unknown field {suggestion(name, [*kind, *_fields(around)])}"
        case "model_type" | "dict_type" | "model_attributes_type":
            return "must be a mapping of fields"
        case "tuple_type" | "list_type":
            return "must be a list"
        case "literal_error" | "enum":
            known = re.findall(r"'([^']*)'", context["expected"])
            return f"must be one of these {suggestion(details['input'], known)}"
        case "value_error":
            return one_line(str(context["error"]))
    return re.sub(r"^(Input|String|List) should", "must", details["msg"])


def _model_at(
    model: type[BaseModel], data: Any, location: Iterable[int | str]
) -> type[BaseModel] | None:
    """The class that describes the mapping at `location`; a part's by its kind; None if unclear."""
    current: Any = model
    for step in location:
        if isinstance(step, int):
            current = next(iter(get_args(current)), None)
        elif get_origin(current) is dict:
            current = get_args(current)[1]
        elif isinstance(current, type) and issubclass(current, BaseModel):
            fields = _fields(current)
            current = _annotation(fields[step], data[step]) if step in fields else None
        else:
            return None
        data = data[step]
        if isinstance(current, type) and issubclass(current, Component) and not current.kind:
            current = registry(current.slot).get(str(data.get("kind")))
    return current if isinstance(current, type) and issubclass(current, BaseModel) else None


def _annotation(info: FieldInfo, value: Any) -> Any:
    """Return the class of a field's value, or of what is written for it; of `X | None` the X."""
    extra, annotation = info.json_schema_extra, cast("Any", info.annotation)
    if isinstance(value, dict) and isinstance(extra, dict) and WRITTEN_AS in extra:
        return extra[WRITTEN_AS]
    if isinstance(annotation, UnionType):
        return next(part for part in get_args(annotation) if part is not type(None))
    return annotation


def _fields(model: type[BaseModel] | None) -> dict[str, FieldInfo]:
    """Return the fields of a class by the names that a file uses."""
    infos = model.model_fields if model else {}
    return {info.alias or name: info for name, info in infos.items()}
