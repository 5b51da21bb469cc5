"""How messages speak of values and names; standard library only."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable

LONGEST_VALUE = 60


def suggestion(word: object, known: Iterable[str]) -> str:
    """Return the tail of a message about an unknown name: `(did you mean 'x'?; known: a, b, c)`."""
    names = sorted(known)
    near = difflib.get_close_matches(str(word)[:LONGEST_VALUE], names, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?; " if near else ""
    return f"({hint}known: {', '.join(names) or 'none'})"


def shown(value: object) -> str:
    """Return the value on one line, as a file would write it, shortened."""
    return one_line(json.dumps(value, ensure_ascii=False, default=str))


def one_line(text: str, longest: int = LONGEST_VALUE) -> str:
    """Return the text without line breaks and control characters, shortened."""
    text = text if len(text) <= longest else text[: longest - 3] + "..."
    return "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in text)


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "|", "%")
_CONTROL = {
    code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"
}


def cell(value: object) -> object:
    """Return a cell of a CSV file, which neither a spreadsheet nor a terminal obeys.

    A text that would be a formula begins with an apostrophe; control characters are spelled out.
    """
    if not isinstance(value, str):
        return value
    return ("'" if value.startswith(_FORMULA) else "") + visible(value)


def visible(text: str) -> str:
    """Return the text with control characters spelled out, which a terminal would obey."""
    return text.translate(_CONTROL)
