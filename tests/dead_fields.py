"""Which numeric fields of a machine move a result: `python -m tests.dead_fields [MACHINE ...]`.

Each is doubled, halved, raised by one, multiplied by 8 and divided by 64 (a flag is flipped), on
small traces, until one of the values moves a cycle, a count or an energy.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from simulator.architecture import Architecture, load_architecture
from simulator.energy.area import machine_area
from simulator.energy.machine import energy_table
from simulator.errors import SimulatorError
from simulator.results.columns import equal
from simulator.simulate import Simulation
from simulator.trace import Trace
from tests.factories import tiny_content

UNSIMULATED = ("schema", "name", "source", "published")
TABLES = ("images", "layers", "units", "stalls", "actions")
MOVES, AREA, REFUSED, NOTHING = "moves", "area", "refused", "moves nothing"
SMALL: tuple[dict[str, Any], ...] = (
    {"timesteps": 3, "halting": "two_dimensional", "density": 0.4},
    {"timesteps": 4, "halting": "none", "tokens": 64, "channels": 160, "heads": 5, "density": 0.2},
    {"timesteps": 3, "halting": "none", "tokens": 64, "channels": 160, "integrate": False},
    {"timesteps": 2, "halting": "none", "tokens": 64, "channels": 16, "density": 0.02},
)


def small_traces(folder: Path) -> list[Trace]:
    """Return a trace that halts, and others that do not; half of each image is black."""
    paths = []
    for place, options in enumerate(SMALL):
        content = tiny_content(images=1, blocks=2, **options)
        picture = content.images[0].tensors["sps.image"]
        picture[:, :, : picture.shape[2] // 2] = 0
        paths.append(content.write(folder / f"{place}.npz"))
    return [Trace.open(path) for path in paths]


class Machine:
    """A machine file, and what it gives on traces, each made when it is first asked for."""

    def __init__(self, path: Path, traces: Sequence[Trace]) -> None:
        self.architecture = load_architecture(path)
        self.document = self.architecture.model_dump(mode="json", by_alias=True)
        self.traces = traces
        self.before = [outcome(self.architecture, trace) for trace in traces[:1]]

    def fields(self) -> dict[str, float]:
        """Return each numeric field, defaults included, by its path."""
        own = dict(self.document)
        cores = own.pop("cores")
        own["cores"] = {"count": len(cores), **cores[0]}
        return {
            ".".join(path): value
            for path, value in leaves(own)
            if path[0] not in UNSIMULATED and isinstance(value, int | float)
        }

    def verdict(self, field: str, value: float) -> str:
        """Return whether a field moves a result, the area, nothing, or takes no other value."""
        changed = [self.with_value(field, each) for each in others(value)]
        machines = [each for each in changed if each is not None]
        ran = False
        for place, trace in enumerate(self.traces):
            if place == len(self.before):
                self.before.append(outcome(self.architecture, trace))
            for machine in machines:
                found = outcome(machine, trace)
                if found is None or self.before[place] is None:
                    continue
                ran = True
                if found != self.before[place]:
                    return MOVES
        if not ran:
            return REFUSED
        areas = {str(area_of(each)) for each in [self.architecture, *machines]}
        return AREA if len(areas) > 1 else NOTHING

    def with_value(self, field: str, value: float) -> Architecture | None:
        """Return the machine with another value of a field; None where it is refused."""
        document = dict(self.document)
        cores = document["cores"]
        document["cores"] = {"count": len(cores), **cores[0]}
        try:
            return Architecture.model_validate(put(document, field.split("."), value))
        except (ValidationError, SimulatorError):
            return None


class Outcome:
    """What a run gives: equal where cycles, counts and energies are."""

    def __init__(self, tables: Mapping[str, Any]) -> None:
        self.tables = tables

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, Outcome)
        return all(equal(self.tables[name], other.tables[name]) for name in TABLES)

    __hash__ = None  # type: ignore[assignment]


def outcome(architecture: Architecture, trace: Trace) -> Outcome | None:
    """Return what a run gives; None where the machine is refused."""
    try:
        simulation = Simulation(trace, architecture)
    except SimulatorError:
        return None
    return Outcome(simulation.tables(trace.read_batch([0])))


def area_of(architecture: Architecture) -> Any:
    """Return the area of a machine; None where its table is of another node."""
    try:
        return machine_area(architecture, energy_table(architecture))
    except SimulatorError:
        return None


def others(value: float) -> list[float]:
    """Return other values to try."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        tried: tuple[int, ...] = (2 * value, value // 2, value + 1, 8 * value, value // 64, 1)
        tried += (4096,) if value == 0 else ()
        return [each for each in dict.fromkeys(tried) if each > 0 and each != value]
    return [2 * value, value / 2] if value else [1.0]


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the path and the value of each scalar."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    else:
        yield path, value


def put(document: Any, path: Sequence[str], value: Any) -> Any:
    """Return the document with another value at a path."""
    if not path:
        return value
    return {**document, path[0]: put(document[path[0]], path[1:], value)}


def main() -> None:
    """Print the fields that move nothing, machine by machine."""
    parser = argparse.ArgumentParser(prog="python -m tests.dead_fields", description=__doc__)
    parser.add_argument("machines", nargs="*", type=Path, metavar="FILE")
    paths = parser.parse_args().machines or sorted(Path("arch_configs").glob("*.yaml"))
    with tempfile.TemporaryDirectory() as folder:
        traces = small_traces(Path(folder))
        for path in paths:
            machine = Machine(path, traces)
            verdicts = {name: machine.verdict(name, v) for name, v in machine.fields().items()}
            moving = sum(verdict == MOVES for verdict in verdicts.values())
            print(f"{path.stem}: {moving} of {len(verdicts)} fields move a result", flush=True)
            for field, verdict in verdicts.items():
                if verdict != MOVES:
                    print(f"  {field}: {verdict}", flush=True)


if __name__ == "__main__":
    main()
