"""Damage to what is read back: a document's values, changed by structure, and a file's bytes.

A reader must give one error of ours, or what it can use; nothing else ever comes out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from simulator.errors import SimulatorError

CASES_FACTOR = 20 if os.environ.get("HYPOTHESIS_PROFILE") == "explore" else 1
"""A search beyond the fixed examples tries so many times as many."""

HOSTILE: Sequence[Any] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**400, 0.0, -0.5, 1e-320, 1e308),
    *("", " ", "a", "=1+1", "\x1b[31mred", "\0", "\ud800", "../../x", "é" * 300, "stasim-x/9"),
    *("1", "nan", "<script>", "%s%n{}", [], {}, [[]], {"": None}, [None] * 3, [0] * 1000),
)
"""Values that a writer of ours never writes in most places."""


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values inside a value."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = list(enumerate(value))[:3]
    return [path] + [inner for key, item in items for inner in places(item, (*path, key))]


@st.composite
def changed(draw: st.DrawFn, document: Any, most: int = 3) -> Any:
    """A document with up to `most` of its values replaced, taken away, doubled or moved."""
    import copy

    found = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, most))):
        inside = [path for path in places(found) if path]
        if not inside:
            break
        *path, last = draw(st.sampled_from(inside))
        target = found
        for step in path:
            target = target[step]
        kind = draw(st.sampled_from(("replace", "number", "take", "rename", "deepen", "swap")))
        if kind == "take":
            del target[last]
        elif kind == "rename" and isinstance(target, dict):
            target[draw(st.sampled_from(("", "x", "schema", "image")))] = target.pop(last)
        elif kind == "deepen":
            target[last] = [target[last]]
        elif kind == "swap" and isinstance(target, list):
            target.append(target[last])
        elif kind == "number":
            target[last] = draw(st.integers() | st.floats())
        else:
            target[last] = draw(st.sampled_from(HOSTILE))
    return found


@st.composite
def changed_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes cut off, overwritten, inserted or repeated at a few places."""
    found = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(found) - 1, 0)))
        kind = draw(st.sampled_from(("cut", "flip", "insert", "double", "zero")))
        if kind == "cut":
            del found[at:]
        elif kind == "flip" and found:
            found[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "insert":
            found[at:at] = draw(st.binary(min_size=1, max_size=8))
        elif kind == "double":
            found[at:at] = found[at : at + 64]
        else:
            found[at : at + 16] = bytes(min(16, len(found) - at))
    return bytes(found)


def endured(use: Callable[[], object], place: Path | str = "") -> str:
    """The message with which some use of a damaged file was refused; empty if it was not.

    Any exception that is no SimulatorError ends the test.
    """
    try:
        use()
    except SimulatorError as error:
        message = str(error)
        assert message.strip()
        assert len(message) < 20_000
        assert all(str(place) in line for line in message.splitlines()[:1])
        return message
    return ""
