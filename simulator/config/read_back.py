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
_SPECIAL = "is a device or a pipe: must be a regular file"
_KINDS = {stat.S_IFDIR: "is a folder: must be a regular file"}


def read_bytes(path: Path, most: int, error: type[SimulatorError]) -> bytes:
    """The content of a regular file of at most so many bytes. Raises `error` for any other."""
    try:
        # Not blocking: a pipe would be waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise error(f"{path}: {_KINDS.get(stat.S_IFMT(status.st_mode), _SPECIAL)}")
            if status.st_size > most:
                raise error(f"{path}: {status.st_size} bytes: must be at most {most}")
            pieces, left = [], most + 1
            while left and (piece := file.read(min(left, _PIECE))):
                pieces.append(piece)
                left -= len(piece)
    except (OSError, ValueError) as fault:  # ValueError: a null character in the path
        raise error(f"{path}: {getattr(fault, 'strerror', None) or fault}") from None
    if not left:  # it grows, or its size is not known, as of files in /proc
        raise error(f"{path}: must be at most {most} bytes")
    return b"".join(pieces)


def check_regular(path: Path, most: int, error: type[SimulatorError]) -> None:
    """Raise `error` unless a library can read this: a regular file of at most so many bytes."""
    try:
        status = path.stat()
    except (OSError, ValueError) as fault:
        raise error(f"{path}: {getattr(fault, 'strerror', None) or fault}") from None
    if not stat.S_ISREG(status.st_mode):
        raise error(f"{path}: {_KINDS.get(stat.S_IFMT(status.st_mode), _SPECIAL)}")
    if status.st_size > most:
        raise error(f"{path}: {status.st_size} bytes: must be at most {most}")


def read_text(path: Path, most: int, error: type[SimulatorError]) -> str:
    """The text of a regular file in UTF-8. Raises `error`."""
    try:
        return read_bytes(path, most, error).decode("utf-8")
    except UnicodeDecodeError:
        raise error(f"{path}: must be UTF-8 text") from None


def read_json(path: Path, most: int, error: type[SimulatorError]) -> Any:
    """The value of a JSON file: names once in an object, finite numbers only. Raises `error`."""
    return parsed(read_text(path, most, error), str(path), error)


def read_object(path: Path, most: int, error: type[SimulatorError], schema: str) -> dict[str, Any]:
    """The object of a JSON file that says it is of a schema. Raises `error`."""
    content = read_json(path, most, error)
    found = content.get("schema") if isinstance(content, dict) else None
    if found != schema or not isinstance(content, dict):
        raise error(f"{path}: schema {found!r:.60}: this program reads {schema!r} only")
    return content


def parsed(text: str, place: str, error: type[SimulatorError]) -> Any:
    """The value of a JSON text. Raises `error`, which begins with the place."""
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
