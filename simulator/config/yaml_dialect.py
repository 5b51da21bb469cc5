"""The YAML that our files are written in, on top of PyYAML's safe composer.

Only what a description needs: mappings, lists, and the scalars of YAML 1.2's core schema (so `1e3`
is a number and `no` is text). No tags, no aliases; depth and number of values are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

MOST_VALUES = 10_000
DEEPEST_NESTING = 32
MOST_DIGITS = 100
TAG = "tag:yaml.org,2002:"


class Composer(yaml.SafeLoader):
    """Compose nodes, with the scalars of YAML 1.2's core schema and bounded depth and number."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.values = 0
        self.depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.values += 1
        self.depth += 1
        if self.check_event(yaml.AliasEvent):
            self._refuse("aliases are not used here: write the value out")
        if self.depth > DEEPEST_NESTING:
            self._refuse(f"nested deeper than {DEEPEST_NESTING} levels")
        if self.values > MOST_VALUES:
            self._refuse(f"more than {MOST_VALUES} values")
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def _refuse(self, rule: str) -> None:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        raise yaml.composer.ComposerError(None, None, rule, mark)


for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    Composer.add_implicit_resolver(TAG + _name, re.compile(f"(?:{_pattern})\\Z"), _first)


def syntax_fault(error: yaml.YAMLError, text: str) -> tuple[int, str]:
    """Return the line and the rule of what PyYAML refuses in a text."""
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return line, f"character 0x{ord(text[error.position]):02x}: is not allowed in YAML"
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    parts = [getattr(error, "context", None), getattr(error, "problem", None)]
    rule = ", ".join(part for part in parts if part) or "must be YAML"
    if "'\\t'" in rule:
        rule += " (indent with spaces, not tabs)"
    if mark is None:
        return 1, rule
    return mark.line + 1, f"column {mark.column + 1}: {rule}"


# Each raises ValueError with the rule. An explicit tag (`!!int x`) brings any text to them.


def _text(text: str) -> str:
    if any("\ud800" <= sign <= "\udfff" for sign in text):  # escapes can name half a pair
        raise ValueError("must be Unicode text")
    return text


def _null(text: str) -> None:
    if text.lower() not in ("", "~", "null"):
        raise ValueError("must be null")


def _bool(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("must be true or false")
    return text.lower() == "true"


def _int(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"must have at most {MOST_DIGITS} digits")
    try:
        return int(text, 0 if text[:2] in ("0x", "0o") else 10)
    except ValueError:
        raise ValueError("must be an integer") from None


def _float(text: str) -> float:
    try:
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        raise ValueError("must be a number") from None


SCALARS: dict[str, Callable[[str], Any]] = {
    TAG + "str": _text,
    TAG + "null": _null,
    TAG + "bool": _bool,
    TAG + "int": _int,
    TAG + "float": _float,
}
