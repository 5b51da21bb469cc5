"""python -m reports.designs: the machines side by side, with and without STAS (README)."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from simulator.errors import SimulatorError
from simulator.result import Result

MACHINES = ("dense_pe", "sparse_pe_noskip", "sparse_pe")
TICK_BATCHED = "dataflow.kind=tick_batched"
CASES = (("cifar10", ""), ("cifar10_baseline", ""), ("cifar10_baseline", TICK_BATCHED))
BEGIN, END = "<!-- designs: begin", "<!-- designs: end -->"
HEADER = (
    "| trace | machine | dataflow | latency ms | utilization | occupancy | energy mJ | of it DRAM "
    "| DRAM MB | active tokens | field mJ, integers as ACs | as MACs |"
)


def run_case(root: Path, machine: str, trace: str, override: str) -> Result:
    """The result of one run of the main command in a process of its own."""
    command = [sys.executable, "-m", "simulator.run", "--json"]
    command += ["--arch", f"arch_configs/{machine}.yaml", "--trace", f"traces/{trace}.npz"]
    command += ["--set", override] if override else []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "result.json"
        with file.open("w") as output:
            subprocess.run(command, cwd=root, check=True, stdout=output)
        return Result.load(file)


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
    return "| " + " | ".join(cells) + " |"


def table(root: Path) -> str:
    """The whole table in markdown."""
    lines = [HEADER, "|---" * HEADER.count(" | ") + "|---|"]
    for trace, override in CASES:
        lines += [row(run_case(root, machine, trace, override)) for machine in MACHINES]
    return "\n".join(lines)


def replaced(text: str, made: str) -> str:
    """`text` with the lines between its markers replaced."""
    first = text.index("\n", text.index(BEGIN)) + 1
    return text[:first] + made + "\n" + text[text.index(END) :]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or write it between the markers of a file."""
    parser = argparse.ArgumentParser(prog="python -m reports.designs", description=__doc__)
    parser.add_argument("--write", metavar="FILE", help="replace the table between its markers")
    options = parser.parse_args(arguments)
    root = Path(__file__).parents[1]
    try:
        made = table(root)
    except (SimulatorError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 2
    if not options.write:
        print(made)
        return 0
    path = Path(options.write)
    path.write_text(replaced(path.read_text("utf-8"), made), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
