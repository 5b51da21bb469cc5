"""What pydantic finds wrong, in the words of the file: `file:line: path: value: rule`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from types import UnionType
from typing import Any, get_args, get_origin

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
            value = "(none)" if _is_absent(details) else shown(details["input"])
            rule = _rule(details, around)
            text = f"{dotted(location) or 'the file'}: {value}: {rule}"
            document.report(document.place(location), text, location)


def _is_absent(details: ErrorDetails) -> bool:
    return details["type"] in ("missing", "missing_kind")


def _rule(details: ErrorDetails, around: type[BaseModel] | None) -> str:
    """The rule that is broken; `around` is the class that the value is a field of."""
    name = str(details["loc"][-1]) if details["loc"] else ""
    context = details.get("ctx", {})
    match details["type"]:
        case "missing":
            help_text = _help(around, name)
            return "must be given" + (f": {help_text}" if help_text else "")
        case "extra_forbidden":
            return f"unknown field {suggestion(name, _field_names(around))}"
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
            fields = {info.alias or name: info for name, info in current.model_fields.items()}
            current = _annotation(fields[step], data[step]) if step in fields else None
        else:
            return None
        data = data[step]
        if isinstance(current, type) and issubclass(current, Component) and not current.kind:
            current = registry(current.slot).get(str(data.get("kind")))
    return current if isinstance(current, type) and issubclass(current, BaseModel) else None


def _annotation(info: FieldInfo, value: Any) -> Any:
    """The class of a field's value, or of the mapping that is written for it."""
    extra = info.json_schema_extra
    if isinstance(value, dict) and isinstance(extra, dict) and WRITTEN_AS in extra:
        return extra[WRITTEN_AS]
    return _without_none(info.annotation)


def _without_none(annotation: Any) -> Any:
    """Of `X | None` the X."""
    if isinstance(annotation, UnionType):
        return next(part for part in get_args(annotation) if part is not type(None))
    return annotation


def _field_names(model: type[BaseModel] | None) -> list[str]:
    if model is None:
        return []
    names = [info.alias or name for name, info in model.model_fields.items()]
    return ["kind", *names] if issubclass(model, Component) else names


def _help(model: type[BaseModel] | None, field: str) -> str:
    infos = model.model_fields.items() if model else ()
    return next((info.description or "" for name, info in infos if field in (name, info.alias)), "")
