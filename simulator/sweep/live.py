"""A search while it runs: what it searches, and the points that its journal holds so far.

    result = so_far("sweeps/small")     # None where no search has begun that has not ended

A search that begins writes what it searches to `sweep.json`; the table that it ends with takes the
place of that file. Reading holds nothing up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulator.config.read_back import read_object
from simulator.config.staged_file import staged_file
from simulator.errors import SpaceError
from simulator.results.sweep_result import MOST_BYTES, PROVENANCE, SCHEMA, SweepResult
from simulator.sweep.evaluation import refused_if_doubtful
from simulator.sweep.journal import is_held, read_journal


def at_work(folder: str | Path) -> bool:
    """Return whether a process is at work on the search in a folder."""
    return is_held(Path(folder))


def begin(folder: Path, provenance: Mapping[str, Any]) -> None:
    """Say what is searched, for readers of a search that has not ended."""
    try:
        with staged_file(folder / PROVENANCE) as file:
            file.write(json.dumps(provenance).encode())
    except OSError as error:
        raise SpaceError(folder, f"{error.strerror or error}") from None


def so_far(folder: str | Path) -> SweepResult | None:
    """Return what a search has found so far; None if none has begun, or it has ended.

    Raises SpaceError for a journal that is broken.
    """
    folder = Path(folder)
    if not (folder / PROVENANCE).exists():
        return None
    try:
        provenance = read_object(folder / PROVENANCE, MOST_BYTES, SpaceError, SCHEMA)
        entries = read_journal(folder)
    except SpaceError:
        if (folder / PROVENANCE).exists():
            raise
        return None  # it ended meanwhile
    judged = [
        (point, refused_if_doubtful(outcome) if provenance.get("strict") else outcome)
        for point, outcome in entries
    ]
    names = [*judged[0][0]] if judged else []
    rows = [(outcome.number, point, outcome._asdict()) for point, outcome in judged]
    place = f"{folder / PROVENANCE}: not a search"
    try:
        found = SweepResult.of(provenance, names, sorted(rows, key=lambda row: row[0]))
    except (KeyError, TypeError):
        raise SpaceError(place, "must say what is searched") from None
    return found.checked(place)
