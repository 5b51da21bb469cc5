"""python -m experiments.designs: the machines side by side, with and without STAS (README)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache

from experiments.generated import command, line, markdown, run_case
from experiments.turns import order_cells
from simulator.results.intervals import design_of, intervals
from simulator.results.result import Result
from simulator.results.units import ENERGY

MACHINES = ("dense_pe", "sparse_pe_noskip", "sparse_pe")
TICK_BATCHED = "dataflow.kind=tick_batched"
CASES = (("cifar10", ""), ("cifar10_baseline", ""), ("cifar10_baseline", TICK_BATCHED))
HEADER = (
    "| trace | machine | dataflow | latency ms | utilization | occupancy "
    "| energy µJ (low to high) | of it DRAM "
    "| DRAM MB | active tokens | field µJ, integers as ACs | as MACs |"
)

STAS, T4 = ("sparse_pe", "cifar10"), ("sparse_pe", "cifar10_baseline")
ONE_CHANNEL = "memories.dram.channels=1"
PAIRS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("STAS against T = 4, both timestep by timestep", STAS, T4),
    ("compacting live rows against running them all", STAS, ("sparse_pe_noskip", "cifar10")),
    ("skipping zeros against a dense array, STAS", STAS, ("dense_pe", "cifar10")),
    ("T = 4 tick-batched against timestep by timestep", (*T4, TICK_BATCHED), T4),
    ("STAS against T = 4 tick-batched", STAS, (*T4, TICK_BATCHED)),
    (
        "the same with one DRAM channel for four",
        (*STAS, ONE_CHANNEL),
        (*T4, TICK_BATCHED, ONE_CHANNEL),
    ),
)
TURNS_HEADER = (
    "| first against second | energy, first over second | low to high "
    "| first is cheaper at mW always on (here) | at pJ/bit (here) |"
)


def row(result: Result) -> str:
    """One line of the table: means over the images."""
    images, field = (result.tables[name] for name in ("images", "field_energy"))
    count, found = len(images), intervals(result)
    energy = found.total_pj.times(1 / ENERGY.divisor)
    dram = ENERGY.of(found.by_part()["memories.dram"].nominal)
    by_habit = ENERGY.of(field.groupby("convention").energy_pj.sum() / count)
    tokens = images.active_tokens.sum() / images.token_slots.sum()
    architecture = result.provenance["architecture"]
    cells = [
        result.provenance["trace"]["file"].removesuffix(".npz"),
        architecture["name"],
        architecture["dataflow"],
        f"{images.latency_ms.mean():.2f}",
        f"{images.utilization.mean():.3f}",
        f"{images.pe_occupancy.mean():.3f}",
        f"{energy.nominal:,.0f} ({energy.low:,.0f} to {energy.high:,.0f})",
        f"{dram / energy.nominal:.0%}",
        f"{images.dram_bytes.mean() / 1e6:.1f}",
        f"{tokens:.1%}",
        f"{by_habit['integers_as_acs']:,.0f}",
        f"{by_habit['integers_as_macs']:,.0f}",
    ]
    return line(cells)


@cache
def run(machine: str, trace: str, *overrides: str) -> Result:
    """The result of one case, run once."""
    return run_case(machine, trace, *overrides)


def table() -> str:
    """The whole table in markdown."""
    rows = []
    for trace, override in CASES:
        sets = (override,) if override else ()
        rows += [row(run(machine, trace, *sets)) for machine in MACHINES]
    return markdown(HEADER, rows)


def turns() -> str:
    """Pairs of the table, and two with another DRAM: what their order by energy depends on."""
    rows = []
    for what, one, other in PAIRS:
        designs = [design_of(run(*case)) for case in (one, other)]
        ratio = designs[0].energy.nominal / designs[1].energy.nominal
        rows.append(line([what, f"{ratio:.2f}", *order_cells(*designs)]))
    return markdown(TURNS_HEADER, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or write it between the markers of a file."""
    return command(
        "experiments.designs",
        __doc__ or "",
        "README.md",
        lambda: {"designs": table(), "turns": turns()},
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
