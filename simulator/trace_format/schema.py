"""The schema of a trace's manifest as tables: what each field must be.

Operations, whose fields depend on their kind, stand in trace_format/kinds.py.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from simulator.config.wording import LONGEST_VALUE, shown, suggestion
from simulator.errors import TraceError

PROBLEMS_SHOWN = 20
MISSING = object()
_NAMES_LISTED = 24


def hint(word: object, known: Iterable[str]) -> str:
    """The tail of a message about an unknown name: those it can be, of many the most similar."""
    names = list(known)
    if len(names) <= _NAMES_LISTED:
        return suggestion(word, names)
    near = difflib.get_close_matches(str(word)[:LONGEST_VALUE], names, n=1)
    return f"(did you mean {near[0]!r}?)" if near else f"(none of {len(names)} names is similar)"


class Rule(NamedTuple):
    """What a field must be; `text` completes the sentence "must be ..."."""

    text: str
    holds: Callable[[Any], bool]


class Problems:
    """What is wrong with one manifest: a line for each problem, up to PROBLEMS_SHOWN."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.count = 0
        self._lines: list[str] = []

    def add(self, place: str, value: object, rule: str, known: Iterable[str] | None = None) -> None:
        """`place` holds `value` but must be what `rule` says; `known` are the names it may be."""
        self.count += 1
        if self.count <= PROBLEMS_SHOWN:  # the search for a similar name takes time
            found = "is missing" if value is MISSING else f"= {shown(value)}"
            tail = "" if known is None else f" {hint(value, known)}"
            self._lines.append(f"{self.source}: {place} {found}: must be {rule}{tail}")

    def fields(
        self,
        place: str,
        value: dict[str, Any],
        rules: Mapping[str, Rule],
        *,
        optional: Collection[str] = (),
        closed: bool = True,
    ) -> bool:
        """Whether an object keeps its rules; adds what it breaks. `closed`: no other fields."""
        before = self.count
        prefix = f"{place}." if place else ""
        for key, rule in rules.items():
            if key in value and not rule.holds(value[key]):
                self.add(f"{prefix}{key}", value[key], rule.text)
            elif key not in value and key not in optional:
                self.add(f"{prefix}{key}", MISSING, rule.text)
        for key in value if closed else ():
            if key not in rules:
                self.add(f"{place or 'manifest'}: key", key, "one of the schema", rules)
        return self.count == before

    def raise_any(self) -> None:
        """Raise one TraceError if there is any problem."""
        if self.count:
            more = self.count - len(self._lines)
            tail = [f"{self.source}: and {more} more problems"] if more else []
            raise TraceError("\n".join(self._lines + tail))


def entire(low: int, high: int = 2**31 - 1) -> Rule:
    """Return an integer in a range."""
    # A bool is no number here, though Python counts it among the integers.
    text = f"an integer from {low} to {high}"
    return Rule(text, lambda value: type(value) is int and low <= value <= high)


def one_of(words: Collection[str]) -> Rule:
    """Return one of some words."""
    text = f"one of {', '.join(words)}"
    return Rule(text, lambda value: isinstance(value, str) and value in words)


def pattern(text: str, regular_expression: str) -> Rule:
    """Return a string that matches as a whole."""
    match = re.compile(regular_expression).fullmatch
    return Rule(text, lambda value: isinstance(value, str) and match(value) is not None)


def list_of(rule: Rule, size: int | None = None) -> Rule:
    """Return a list of so many items, or of at least one."""
    text = f"a list of {size or 'at least one'}, each {rule.text}"
    return Rule(
        text,
        lambda value: (
            isinstance(value, list)
            and (len(value) == size if size else len(value) > 0)
            and all(map(rule.holds, value))
        ),
    )


def map_of(rule: Rule) -> Rule:
    """Return an object with any keys."""
    text = f"an object, each value {rule.text}"
    return Rule(
        text, lambda value: isinstance(value, dict) and all(map(rule.holds, value.values()))
    )


def or_null(rule: Rule) -> Rule:
    """Return the same, or null."""
    return Rule(f"null or {rule.text}", lambda value: value is None or rule.holds(value))


COUNT = entire(1)
TOTAL = entire(0, 2**63 - 1)
BITS = entire(0, 64)
PAIR = list_of(COUNT, 2)
TEXT = Rule("a string", lambda value: isinstance(value, str))
NUMBER = Rule("a number", lambda value: isinstance(value, int | float))
PLAIN = Rule("a number or a string", lambda value: isinstance(value, int | float | str))
IDENTIFIER = Rule("an integer or a string", lambda v: isinstance(v, str) or type(v) is int)
OBJECT = Rule("an object", lambda value: isinstance(value, dict))
DIGEST = pattern("64 hexadecimal digits", "[0-9a-f]{64}")
NAME = pattern(
    "a name of at most 128 letters, digits, _ and -, in parts joined by dots",
    r"(?=.{1,128}\Z)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*",
)
MASK = or_null(pattern("the number of a block, as a string", "0|[1-9][0-9]{0,3}"))

MANIFEST = {
    "schema": TEXT,
    "content_hash": pattern("sha256: and 64 hexadecimal digits", "sha256:[0-9a-f]{64}"),
    "image_sha256": list_of(DIGEST),
    "created_by": map_of(TEXT),
    "model": OBJECT,
    "dataset": OBJECT,
    "weights": OBJECT,
    "tensors": list_of(OBJECT),
    "operations": list_of(OBJECT),
    "capture": OBJECT,
    "image_timesteps": list_of(entire(1, 4096)),
}
MANIFEST_OPTIONAL = ("capture", "image_timesteps")
MODEL = {
    "name": TEXT,
    "family": TEXT,
    "timesteps": entire(1, 4096),
    "blocks": entire(1, 1024),
    "embed_dim": COUNT,
    "heads": COUNT,
    "tokens": COUNT,
    "token_grid": PAIR,
    "parameters": TOTAL,
    "isps": TEXT,
    "halting": OBJECT,
    "attention_order": one_of(("scores_first", "key_values_first")),
}
MODEL_OPTIONAL = ("attention_order",)
HALTING = {"granularity": one_of(("none", "block", "timestep", "two_dimensional", "waking"))}
DATASET = {
    "name": TEXT,
    "split": TEXT,
    "source": TEXT,
    "images": COUNT,
    "image_ids": list_of(IDENTIFIER),
}
WEIGHTS = {
    "origin": one_of(("calibrated", "trained", "random")),
    "seed": TOTAL,
    "accuracy": or_null(map_of(PLAIN)),
    "sha256": DIGEST,
}
FINITE = Rule("a finite number", lambda value: type(value) in (int, float) and math.isfinite(value))
SCALE = Rule(
    "a finite number, or a list of one for each channel",
    lambda value: (
        FINITE.holds(value) or (isinstance(value, list) and all(map(FINITE.holds, value)))
    ),
)
TENSOR = {
    "name": NAME,
    "kind": one_of(("spikes", "integer")),
    "timesteps": COUNT,
    "planes": entire(1, 32),
    "grid": PAIR,
    "rows": COUNT,
    "channels": COUNT,
    "mask": MASK,
    "ones": TOTAL,
    "nonzero": TOTAL,
    "scale": SCALE,
    "zero_point": SCALE,
    "error": FINITE,
}
TENSOR_OPTIONAL = ("scale", "zero_point", "error")
