"""Errors of a capture: the module, the user's file and line, and one way out."""

from __future__ import annotations

import re
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from models.errors import ModelError


class SourcePlace(NamedTuple):
    """Name where an operation was called: module, the user's line, the way into the module.

    `site` is equal for calls from the same lines of the same module, as in a loop over time.
    """

    module: str
    line: str
    site: int
    kind: str

    def __str__(self) -> str:
        return f"{self.module or self.kind or 'network'}"


class CaptureError(ModelError):
    """Refuse a network that cannot be captured as it is run: where, why, and a way out."""

    def __init__(self, place: SourcePlace | str, what: str, way_out: str) -> None:
        where = f"{place} at {place.line}" if isinstance(place, SourcePlace) else place
        super().__init__(where, f"{what}; {way_out}")


class OtherCourse(CaptureError):
    """Refuse an image that takes other operations than those of a tape."""


_CHANNELS = re.compile(r"to have (\d+) channels, but got (\d+) channels")
_TIME = re.compile(
    r"\[T, ?N|expected x with shape|Expected \dD|must have at least|too many indices"
)
_SIZES = re.compile(r"mat1 and mat2 shapes cannot be multiplied|size mismatch|shape .* is invalid")


def refused_images(error: Exception, shapes: Sequence[tuple[int, ...]]) -> ModelError:
    """Return one message about images that a network does not take: where, why, and a way out."""
    if isinstance(error, ModelError):
        return error
    said = " ".join(str(error).split())
    facts = ", ".join(map(str, shapes))
    where = _users_line(error)
    if found := _CHANNELS.search(said):
        why = f"it takes {found[1]} channels, and gets {found[2]}"
        way_out = f"give images of {found[1]} channels"
    elif "unexpected keyword argument" in said:
        why = "it does not take the names that a dict batch has"
        way_out = "give lambda **batch: network(batch) where it takes the dict itself"
    elif _TIME.search(said):
        why = "it takes another number of axes"
        way_out = (
            "where it takes (timestep, image, ...), give sequence=True and timesteps=4 "
            "(--sequence --timesteps 4), or time_axis=0 of images that change in time"
        )
    elif _SIZES.search(said):
        why, way_out = said[:120], "give images of the size that the network was made for"
    else:
        why, way_out = f"{type(error).__name__}: {said[:160]}", "it must run on a batch of one"
    return ModelError(f"{where}: the network does not take images of {facts}: {why}; {way_out}")


def _users_line(error: Exception) -> str:
    """The innermost line outside of installed packages and of the capture itself."""
    own = Path(__file__).parent
    lines = [
        f"{Path(frame.filename).name}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if "site-packages" not in frame.filename and own not in Path(frame.filename).parents
    ]
    return lines[-1] if lines else "network"
