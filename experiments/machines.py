"""python -m experiments.machines: area and power of every machine beside what its authors state."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from experiments.generated import ROOT, command, line, markdown, run_case
from simulator.results.result import Result
from simulator.results.summary import summary
from simulator.results.units import number

TRACE = "cifar10_baseline"
HEADER = (
    "| machine | node nm | clock MHz | adders | SRAM KiB | SRAM mm² | logic mm² | "
    "published mm² | always on mW | on chip mW (low to high) | published mW | stated by |"
)


def row(result: Result) -> str:
    """One line of the table."""
    machine, facts = result.provenance["architecture"], summary(result)
    area, document = facts["area"], machine["document"]
    buffers = [*document["cores"][0]["buffers"].values()] * len(document["cores"])
    shared = document["memories"].get("global_buffer")
    sizes = [memory["size_kib"] for memory in [*buffers, *([shared] if shared else [])]]
    cells = [
        machine["name"],
        f"{machine['node_nm']:g}",
        f"{machine['clock_mhz']:g}",
        f"{machine['roofline']['peak_accumulations_per_cycle']}",
        f"{sum(sizes):g}",
        number(area["sram_mm2"]),
        number(area["logic_mm2"]),
        _stated(area["published_area_mm2"]),
        number(area["leakage_uw"] / 1e3),
        f"{number(area['on_chip_power_mw'])} ({number(area['on_chip_power_low_mw'])} to "
        f"{number(area['on_chip_power_high_mw'])})",
        _stated(area["published_power_mw"]),
        area["published_source"] or "",
    ]
    return line(cells)


BOARDS = ("exspike", "fpga_spiking_transformer")
"""Boards as they are, which run their own networks only."""


def _stated(value: float | None) -> str:
    return "not stated" if value is None else f"{value:g}"


def table() -> str:
    """The whole table in markdown, a line a file of arch_configs."""
    names = sorted(path.stem for path in (ROOT / "arch_configs").glob("*.yaml"))
    names = [name for name in names if name not in BOARDS]
    results = [run_case(name, TRACE, images="0:1") for name in names]
    return markdown(HEADER, [row(result) for result in results])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or write it between the markers of a file."""
    what = f"Area and power of every machine, on one image of traces/{TRACE}.npz."
    return command(
        "experiments.machines", what, "docs/machines.md", lambda: {"machines": table()}, arguments
    )


if __name__ == "__main__":
    sys.exit(main())
