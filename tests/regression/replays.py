"""What commit bff3e41 said of one image alone, on every shipped machine and trace; and now.

    python -m tests.regression.replays            # every difference, action by action
    python -m tests.regression.replays prosperity # of machines and traces that match

`bff3e41.csv` holds cycles, useful accumulations, dynamic energy and, of the first image, the counts
of each action. `reasons.yaml` names the differences that are meant, each with its reason. Now
`dynamic_energy_pj` is at the prices of then, the table's alone; `priced_pj` at the default ones.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from simulator.architecture import Architecture, load_architecture
from simulator.energy.machine import MachinePrices
from simulator.engine.replay import replay
from simulator.errors import SimulatorError
from simulator.lowering import Lowering, make_plan
from simulator.operations import read_network
from simulator.trace import Trace

TABLE_ALONE = (
    "technology.terms=[]",
    "technology.sram_cells=lstp_300k",
    "technology.dram_power=table",
)
"""The prices of bff3e41."""
HERE = Path(__file__).parent
ROOT = HERE.parents[1]


class Row(NamedTuple):
    """An image on a machine; `counts` by part and action, only of a trace's first image."""

    machine: str
    overrides: str
    trace: str
    image: int
    latency_cycles: int
    useful_accumulations: int
    dynamic_energy_pj: float
    priced_pj: float
    counts: dict[str, int]
    refusal: str

    @property
    def name(self) -> str:
        return f"{self.machine} {self.overrides} {self.trace} {self.image}"


def recorded() -> list[Row]:
    """The rows of the file."""
    with open(HERE / "bff3e41.csv", newline="", encoding="utf-8") as file:
        return [_row(values) for values in csv.DictReader(file)]


def reasons() -> list[dict[str, str]]:
    """The differences that are meant: part of a row's name, what differs, and why."""
    entries: list[dict[str, str]] = yaml.safe_load((HERE / "reasons.yaml").read_text("utf-8")) or []
    return entries


def _row(values: dict[str, str]) -> Row:
    return Row(
        values["machine"],
        values["overrides"],
        values["trace"],
        int(values["image"]),
        int(values["latency_cycles"] or 0),
        int(values["useful_accumulations"] or 0),
        float(values["dynamic_energy_pj"] or 0),
        float(values["dynamic_energy_pj"] or 0),
        json.loads(values["counts"] or "{}"),
        values["refusal"],
    )


def machine(row: Row, prices: tuple[str, ...] = ()) -> Architecture:
    """The machine of a row, at other prices; an override `cores*4` is four equal cores."""
    overrides = [text for text in row.overrides.split(";") if text]
    times = [text for text in overrides if text.startswith("cores*")]
    plain = [text for text in overrides if text not in times] + list(prices)
    architecture = load_architecture(ROOT / "arch_configs" / f"{row.machine}.yaml", plain)
    for text in times:
        cores = architecture.cores * int(text.removeprefix("cores*"))
        architecture = architecture.model_copy(update={"cores": cores})
    return architecture


def today(rows: list[Row]) -> Iterator[tuple[Row, Row]]:
    """Each row as recorded and as it is now; rows of one machine and trace are one batch."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.machine, row.overrides, row.trace), []).append(row)
    for own in groups.values():
        yield from zip(own, _measured(own), strict=True)


def _measured(rows: list[Row]) -> list[Row]:
    architecture = machine(rows[0])
    with Trace.open(ROOT / "traces" / f"{rows[0].trace}.npz") as trace:
        try:
            plan = make_plan(read_network(trace), architecture)
        except SimulatorError as error:
            return [row._replace(refusal=str(error)) for row in rows]
        batch = Lowering(plan).lower([trace.read(row.image) for row in rows])
    prices = MachinePrices(architecture), MachinePrices(machine(rows[0], TABLE_ALONE))
    found = []
    for place, row in enumerate(rows):
        totals = batch.counts[place].sum(axis=0).tolist()
        energies = [
            sum(each.layer_energies_pj(batch.actions, batch.counts[place])) for each in prices
        ]
        counts = {
            ".".join(key): count for key, count in zip(batch.actions, totals, strict=True) if count
        }
        found.append(
            row._replace(
                latency_cycles=replay(batch.program(place)).makespan_cycles,
                useful_accumulations=int(batch.useful_accumulations[place].sum()),
                dynamic_energy_pj=energies[1],
                priced_pj=energies[0],
                counts=counts if row.counts else {},
                refusal="",
            )
        )
    return found


def differences(before: Row, now: Row) -> dict[str, tuple[Any, Any]]:
    """What differs, by name: a column or a counted action; energies may round otherwise."""
    found: dict[str, tuple[Any, Any]] = {}
    for column in ("latency_cycles", "useful_accumulations", "refusal"):
        pair = getattr(before, column), getattr(now, column)
        if pair[0] != pair[1]:
            found[column] = pair
    for column in ("dynamic_energy_pj", "priced_pj"):
        pair = getattr(before, column), getattr(now, column)
        if not math.isclose(*pair, rel_tol=1e-13):
            found[column] = pair
    then, today = _with_dram(before.counts), _with_dram(now.counts)
    for action in sorted(then.keys() | today.keys()):
        counted = then.get(action, 0), today.get(action, 0)
        if counted[0] != counted[1]:
            found[action] = counted
    return found


def _with_dram(counts: dict[str, int]) -> dict[str, int]:
    """Counts with all bits that pass the DRAM, whichever way."""
    moved = sum(counts.get(f"memories.dram.{way}_bit", 0) for way in ("read", "write"))
    return counts | {"dram_bits": moved}


def unexplained(before: Row, now: Row) -> dict[str, tuple[Any, Any]]:
    """Differences that no reason names."""
    named = [entry["differs"] for entry in reasons() if entry["where"] in before.name]
    return {
        what: pair
        for what, pair in differences(before, now).items()
        if not any(what.startswith(prefix) for prefix in named)
    }


def main(wanted: list[str]) -> int:
    """Print every difference; 1 if one of them has no reason."""
    rows = [row for row in recorded() if all(text in row.name for text in wanted)]
    bad = 0
    for before, now in today(rows):
        found, open_ = differences(before, now), unexplained(before, now)
        bad += bool(open_)
        for what, (then, new) in found.items():
            mark = "NO REASON" if what in open_ else "meant"
            print(f"{before.name}: {what}: {then} -> {new} ({mark})")
    print(f"{len(rows)} images, {bad} with differences that have no reason")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
