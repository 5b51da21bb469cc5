"""What is wrong with a manifest, a line for each problem: place, value and rule."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, TypeVar, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from simulator.config.wording import LONGEST_VALUE, shown, suggestion
from simulator.errors import TraceError

PROBLEMS_SHOWN = 20
MISSING = object()
_NAMES_LISTED = 24
T = TypeVar("T")
Broken = tuple[Any, ...]
"""What breaks a rule: field, value, rule, and where the rule is a name, the known names."""


def hint(word: object, known: Iterable[str]) -> str:
    """Return the tail of a message about an unknown name: the known ones, of many the nearest."""
    names = list(known)
    if len(names) <= _NAMES_LISTED:
        return suggestion(word, names)
    near = difflib.get_close_matches(str(word)[:LONGEST_VALUE], names, n=1)
    return f"(did you mean {near[0]!r}?)" if near else f"(none of {len(names)} names is similar)"


class Problems:
    """Hold what is wrong with one manifest: a line for each problem, up to PROBLEMS_SHOWN."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.count = 0
        self._lines: list[str] = []

    def add(self, place: str, value: object, rule: str, known: Iterable[str] | None = None) -> None:
        """Add that `place` holds `value` but must be `rule`; `known`: the names it may be."""
        self.count += 1
        if self.count <= PROBLEMS_SHOWN:  # the search for a similar name takes time
            found = "is missing" if value is MISSING else f"= {shown(value)}"
            tail = "" if known is None else f" {hint(value, known)}"
            self._lines.append(f"{self.source}: {place} {found}: must be {rule}{tail}")

    def parsed(self, place: str, model: type[T], value: object) -> T | None:
        """Return an object as its model; None where it breaks rules, with a problem a field."""
        if not isinstance(value, dict):
            return None  # a problem of what holds it
        try:
            hashed: Any = model  # a class is; its type does not say so
            adapter: TypeAdapter[T] = _adapter(hashed)
            return adapter.validate_python(value)
        except ValidationError as error:
            broken = [str(each["loc"][0]) for each in error.errors(include_url=False)]
        infos: dict[str, FieldInfo] = model.__pydantic_fields__  # type: ignore[attr-defined]
        fields = {info.alias or name: info for name, info in infos.items()}
        for key in dict.fromkeys(broken):  # one problem a field, whatever its items break
            if key in fields:
                rule = fields[key].description or one_of(get_args(fields[key].annotation))
                self.add(f"{place}.{key}".lstrip("."), value.get(key, MISSING), rule)
            else:
                self.add(f"{place or 'manifest'}: key", key, "one of the schema", fields)
        return None

    def raise_any(self) -> None:
        """Raise one TraceError if there is any problem."""
        if self.count:
            more = self.count - len(self._lines)
            tail = [f"{self.source}: and {more} more problems"] if more else []
            raise TraceError("\n".join(self._lines + tail))


_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


def one_of(names: Iterable[str]) -> str:
    """Return the rule of a field that holds one of some names."""
    return f"one of {', '.join(names)}"
