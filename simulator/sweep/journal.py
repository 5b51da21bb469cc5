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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from pydantic import TypeAdapter, ValidationError

from simulator.config.read_back import check_regular, parsed
from simulator.config.sealed import SEAL, is_sealed, sealed
from simulator.config.wording import shown
from simulator.errors import SpaceError
from simulator.sweep.evaluation import Outcome
from simulator.sweep.space import Point, point_key

NAME = "journal.jsonl"
SCHEMA = "stasim-sweep/2"
MOST_BYTES = 1 << 30
"""A longer journal is refused: some million points."""
_OUTCOME = TypeAdapter(Outcome)


class Journal:
    """An open journal, held against other processes: outcomes by point.

    Raises SpaceError if the folder holds something else, another search, or one that is at work.
    """

    def __init__(self, folder: Path, header: Mapping[str, Any]) -> None:
        self.path = folder / NAME
        self.outcomes: dict[str, Outcome] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not self.path.exists() and any(folder.iterdir()):
                raise SpaceError(f"{folder}: must be new or empty, or hold an earlier sweep")
            if self.path.exists():
                check_regular(self.path, MOST_BYTES, SpaceError)
            self._file: IO[bytes] = open(self.path, "a+b")  # noqa: SIM115
        except OSError as error:
            raise SpaceError(f"{folder}: {error.strerror or error}") from None
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
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            rule = "another process is at work on it"
            raise SpaceError(f"{self.path.parent}: {rule}") from None
        except OSError:
            pass  # a file system without locks

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
            raise SpaceError(f"{self.path.parent}: {rule}")
        for number, line in enumerate(lines[1:], start=2):
            entry = _parsed(self.path, number, line)
            if not is_sealed(entry):
                raise SpaceError(f"{self.path}:{number}: {shown(line)}: has changed")
            point = entry.pop("point", None)
            del entry[SEAL]
            try:
                outcome = _OUTCOME.validate_python(entry, strict=True)
            except ValidationError as error:
                raise SpaceError(_broken(self.path, number, error)) from None
            if not isinstance(point, dict):
                raise SpaceError(f"{self.path}:{number}: {shown(line)}: must be a point's outcome")
            self.outcomes[point_key(point)] = outcome


def _parsed(path: Path, number: int, line: str) -> dict[str, Any]:
    entry = parsed(line, f"{path}:{number}", SpaceError)
    if not isinstance(entry, dict):
        raise SpaceError(f"{path}:{number}: {shown(line)}: must be an object")
    return entry


def _broken(path: Path, number: int, error: ValidationError) -> str:
    """The first rule that an outcome breaks."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or "outcome"
    return f"{path}:{number}: {place}: {shown(first['input'])}: {first['msg']}"
