"""How a result reaches the disk: all of its files or none, and never over something else."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from simulator.errors import ResultError
from simulator.results.schema import SCHEMA

MAIN_FILE = "result.json"
LIMIT_BYTES = 1 << 30
"""A larger result.json is refused before it is read."""

_FAMILY = SCHEMA.partition("/")[0]
# A result begins with its provenance, and this stands somewhere in it.
_MARK = f'"schema": "{_FAMILY}/'


def read_text(path: Path) -> tuple[Path, str]:
    """The result.json of a folder, or the file itself, with its text. Raises ResultError."""
    file = path / MAIN_FILE if path.is_dir() else path
    with _one_error(file):
        size = file.stat().st_size
        if size > LIMIT_BYTES:
            raise ResultError(f"{file}: {size} bytes: must be at most {LIMIT_BYTES}")
        return file, file.read_text(encoding="utf-8")


def write_folder(folder: Path, texts: Mapping[str, str]) -> None:
    """Write the files of a result, MAIN_FILE last. Raises ResultError, and then wrote nothing."""
    with _one_error(folder):
        folder = Path(os.path.realpath(folder))
        _check_target(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{folder.name}."
        spool = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
        try:
            for name, text in texts.items():
                _write(spool / name, text)
            spool.chmod(0o777 & ~_umask())
            if _is_earlier_result(folder):
                for name in sorted(texts, key=lambda name: name == MAIN_FILE):
                    os.replace(spool / name, folder / name)
                _sync(folder)
            else:
                # Onto a path that is free, or an empty folder.
                os.replace(spool, folder)
            _sync(folder.parent)
        finally:
            shutil.rmtree(spool, ignore_errors=True)


def _check_target(folder: Path) -> None:
    rule = "must be a new or empty folder, or one that holds an earlier result"
    if folder.exists() and not folder.is_dir():
        raise ResultError(f"{folder}: is a file: {rule}")
    if folder.is_dir() and any(folder.iterdir()) and not _is_earlier_result(folder):
        raise ResultError(f"{folder}: holds other things: {rule}")


def _is_earlier_result(folder: Path) -> bool:
    file = folder / MAIN_FILE
    if not file.is_file():
        return False
    with file.open(encoding="utf-8", errors="replace") as text:
        return _MARK in text.readline(LIMIT_BYTES)


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync(folder: Path) -> None:
    """Make the renames last; not every system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _one_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ResultError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ResultError(f"{path}: must be UTF-8 text") from None
