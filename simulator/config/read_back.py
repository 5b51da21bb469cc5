"""How a file that was written earlier is read back: regular files only, bounded while reading.

A file may have been replaced by a device without end, a pipe that nobody writes, or text that is no
JSON; each gives one error. Standard library only.
"""

from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path
from typing import Any

from simulator.errors import SimulatorError

_PIECE = 1 << 20


def read_bytes(
    path: Path, most: int, error: type[SimulatorError], what: str = "a regular file"
) -> bytes:
    """Return the content of a regular file of `most` bytes at most. Raises `error` for any other.

    `what`: the file that was looked for, in the message.
    """
    try:
        # Not blocking: a pipe would be waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            _check(path, os.fstat(descriptor), most, error, what)
            pieces, left = [], most + 1
            while left and (piece := file.read(min(left, _PIECE))):
                pieces.append(piece)
                left -= len(piece)
    except (OSError, ValueError) as fault:  # ValueError: a null character in the path
        raise error(path, _broken(fault, what)) from None
    if not left:  # it grows, or its size is not known, as of files in /proc
        raise error(path, f"must be at most {most} bytes")
    return b"".join(pieces)


def check_regular(path: Path, most: int, error: type[SimulatorError]) -> None:
    """Raise `error` unless a library can read this: a regular file of `most` bytes at most."""
    what = "a regular file"
    try:
        _check(path, path.stat(), most, error, what)
    except (OSError, ValueError) as fault:
        raise error(path, _broken(fault, what)) from None


def _check(
    path: Path, status: os.stat_result, most: int, error: type[SimulatorError], what: str
) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a device or a pipe"
        raise error(path, f"is {kind}", f"must be {what}")
    if status.st_size > most:
        raise error(path, f"{status.st_size} bytes", f"must be at most {most}")


def _broken(fault: OSError | ValueError, what: str) -> str:
    if isinstance(fault, FileNotFoundError):
        return f"does not exist: must be {what}"
    if isinstance(fault, IsADirectoryError):
        return f"is a folder: must be {what}"
    return getattr(fault, "strerror", None) or str(fault)


def read_text(
    path: Path, most: int, error: type[SimulatorError], what: str = "a regular file"
) -> str:
    """Return the text of a regular file in UTF-8. Raises `error`."""
    try:
        return read_bytes(path, most, error, what).decode("utf-8")
    except UnicodeDecodeError:
        raise error(path, "must be UTF-8 text") from None


def read_object(
    path: Path, most: int, error: type[SimulatorError], schema: str, what: str = "a regular file"
) -> dict[str, Any]:
    """Return the object of a JSON file that says it is of a schema. Raises `error`."""
    content = parsed(read_text(path, most, error, what), str(path), error)
    found = content.get("schema") if isinstance(content, dict) else None
    if found != schema or not isinstance(content, dict):
        raise error(path, f"schema {found!r:.60}", f"this program reads {schema!r} only")
    return content


def parsed(text: str, place: str, error: type[SimulatorError]) -> Any:
    """Return the value of a JSON text: names once in an object, finite numbers only.

    Raises `error`, which begins with the place.
    """
    try:
        return json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite
        )
    except (ValueError, RecursionError) as fault:
        raise error(f"{place}: must be JSON: {fault}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return mapping


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number")
