"""A search looked at while it runs: what it has found, each time that this is more."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from simulator.results.sweep_result import SweepResult
from simulator.sweep.live import at_work, so_far

_SURE_S = 3.0
"""A search that nobody is at work on may be about to write its table: for so long it is waited."""


class Found(NamedTuple):
    """Hold what a search has found, and whether it still runs or was cut short."""

    result: SweepResult
    runs: bool = True
    cut_short: bool = False


def watched(folder: str, every_s: float) -> Iterator[Found]:
    """Give what a search has found at once, whenever there is more, and when it has ended.

    A look takes place `every_s` seconds after the use of the one before, or later: looking takes a
    sixth of the time at most. Raises SpaceError where there is no search.
    """
    shown = -1
    while True:
        begun = time.monotonic()
        runs = at_work(folder) or _begins_or_ends(folder)
        result = so_far(folder) if runs else None
        if result is None:
            break
        if len(result.points) != shown:
            shown = len(result.points)
            yield Found(result)
        time.sleep(max(every_s, 5 * (time.monotonic() - begun)))
    cut = so_far(folder)
    yield Found(SweepResult.load(folder) if cut is None else cut, False, cut is not None)


def _begins_or_ends(folder: str) -> bool:
    """Whether a search that nobody is at work on is worked on again soon."""
    until = time.monotonic() + _SURE_S
    while time.monotonic() < until and so_far(folder) is not None:
        time.sleep(0.1)
        if at_work(folder):
            return True
    return False
