"""python -m reports.designs: the machines side by side, with and without STAS (README)."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from reports.generated import command, line, markdown, run_case
from simulator.results.result import Result

MACHINES = ("dense_pe", "sparse_pe_noskip", "sparse_pe")
TICK_BATCHED = "dataflow.kind=tick_batched"
CASES = (("cifar10", ""), ("cifar10_baseline", ""), ("cifar10_baseline", TICK_BATCHED))
HEADER = (
    "| trace | machine | dataflow | latency ms | utilization | occupancy | energy mJ | of it DRAM "
    "| DRAM MB | active tokens | field mJ, integers as ACs | as MACs |"
)


def row(result: Result) -> str:
    """One line of the table: means over the images."""
    images, actions, field = (result.tables[name] for name in ("images", "actions", "field_energy"))
    count = len(images)
    dram_pj = actions.loc[actions.part == "memories.dram", "energy_pj"].sum() / count
    energy_pj = images.energy_pj.mean()
    by_habit = field.groupby("convention").energy_pj.sum() / count / 1e9
    tokens = images.active_tokens.sum() / images.token_slots.sum()
    architecture = result.provenance["architecture"]
    cells = [
        result.provenance["trace"]["file"].removesuffix(".npz"),
        architecture["name"],
        architecture["dataflow"],
        f"{images.latency_ms.mean():.2f}",
        f"{images.utilization.mean():.3f}",
        f"{images.pe_occupancy.mean():.3f}",
        f"{energy_pj / 1e9:.3f}",
        f"{dram_pj / energy_pj:.0%}",
        f"{images.dram_bytes.mean() / 1e6:.1f}",
        f"{tokens:.1%}",
        f"{by_habit['integers_as_acs']:.3f}",
        f"{by_habit['integers_as_macs']:.3f}",
    ]
    return line(cells)


def table() -> str:
    """The whole table in markdown."""
    rows = []
    for trace, override in CASES:
        sets = (override,) if override else ()
        rows += [row(run_case(machine, trace, *sets)) for machine in MACHINES]
    return markdown(HEADER, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or write it between the markers of a file."""
    return command(
        "reports.designs", __doc__ or "", "README.md", lambda: {"designs": table()}, arguments
    )


if __name__ == "__main__":
    sys.exit(main())
