"""Neighbouring images of a trace on a machine: the piece of work that a worker takes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from simulator.architecture import Architecture, as_architecture
from simulator.distributed.executor import Executor
from simulator.distributed.leaving import simulation_of
from simulator.results.result import Result, merge
from simulator.trace import Trace


class Part(NamedTuple):
    """Say what to simulate: images `first` to `stop` - 1; the rest as `simulator.run` takes it.

    `arch`: a file, a shipped name, or a machine that is loaded. `pictured`: of these images the
    result keeps picture and token masks.
    """

    arch: str | Architecture
    overrides: tuple[str, ...]
    trace: str
    engine: str
    command: str
    first: int
    stop: int
    pictured: range = range(0)
    time_only: bool = False


def simulate_part(part: Part, seen: Callable[[range], Iterator[int]] = iter) -> Result:
    """Return the result of a part. `seen` walks over its images, to show progress."""
    with Trace.open(part.trace) as trace:
        architecture = as_architecture(part.arch, part.overrides)
        simulation = simulation_of(
            trace,
            architecture,
            engine=part.engine,
            command=part.command,
            pictured=part.pictured,
            time_only=part.time_only,
        )
        return simulation.run(seen(range(part.first, part.stop)))


def provenance_of(part: Part) -> dict[str, Any]:
    """Return what the provenance of the part's result will be; raises what makes it impossible."""
    with Trace.open(part.trace) as trace:
        architecture = as_architecture(part.arch, part.overrides)
        simulation = simulation_of(trace, architecture, engine=part.engine, command=part.command)
        facts: dict[str, Any] = json.loads(json.dumps(simulation.provenance()))
        return facts


def split(part: Part, size: int) -> list[Part]:
    """Return the same work in parts of at most `size` images."""
    return [
        part._replace(first=first, stop=min(first + size, part.stop))
        for first in range(part.first, part.stop, size)
    ]


def simulate_parts(
    parts: Sequence[Part], executor: Executor, done: Callable[[int], object]
) -> Result:
    """Return one result of all parts, in their order; `done` gets the images of each that ends."""
    results: dict[int, Result] = {}
    for position, result in executor.run(simulate_part, parts):
        results[position] = result
        done(result.images)
    return merge([results[position] for position in range(len(parts))])
