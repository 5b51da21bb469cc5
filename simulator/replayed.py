"""An image of a saved result, replayed from its trace: what the PE arrays did over time."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from simulator.config.shipped import TRACES, file_of
from simulator.distributed.leaving import simulation_of
from simulator.errors import ResultError, TraceError
from simulator.results.intervals import machine_of
from simulator.results.result import Result
from simulator.timeline import StateWindows
from simulator.trace import Trace

__all__ = ["StateWindows", "replayed"]

OTHERS = "other_images"
"""Of a replay, work for other images is busy time of the array."""


def replayed(result: Result, count: int) -> StateWindows:
    """Replay the first image of a result, with those that run beside it, in `count` windows.

    Raises SimulatorError where its trace is not there or the replay is not what the result holds.
    """
    provenance, images = result.provenance, result.tables["images"]
    if provenance.get("accounting", "full") != "full":
        raise ResultError("its accounting has no events")
    together = images["image"].tolist()[: int(images["images_together"].iloc[0])]
    machine = machine_of(result, {})
    with Trace.open(_trace_of(provenance)) as trace:
        found = simulation_of(trace, machine, time_only=True).windows(together, count)
    stalls = result.tables["stalls"]
    own = stalls[(stalls["image"] == together[0]) & (stalls["cause"] != OTHERS)]
    kept = dict(zip(own["cause"], own["stall_cycles"].tolist(), strict=True))
    waited = {name: int(each.sum()) for name, each in found.cycles.items() if name != "busy"}
    if {name: each for name, each in kept.items() if each} != waited:
        raise ResultError("a replay waits for other cycles than this result holds: simulate again")
    return found


def _trace_of(provenance: Mapping[str, Any]) -> Path:
    """The trace of a result, known by its hash. Raises TraceError where it is not there."""
    facts = provenance["trace"]
    for path in _candidates(provenance):
        if path.exists():
            with Trace.open(path) as trace:
                if trace.content_hash == facts["content_hash"]:
                    return path
    raise TraceError(facts["file"], "the trace is not here, or holds something else now")


def _candidates(provenance: Mapping[str, Any]) -> Iterator[Path]:
    """Where a trace may be: where its command found it, here, and among the shipped ones."""
    try:
        given = shlex.split(provenance["command"])
    except ValueError:
        given = []
    for flag, value in itertools.pairwise(given):
        if flag == "--trace":
            yield file_of(value, TRACES, "trace", TraceError)
    file = provenance["trace"]["file"]
    yield from (Path(file), Path("traces") / file, TRACES / file)
