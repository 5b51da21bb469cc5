"""List the numeric fields of machines that move nothing in a result: no test yet, a script.

python -m tests.dead_fields arch_configs/dense_pe.yaml

Each field is doubled, halved and raised by one (a flag is flipped), on two small traces. "area" is
a field that moves the area alone, "refused" one that takes no other value here. A machine takes
a minute or more. dense_pe now: 30 of 36 move; voltage_v, weight_bits, local_weight_chunks and
reuse_static_input move nothing, node_nm and the mask buffer's banks take no other value.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from simulator.architecture import load_architecture
from simulator.errors import SimulatorError
from simulator.results.result import Result
from simulator.simulate import Simulation
from simulator.trace import Trace
from tests.factories import tiny_trace

UNSIMULATED = ("schema", "name", "source", "published")
TABLES = ("images", "layers", "units", "stalls", "actions", "leakage", "prices")


def main() -> None:
    """Print the fields that move nothing, machine by machine."""
    parser = argparse.ArgumentParser(prog="python -m tests.dead_fields", description=__doc__)
    parser.add_argument("machines", nargs="*", type=Path, metavar="FILE")
    machines = parser.parse_args().machines or sorted(Path("arch_configs").glob("*.yaml"))
    with tempfile.TemporaryDirectory() as folder:
        traces = small_traces(Path(folder))
        for machine in machines:
            verdicts = fields_of(machine, traces, Path(folder) / "changed.yaml")
            moving = sum(verdict == "moves" for verdict in verdicts.values())
            print(f"{machine.stem}: {moving} of {len(verdicts)} fields move a result")
            for field, verdict in verdicts.items():
                if verdict != "moves":
                    print(f"  {field}: {verdict}")


def small_traces(folder: Path) -> list[Trace]:
    """Return a trace that halts in both directions and one that does not halt."""
    halting = {"timesteps": 3, "halting": "two_dimensional"}
    still = {"timesteps": 4, "halting": "none"}
    return [
        Trace.open(tiny_trace(folder / f"{place}.npz", images=1, blocks=2, **options))
        for place, options in enumerate((halting, still))
    ]


def fields_of(machine: Path, traces: list[Trace], scratch: Path) -> dict[str, str]:
    """Return by field whether it moves a result, the area, nothing, or is refused."""
    document = yaml.safe_load(machine.read_text(encoding="utf-8"))
    base = outcome(document, traces, scratch)
    verdicts = {}
    for path, value in leaves(document):
        if path[0] in UNSIMULATED or not isinstance(value, int | float):
            continue
        found = [outcome(put(document, path, each), traces, scratch) for each in others(value)]
        ran = [each for each in found if each is not None]
        assert base is not None
        verdicts[".".join(map(str, path))] = (
            "refused"
            if not ran
            else "moves"
            if any(each[0] != base[0] for each in ran)
            else "area"
            if any(each[1] != base[1] for each in ran)
            else "moves nothing"
        )
    return verdicts


def others(value: float) -> list[float]:
    """Return other values to try."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [each for each in (2 * value, value // 2, value + 1) if each > 0]
    return [2 * value, value / 2]


def outcome(
    document: dict[str, Any], traces: list[Trace], scratch: Path
) -> tuple[list[str], str] | None:
    """Return the tables and the area of a run; None where the machine is refused."""
    scratch.write_text(yaml.safe_dump(document), encoding="utf-8")
    try:
        architecture = load_architecture(scratch)
        results = [Simulation(trace, architecture).run([0]) for trace in traces]
    except SimulatorError:
        return None
    area = json.dumps(results[0].provenance["architecture"]["area"])
    return [text for result in results for text in _texts(result)], area


def _texts(result: Result) -> Iterator[str]:
    for name in TABLES:
        yield result.tables[name].drop(columns="source", errors="ignore").to_csv()


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[Any, Any]]:
    """Yield the path and the value of each scalar."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*path, key))
    else:
        yield path, value


def put(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return the document with another value at a path."""
    if not path:
        return value
    changed = dict(document) if isinstance(document, dict) else list(document)
    changed[path[0]] = put(document[path[0]], path[1:], value)
    return changed


if __name__ == "__main__":
    main()
