"""python -m experiments.peers: our figures beside those of other simulators, in percent.

Reads their figures from a folder that is not part of this project, and writes its sections of
docs/validation.md between their markers.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.counted import counted_tiles
from experiments.dram_streams import read_rows
from experiments.generated import RECORDED, command, table
from experiments.peer_figures import PUBLISHED, figures, names, workload
from experiments.prosperity.designs import run_design
from experiments.prosperity.energy import DRAM_PJ_PER_BIT, energy_mj, published
from experiments.prosperity.prosperity import dram_bits
from simulator.components.base import build
from simulator.components.pe_arrays.base import PEArray
from simulator.errors import ResultError

PAGE = "docs/validation.md"
DESIGNS = ("Eyeriss_linear", "PTB", "SATO", "MINT", "Prosperity")
PUBLISHED_BITS = {
    "spikformer_cifar10": 140_574_720,
    "spikformer_cifar100": 140_574_720,
    "spikformer_cifar10dvs": 217_841_664,
    "sdt_cifar10": 241_565_696,
    "sdt_cifar100": 241_565_696,
    "sdt_cifar10dvs": 549_388_288,
}
"""reference/mem_reference.csv of github.com/dubcyfor3/Prosperity."""


def made_sections(oracles: Path) -> dict[str, str]:
    """The tables by the name of their markers. Raises ResultError where figures are absent."""
    folder = oracles / "prosperity"
    found = names(folder)
    if not found:
        raise ResultError(folder, "holds no NAME.npz with NAME.expected.json beside it")
    return {
        "prosperity-shapes": shapes_table(),
        "prosperity-operations": operations_table(folder, found),
        "prosperity-energy": energy_table(),
        "prosperity-random": random_table(folder, found),
        "scalesim": scalesim_table(oracles / "scalesim" / "gemm_cycles.csv"),
    }


def percent(ours: float, theirs: float) -> str:
    """How much larger ours is."""
    deviation = round(100 * (ours / theirs - 1), 4)
    return f"{deviation:+.4f} %" if deviation else "0 %"


def shapes_table() -> str:
    """What follows from shapes alone: DRAM bits and Eyeriss."""
    rows = []
    for name, operations in PUBLISHED.items():
        bits = dram_bits(operations)
        row = [name, f"{bits:,}", percent(bits, PUBLISHED_BITS[name])]
        for design in ("Eyeriss", "Eyeriss_linear"):
            ours = run_design(design, operations).time_ms
            theirs = published()[name, design].time_ms or 0.0
            row += [f"{ours:.6f}", percent(ours, theirs)]
        rows.append(row)
    header = ["workload", "DRAM bits", "deviation"]
    return table([*header, "Eyeriss ms", "deviation", "Eyeriss_linear ms", "deviation"], rows)


def operations_table(folder: Path, found: Sequence[str]) -> str:
    """Every operation of every design: how many agree, and the largest deviation."""
    rows = []
    for name in found:
        operations = workload(folder, name)
        for design, theirs in figures(folder, name).items():
            run = run_design(design, operations)
            costs = {cost.name: cost.counted_cycles for cost in run.operations}
            pairs = [
                (costs[op["op"]], op["counted_cycles"])
                for op in theirs["ops"]
                if op["op"] in costs and op["counted_cycles"]
            ]
            equal = sum(ours == peer for ours, peer in pairs)
            worst = max((abs(ours / peer - 1) for ours, peer in pairs), default=0.0)
            total = theirs["total_cycles"]
            rows.append(
                [
                    name,
                    design,
                    f"{run.total_cycles:,.0f}",
                    percent(run.total_cycles, total),
                    f"{equal} of {len(pairs)}",
                    f"{100 * worst:.4f} %",
                    f"{run.product_density:.11f}" if design == "Prosperity" else "",
                ]
            )
    header = ["spikes", "design", "cycles", "deviation", "operations equal"]
    return table([*header, "largest deviation", "product density"], rows)


def energy_table() -> str:
    """Published times priced by the rule, beside the published energies."""
    deviations: dict[str, list[float]] = {}
    for (name, design), figure in published().items():
        ours = published()[name, "Prosperity"]
        if design in ("A100", "Stellar") or figure.time_ms is None or figure.energy_mj is None:
            continue
        assert ours.time_ms is not None
        assert ours.energy_mj is not None
        chip = energy_mj("Prosperity", ours.time_ms, 0)
        bits = round((ours.energy_mj - chip) / (DRAM_PJ_PER_BIT * 1e-9))
        if name in PUBLISHED_BITS:
            bits = PUBLISHED_BITS[name]
        found = energy_mj(design, figure.time_ms, bits)
        deviations.setdefault(design, []).append(abs(found / figure.energy_mj - 1))
    rows = [
        [design, str(len(each)), f"{100 * max(each):.7f} %"] for design, each in deviations.items()
    ]
    return table(["design", "workloads", "largest deviation of energy"], rows)


def random_table(folder: Path, found: Sequence[str]) -> str:
    """Random spikes of the published density against the published times of real spikes."""
    name = "spikformer_cifar10_bernoulli"
    rows = []
    operations = workload(folder, name) if name in found else []
    for design in DESIGNS if operations else ():
        ours = run_design(design, operations).time_ms
        theirs = published()["spikformer_cifar10", design].time_ms or 0.0
        rows.append([design, f"{ours:.3f}", f"{theirs:.3f}", f"{100 * (ours / theirs - 1):+.1f} %"])
    return table(["design", "random spikes, ms", "published, ms", "deviation"], rows)


def scalesim_table(path: Path) -> str:
    """The dense array beside SCALE-Sim."""
    rows = []
    for row in read_rows(path):
        m, n, k = (int(row[key]) for key in ("m", "n", "k"))
        ours = dense_cycles(row["dataflow"], int(row["rows"]), int(row["cols"]), (m, k, n))
        theirs = int(row["total_cycles"])
        shape = f"{m} x {k} by {k} x {n}"
        figures_found = (f"{ours:,}", f"{theirs:,}", percent(ours, theirs))
        rows.append([row["dataflow"], row["layer"], shape, *figures_found])
    return table(["order", "layer", "product", "ours", "SCALE-Sim 3.0.0", "deviation"], rows)


def dense_cycles(stationary: str, rows: int, columns: int, shape: tuple[int, int, int]) -> int:
    """Cycles of a product of M x K by K x N on the dense array, the last one counted from 0."""
    m, k, n = shape
    array = build(
        "pe_arrays",
        {
            "kind": "dense_systolic",
            "rows": rows,
            "columns": columns,
            "stationary": stationary,
            "tile_outputs": 65536,
        },
    )
    assert isinstance(array, PEArray)
    size = array.tile_inputs or k
    inputs = np.minimum(size, k - np.arange(0, k, size)).astype(np.int64)
    tiles = counted_tiles(np.zeros((m, len(inputs)), np.int64), inputs, n)
    return int(array.cost(tiles).cycles.sum()) * -(-n // array.tile_columns) - 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the sections, or write them between the markers of a file."""
    what = "Compare our figures with those of other simulators."
    said = "folder with prosperity/*.npz, *.expected.json and scalesim/gemm_cycles.csv"
    paths = {"oracles": (RECORDED, said)}
    return command("experiments.peers", what, PAGE, made_sections, arguments, paths)


if __name__ == "__main__":
    sys.exit(main())
