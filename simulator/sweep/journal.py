"""What a search has done so far, safe on the disk after each point: a file of JSON lines.

The first line says what is searched; every other one is the outcome of a point. Lines are only ever
appended, each reaching the disk before the next is begun, so that a process killed at any moment
loses the points in flight and no other; a last line that was cut off is dropped when work goes on.
Each line carries a hash of itself.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from pydantic import TypeAdapter, ValidationError

from simulator.config.read_back import check_regular, parsed, read_text
from simulator.config.sealed import SEAL, is_sealed, sealed
from simulator.config.staged_file import lock
from simulator.config.wording import shown
from simulator.errors import SpaceError
from simulator.sweep.evaluation import Outcome
from simulator.sweep.space import Point, point_key

NAME = "journal.jsonl"
SCHEMA = "stasim-sweep/2"
MOST_BYTES = 1 << 30
"""A longer journal is refused: some million points."""
_OUTCOME = TypeAdapter(Outcome)
_TRIES, _PAUSE_S = 5, 0.02


class Journal:
    """Keep an open journal, held against other processes: outcomes by point.

    Raises SpaceError if the folder holds something else, another search, or one that is at work.
    """

    def __init__(self, folder: Path, header: Mapping[str, Any]) -> None:
        self.path = folder / NAME
        self.outcomes: dict[str, Outcome] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not self.path.exists() and any(folder.iterdir()):
                raise SpaceError(folder, "must be new or empty, or hold an earlier sweep")
            if self.path.exists():
                check_regular(self.path, MOST_BYTES, SpaceError)
            self._file: IO[bytes] = open(self.path, "a+b")  # noqa: SIM115
        except OSError as error:
            raise SpaceError(folder, f"{error.strerror or error}") from None
        try:
            self._lock()
            self._read({"schema": SCHEMA, **header})
        except BaseException:
            self._file.close()
            raise

    def add(self, points: Sequence[Point], outcomes: Sequence[Outcome]) -> None:
        """Keep the outcomes of some points; they are safe when this returns."""
        lines = [
            json.dumps(sealed({"point": point, **outcome._asdict()}), allow_nan=False)
            for point, outcome in zip(points, outcomes, strict=True)
        ]
        self._append(lines)
        for point, outcome in zip(points, outcomes, strict=True):
            self.outcomes[point_key(point)] = outcome

    def close(self) -> None:
        """Let other processes at it."""
        self._file.close()

    def _append(self, lines: Sequence[str]) -> None:
        self._file.write("".join(f"{line}\n" for line in lines).encode())
        self._file.flush()
        os.fsync(self._file.fileno())

    def _lock(self) -> None:
        # A reader that asks whether a search is at work holds it for a moment.
        for _ in range(_TRIES):
            if lock(self._file.fileno()):
                return
            time.sleep(_PAUSE_S)
        raise SpaceError(self.path.parent, "another process is at work on it")

    def _read(self, header: Mapping[str, Any]) -> None:
        self._file.seek(0)
        content = self._file.read(MOST_BYTES)
        entire = content.rfind(b"\n") + 1
        self._file.truncate(entire)
        lines = content[:entire].decode("utf-8", errors="replace").splitlines()
        if not lines:
            self._append([json.dumps(sealed(header))])
            return
        if _parsed(self.path, 1, lines[0]) != json.loads(json.dumps(sealed(header))):
            rule = "holds another sweep (space, machine, trace or version changed): choose another"
            raise SpaceError(self.path.parent, rule)
        for point, outcome in _entries(self.path, lines):
            self.outcomes[point_key(point)] = outcome


def read_journal(folder: Path) -> list[tuple[Point, Outcome]]:
    """Return what a folder's journal holds, also while a search appends to it.

    Raises SpaceError where there is none, or where a line of it is broken.
    """
    path = folder / NAME
    text = read_text(path, MOST_BYTES, SpaceError)
    return [*_entries(path, text[: text.rfind("\n") + 1].splitlines())]


def is_held(folder: Path) -> bool:
    """Return whether a process holds the folder's journal; True where files have no locks."""
    try:
        with open(folder / NAME, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _entries(path: Path, lines: Sequence[str]) -> Iterator[tuple[Point, Outcome]]:
    """Each point with its outcome, from the lines after the first."""
    for number, line in enumerate(lines[1:], start=2):
        entry = _parsed(path, number, line)
        if not is_sealed(entry):
            raise SpaceError(f"{path}:{number}", shown(line), "has changed")
        point = entry.pop("point", None)
        del entry[SEAL]
        try:
            outcome = _OUTCOME.validate_python(entry, strict=True)
        except ValidationError as error:
            raise SpaceError(_broken(path, number, error)) from None
        if not isinstance(point, dict):
            raise SpaceError(f"{path}:{number}", shown(line), "must be a point's outcome")
        yield point, outcome


def _parsed(path: Path, number: int, line: str) -> dict[str, Any]:
    entry = parsed(line, f"{path}:{number}", SpaceError)
    if not isinstance(entry, dict):
        raise SpaceError(f"{path}:{number}", shown(line), "must be an object")
    return entry


def _broken(path: Path, number: int, error: ValidationError) -> str:
    """The first rule that an outcome breaks."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or "outcome"
    return f"{path}:{number}: {place}: {shown(first['input'])}: {first['msg']}"
