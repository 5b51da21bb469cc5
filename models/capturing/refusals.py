"""Errors of a capture: the module, the user's file and line, and one way out."""

from __future__ import annotations

from typing import NamedTuple

from models.errors import ModelError


class Place(NamedTuple):
    """Where an operation was called: the module's name, the user's line, the way into the module.

    `site` is equal for calls from the same lines of the same module, as in a loop over time.
    """

    module: str
    line: str
    site: int
    kind: str

    def __str__(self) -> str:
        return f"{self.module or self.kind or 'network'}"


class CaptureError(ModelError):
    """A network that cannot be captured as it is run; says where, why, and what to do."""

    def __init__(self, place: Place | str, what: str, way_out: str) -> None:
        where = f"{place} at {place.line}" if isinstance(place, Place) else place
        super().__init__(f"{where}: {what}; {way_out}")
