"""The same machines under two accountings: docs/comparison.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from experiments.dumbbells import Dumbbell, dumbbells
from experiments.generated import ROOT, line, markdown, read_page, run_case
from experiments.prosperity.report import CompatReport
from experiments.turns import order_cells
from reports.html import write_html
from simulator.architecture import load_architecture
from simulator.command import command
from simulator.energy.break_even import Design
from simulator.energy.machine import ALWAYS_ON
from simulator.results.intervals import design_of
from simulator.results.result import Result
from simulator.results.units import ENERGY
from simulator.trace import Trace

MACHINES = ("prosperity", "mint", "sato", "ptb", "eyeriss")
TRACES = ("cifar10_baseline", "cifar10", "imagenet_baseline", "imagenet")
COMMAND = "python -m experiments.comparison --write docs"
FIRST_LAYER, ATTENTION, WEIGHTED = "first layer", "attention", "other weighted sums"


class Figures(NamedTuple):
    """Means over the images of a trace: time in ms, energy in µJ, and shares in which they lie.

    `cycles`: of the array's busy cycles by kind of work, and the cycles in which it waits;
    `energy`: by kind of part.
    """

    time_ms: float
    energy_uj: float
    cycles: dict[str, float]
    energy: dict[str, float]


class Case(NamedTuple):
    """A machine on a trace under both accountings."""

    trace: str
    machine: str
    compat: Figures
    full: Figures
    dataflow: str
    priced: Design


def run_both(machine: str, trace: str) -> Case:
    """Run a machine on a trace under both accountings."""
    result = run_case(machine, trace)
    with Trace.open(ROOT / f"traces/{trace}.npz") as opened:
        report = CompatReport(opened, load_architecture(ROOT / f"arch_configs/{machine}.yaml"))
        report.run(range(opened.images))
    runs = report.runs.values()
    compat = Figures(
        sum(run.time_ms for run in runs) / len(runs),
        1e3 * sum(report.energy_mj(run) for run in runs) / len(runs),
        {},
        {},
    )
    dataflow = str(result.provenance["architecture"]["dataflow"])
    return Case(trace, machine, compat, full_figures(result), dataflow, design_of(result))


def full_figures(result: Result) -> Figures:
    """Means and shares of a result."""
    images, layers = result.tables["images"], result.tables["layers"]
    array = layers[layers.kind != "head"]
    first = array.layer == array.layer.iloc[0]
    attention = array.kind.str.contains("attention")
    busy = array.pe_busy_cycles
    total = float(images.latency_cycles.sum())
    cycles = {
        FIRST_LAYER: busy[first].sum() / total,
        ATTENTION: busy[attention].sum() / total,
        WEIGHTED: busy[~first & ~attention].sum() / total,
    }
    cycles["waiting"] = 1 - sum(cycles.values())
    energies = result.tables["energies"]
    energy_pj = float(energies.energy_pj.sum())
    in_dram = energies.part == "memories.dram"
    always = energies.action == ALWAYS_ON
    kinds = {
        "DRAM bits": in_dram & ~always,
        "DRAM always on": in_dram & always,
        "SRAM": energies.part.str.contains("buffer") & ~always,
        "chip always on": always & ~in_dram,
    }
    energy = {
        name: float(energies.energy_pj[rows].sum()) / energy_pj for name, rows in kinds.items()
    }
    energy["logic"] = 1 - sum(energy.values())
    return Figures(images.latency_ms.mean(), ENERGY.of(images.energy_pj.mean()), cycles, energy)


def main_table(cases: Sequence[Case]) -> str:
    """Time and energy under both accountings, with the rank of each."""
    header = "| trace | machine | dataflow in `full` | compat ms | full ms | full / compat "
    header += "| compat µJ | full µJ | low to high | full / compat |"
    rows = []
    for trace in TRACES:
        own = [case for case in cases if case.trace == trace]
        for case in own:
            cells = [trace, case.machine, case.dataflow]
            for field in ("time_ms", "energy_uj"):
                old, new = getattr(case.compat, field), getattr(case.full, field)
                cells += [_ranked(own, case, "compat", field), _ranked(own, case, "full", field)]
                if field == "energy_uj":
                    low, _, high = case.priced.energy.times(1 / ENERGY.divisor)
                    cells.append(f"{three_digits(low)} to {three_digits(high)}")
                cells.append(f"{new / old:.2f}")
            rows.append(line(cells))
    return markdown(header, rows)


def _ranked(own: Sequence[Case], case: Case, accounting: str, field: str) -> str:
    """A figure with its place among the machines of the trace, 1 the best."""
    mine = getattr(getattr(case, accounting), field)
    better = sum(getattr(getattr(other, accounting), field) < mine for other in own)
    return f"{three_digits(mine)} ({better + 1})"


def three_digits(value: float) -> str:
    """Three significant digits, without an exponent."""
    return f"{float(f'{value:.3g}'):,.12g}"


def share_table(cases: Sequence[Case]) -> str:
    """In what the time and the energy of `full` lie."""
    names = (FIRST_LAYER, ATTENTION, WEIGHTED, "waiting")
    parts = ("DRAM bits", "DRAM always on", "SRAM", "logic", "chip always on")
    header = "| trace | machine | " + " | ".join(f"time: {name}" for name in names)
    header += " | " + " | ".join(f"energy: {name}" for name in parts) + " |"
    rows = []
    for case in cases:
        cells = [case.trace, case.machine]
        cells += [f"{case.full.cycles[name]:.1%}" for name in names]
        cells += [f"{case.full.energy[name]:.1%}" for name in parts]
        rows.append(line(cells))
    return markdown(header, rows)


def halting_table(cases: Sequence[Case]) -> str:
    """What STAS saves on each machine under each accounting."""
    header = "| network | machine | compat: time | full: time | compat: energy | full: energy "
    header += "| low to high | STAS is cheaper at mW (here) | at pJ/bit (here) |"
    rows = []
    by_key = {(case.trace, case.machine): case for case in cases}
    for trace in ("cifar10", "imagenet"):
        for machine in MACHINES:
            before, after = by_key[f"{trace}_baseline", machine], by_key[trace, machine]
            cells = [trace, machine]
            for field in ("time_ms", "energy_uj"):
                for accounting in ("compat", "full"):
                    ratio = getattr(getattr(after, accounting), field)
                    ratio /= getattr(getattr(before, accounting), field)
                    cells.append(f"{ratio:.2f}")
            cells += order_cells(after.priced, before.priced)
            rows.append(line(cells))
    return markdown(header, rows)


def rankings(cases: Sequence[Case]) -> str:
    """The order of the machines, best first, under both accountings."""
    lines = []
    for trace in TRACES:
        own = [case for case in cases if case.trace == trace]
        for field, word in (("time_ms", "time"), ("energy_uj", "energy")):
            orders = []
            for accounting in ("compat", "full"):
                key = _key(accounting, field)
                orders.append(" < ".join(case.machine for case in sorted(own, key=key)))
            same = "the same" if orders[0] == orders[1] else f"`full`: {orders[1]}"
            lines.append(f"- {trace}, {word}: `compat`: {orders[0]}; {same}")
    return "\n".join(lines)


def _key(accounting: str, field: str) -> Callable[[Case], float]:
    return lambda case: float(getattr(getattr(case, accounting), field))


def picture(cases: Sequence[Case]) -> str:
    """Both accountings of every machine on every trace, as SVG."""
    panels = []
    for trace in TRACES:
        own = [case for case in cases if case.trace == trace]
        for field, unit in (("time_ms", "ms"), ("energy_uj", "µJ")):
            rows = [
                Dumbbell(case.machine, getattr(case.compat, field), getattr(case.full, field))
                for case in own
            ]
            panels.append((f"{trace}, {unit}", rows))
    return dumbbells(panels, ("prosperity_compat", "full"), "Two accountings of the same machines")


def made_sections(cases: Sequence[Case]) -> dict[str, str]:
    """The sections of the page by the name of their markers."""
    return {
        "accountings": main_table(cases),
        "rankings": rankings(cases),
        "halting": halting_table(cases),
        "shares": share_table(cases),
    }


@command()
def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, or write them and the plot into a folder."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.comparison", description=__doc__, epilog=f"example: {COMMAND}"
    )
    parser.add_argument("--write", metavar="DIR", help="update comparison.md and comparison.svg")
    options = parser.parse_args(arguments)
    cases = [run_both(machine, trace) for trace in TRACES for machine in MACHINES]
    if not options.write:
        print("\n\n".join(made_sections(cases).values()))
        return
    page = Path(options.write) / "comparison.md"
    text = read_page(page, made_sections(cases))
    for path, content in ((page, text), (page.with_suffix(".svg"), picture(cases))):
        write_html(content, path, ours=True)


if __name__ == "__main__":
    sys.exit(main())
