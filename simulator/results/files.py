"""How a result reaches the disk: all of its files at once, and never over something else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from simulator.config.read_back import read_text as read_bounded
from simulator.config.staged_folder import check_folder, restore, write_folder
from simulator.errors import ResultError
from simulator.results.schema import SCHEMA

MAIN_FILE = "result.json"
STREAM_FILE = "stream.json"
"""The main file of a result in parts."""
LIMIT_BYTES = 1 << 30
"""A larger result.json is refused."""
KIND = "result"

_FAMILY = SCHEMA.partition("/")[0]
# A result begins with its provenance, and this is somewhere in it.
_MARK = f'"schema": "{_FAMILY}/'


def read_text(path: Path) -> tuple[Path, str]:
    """Return the result.json of a folder, or the file itself, with its text. Raises ResultError."""
    with _one_error(path):
        restore(path)
        file = path / MAIN_FILE if path.is_dir() else path
    return file, read_bounded(file, LIMIT_BYTES, ResultError)


def check_target(folder: Path) -> None:
    """Raise ResultError, before any work, where a result must not be written."""
    with _one_error(folder):
        check_folder(folder, KIND, _is_earlier_result)


def write_files(folder: Path, texts: Mapping[str, str]) -> None:
    """Write the files of a result at once. Raises ResultError, and then wrote nothing."""
    contents = {name: text.encode("utf-8", "backslashreplace") for name, text in texts.items()}
    with _one_error(folder):
        write_folder(folder, KIND, contents, _is_earlier_result)


def _is_earlier_result(folder: Path) -> bool:
    """Whether a folder holds a result from before there were manifests."""
    file = folder / MAIN_FILE
    if not file.is_file():
        return False
    with file.open(encoding="utf-8", errors="replace") as text:
        return _MARK in text.readline(LIMIT_BYTES)


@contextlib.contextmanager
def _one_error(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise ResultError(path, f"{getattr(error, 'strerror', None) or error}") from None
