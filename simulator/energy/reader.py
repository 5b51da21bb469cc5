"""Takes checked values out of a YAML document, noting every broken rule with its line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from simulator.config.located_yaml import Document, Location, dotted
from simulator.config.wording import shown, suggestion

WIDEST_BITS = 4096


class Reader:
    """Takes values out of a document; a value that breaks a rule is reported and replaced."""

    def __init__(self, document: Document) -> None:
        self.document = document

    def report(self, where: Location, value: object, rule: str) -> None:
        text = f"{dotted(where) or 'the file'}: {shown(value)}: {rule}"
        self.document.report(self.document.place(where), text, where)

    def mapping(
        self, value: Any, where: Location, required: Iterable[str], optional: Iterable[str] = ()
    ) -> dict[str, Any]:
        """The value if it is a mapping with these keys and no other; else an empty one."""
        if not isinstance(value, dict):
            self.report(where, value, "must be a mapping")
            return {}
        needed = tuple(required)
        known = (*needed, *optional)
        for key in value:
            if key not in known:
                rule = f"unknown key {suggestion(key, known)}"
                self.report((*where, key), value[key], rule)
        missing = [key for key in needed if key not in value]
        if missing:
            self.report(where, "a mapping", f"needs the key {', '.join(missing)}")
        return {key: value[key] for key in known if key in value}

    def items(self, fields: Mapping[str, Any], key: str, where: Location) -> list[Any]:
        value = fields.get(key, [])
        if isinstance(value, list) and (value or key not in fields):
            return value
        self.report((*where, key), value, "must be a list with at least one entry")
        return []

    def text(self, fields: Mapping[str, Any], key: str, where: Location) -> str:
        value = fields.get(key, "")
        if isinstance(value, str) and (value.strip() or key not in fields):
            return value.strip()
        self.report((*where, key), value, "must be text that says something")
        return ""

    def number(
        self, fields: Mapping[str, Any], key: str, where: Location, *, zero: bool = False
    ) -> float:
        value = fields.get(key, 1.0)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and (0 < value <= 1e12 or (zero and value == 0)):  # also refuses NaN
            return float(value)
        bound = "a number of 0 or more" if zero else "a number above 0"
        self.report((*where, key), value, f"must be {bound}, at most 1e12")
        return 1.0

    def bits(self, fields: Mapping[str, Any], key: str, where: Location) -> int:
        return self.integer(fields, key, where, WIDEST_BITS)

    def integer(self, fields: Mapping[str, Any], key: str, where: Location, most: int) -> int:
        value = fields.get(key, 1)
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most:
            return value
        self.report((*where, key), value, f"must be a whole number from 1 to {most}")
        return 1
