"""python -m simulator.calibrate: the model's cycles against those of the RTL, case by case.

Prints the tables and, with --write, puts them into a page. Everything on it but the machine that
it ran on follows from the architecture, the trace and the sources.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.command import check_counts, command, program

if TYPE_CHECKING:
    from simulator.hil.calibration import CalibrationSetting, Count, Row, UnitCost

EXAMPLE = (
    "python -m simulator.calibrate --arch arch_configs/sparse_pe.yaml --trace traces/cifar10.npz"
)
TEXT = """\
# The model against RTL

`simulator/hil/rtl` holds the flagship's units in SystemVerilog: the spike-skip array, the compacting token-skip unit, the LIF unit, and a layer engine that runs
linear layers, attention and their neurons from on-chip memories over a weight port of the machine's width. Verilator compiles it. Both sides get the same spikes and
masks, those of a shipped trace; the RTL's results are compared with the integer matrix product and the neuron's formula, bit for bit. This page is what

<!-- not run by the tests: it takes a minute or two; some of its lines are made again by a test of their own -->
```bash
{command}
```

prints (machine `{machine}`, trace `{trace}`, image {image}). It needs `pip install -e '.[rtl]'` and a C++ compiler; the last section yosys and osu018, which `make packages` installs.

## Cycles

`differing`: pieces whose cycles are not equal. `wrong`: results that are not. `activity`: share of the array's lane-cycles, while it is busy, in which a weight is added; for
mask scans, the share of tokens that live. Deviation is (model - RTL) / RTL.

{rows}
{summary}
What the deviations of layers and blocks are:

- The first word of a layer reaches the array three cycles after the layer may begin (row list, operand memory, queue); the model lets it begin at once.
- Results of short words queue up for the one merge port. The model gives the sums three cycles after a tile's last bit; the RTL waits until the queue is empty. It shows
  where a tile is about as long as its drain: attention scores.
- A timestep at which no token of the block lives is not issued to the RTL: whoever issues layers knows it from the halting decision.

In these cases all data lie on chip: scores and transposed values are put there by the host, and membranes of the attention's context are not carried from one timestep to the next.
Weights are random, since traces hold none; they do not change a cycle. In the RTL each block of partial sums is a memory with a read and a write port, and the row list is read by position.

{network}## What the units did

Counts of the linear layers of block {block} over all timesteps: the RTL's own, and the actions that the model counts and prices.

{counts}
## Gates, toggles and switching energy

{gates}"""
GATES = """\
The units as gates of **osu018, a 180 nm library at 1.8 V** (Oklahoma State University, as in Debian's qflow-tech-osu018), made by yosys, fed with the same trace and simulated gate by
gate; their results are checked. Switching energy is half the capacitance of the driven pins times the voltage squared for each toggle, plus what the library states for the inside of a
cell. Not in it: wires, glitches, memories (the PE row's copies of the weights are a box outside). The clock pins of flip-flops are a column of their own: this RTL gates no clock, and
no table here prices a clock. **Nothing is scaled to another node: only ratios between units can be held against the energy table** (`{table}`).

{units}
{ratios}
{verdict}"""
NO_GATES = "Not measured on the machine that made this page: yosys or osu018 (Debian: yosys, qflow-tech-osu018) is not there.\n"


@command()
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    _run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("simulator.calibrate"),
        description="Hold the model's cycles against those of the RTL, and its energies' ratios.",
        epilog=f"example: {EXAMPLE} --write docs/calibration.md",
    )
    add = parser.add_argument
    add("--arch", required=True, metavar="FILE", help="architecture file whose array has RTL")
    add("--trace", required=True, metavar="FILE", help="trace file")
    add("--image", type=int, default=0, metavar="N", help="image of the trace (default 0)")
    add("--tiles", type=int, default=1000, metavar="N", help="tiles to draw (default 1000)")
    add("--block", type=int, default=1, metavar="N", help="block whose layers run alone")
    add("--no-gates", action="store_true", help="leave synthesis and switching energy out")
    add("--network", metavar="FILE", help="fixed-point network to run whole (models.fixed_point)")
    add("--network-trace", metavar="FILE", help="a trace of that network, for its layers")
    add("--digits", type=int, default=20, metavar="N", help="images of it to run (default 20)")
    add("--calibrated", metavar="FILE", help="write the machine with what was measured there")
    add("--write", metavar="FILE", help="write the page there too")
    return parser


def command_of(options: argparse.Namespace) -> str:
    """The command that makes the page, as the page shows it."""
    words = ["python", "-m", "simulator.calibrate", "--arch", options.arch]
    words += ["--trace", options.trace]
    for name, default in (("image", 0), ("tiles", 1000), ("block", 1)):
        value = getattr(options, name)
        words += [f"--{name}", str(value)] if value != default else []
    words += ["--no-gates"] if options.no_gates else []
    words += ["--network", options.network] if options.network else []
    words += ["--network-trace", options.network_trace] if options.network_trace else []
    words += ["--digits", str(options.digits)] if options.digits != 20 else []
    words += ["--calibrated", options.calibrated] if options.calibrated else []
    words += ["--write", options.write] if options.write else []
    return shlex.join(words)


def _run(options: argparse.Namespace) -> None:
    page = _page(options)
    print(page)
    if options.write:
        _write(Path(options.write), page)


def _page(options: argparse.Namespace) -> str:
    """The whole page."""
    from simulator.errors import DeviceError
    from simulator.hil import calibration

    check_counts(options, "tiles", error=DeviceError)
    setting = calibration.open_setting(options.arch, options.trace, options.image)
    if not 0 <= options.block < setting.blocks:
        raise DeviceError(f"--block {options.block}: must be one of 0 to {setting.blocks - 1}")
    rows = _rows(setting, options)
    plan = setting.plan
    return TEXT.format(
        command=command_of(options),
        machine=plan.architecture.name,
        trace=Path(options.trace).name,
        image=options.image,
        block=options.block,
        rows=rows_table(rows),
        summary=_summary(rows),
        network=_network(options),
        counts=_counts(calibration.action_counts(setting, options.block)),
        gates=NO_GATES if options.no_gates else _gates(setting, options.block),
    )


def _rows(setting: CalibrationSetting, options: argparse.Namespace) -> list[Row]:
    """All cases of the error table."""
    from simulator.hil import calibration

    rows = [calibration.tile_row(setting, options.tiles)]
    scans = calibration.scan_row(setting)
    rows += [scans] if scans else []
    port = calibration.engine_port(setting)
    rows += calibration.layer_rows(setting, options.block, f"port {port} bits")
    narrow = calibration.narrow_port(setting.plan.architecture)
    if narrow:
        other = calibration.open_setting(options.arch, options.trace, options.image, [narrow])
        port = calibration.engine_port(other)
        rows += calibration.layer_rows(other, options.block, f"port {port} bits")
    return rows + calibration.block_rows(setting)


def _network(options: argparse.Namespace) -> str:
    """The section of a whole network; writes the calibrated machine where one is asked for."""
    from simulator.errors import DeviceError
    from simulator.hil.network import page

    if not options.network:
        if options.calibrated:
            raise DeviceError("--calibrated: needs --network, which is measured")
        return page.NO_NETWORK
    if not options.network_trace:
        raise DeviceError("--network: needs --network-trace, a trace of the same network")
    check_counts(options, "digits", error=DeviceError)
    return page.measured_section(
        options.arch,
        Path(options.network),
        options.network_trace,
        options.digits,
        Path(options.calibrated) if options.calibrated else None,
    )


def rows_table(rows: Iterable[Row]) -> str:
    """The error table in Markdown."""
    head = ("case", "pieces", "RTL cycles", "model cycles", "deviation", "differing", "wrong")
    return _table(
        (*head, "activity"),
        (
            (
                row.case,
                f"{row.pieces:,}",
                f"{row.rtl_cycles:,}",
                f"{row.model_cycles:,}",
                f"{row.deviation:+.3%}",
                f"{row.differing}",
                f"{row.wrong}",
                f"{row.activity:.3f}",
            )
            for row in rows
        ),
    )


def _summary(rows: Sequence[Row]) -> str:
    blocks = [row for row in rows if row.case.startswith("block ")]
    rtl, model = (sum(row.rtl_cycles for row in blocks), sum(row.model_cycles for row in blocks))
    worst = max(blocks, key=lambda row: abs(row.deviation))
    return (
        f"All encoder blocks of the image together: {rtl:,} cycles of RTL, {model:,} of the model, "
        f"{model / rtl - 1:+.3%}; the worst is {worst.case}, {worst.deviation:+.3%}.\n"
    )


def _counts(counts: Iterable[Count]) -> str:
    return _table(
        ("what", "RTL", "model", "difference"),
        (
            (each.what, f"{each.rtl:,}", f"{each.model:,}", f"{each.model - each.rtl}")
            for each in counts
        ),
    )


def _gates(setting: CalibrationSetting, block: int) -> str:
    """Areas and energies of the units as gates, or why there are none."""
    from simulator.errors import DeviceError
    from simulator.hil import calibration

    try:
        costs = calibration.unit_costs(setting, block)
    except DeviceError as error:
        print(f"{error}; the page says so", file=sys.stderr)
        return NO_GATES
    return GATES.format(
        table=setting.plan.architecture.technology.energy_table,
        units=_unit_table(costs),
        ratios=_ratio_table(costs),
        verdict=_verdict(costs),
    )


def _unit_table(costs: Sequence[UnitCost]) -> str:
    rows = []
    for cost in costs:
        made, energy = cost.activity, cost.activity.energy
        cells = sum(made.gates.cells.values()) - made.gates.cells.get("sram_1r1w", 0)
        rows.append(
            (
                made.unit,
                f"{cells:,}",
                f"{len(made.gates.state):,}",
                f"{made.gates.area_um2:,.0f}",
                f"{energy.cycles:,}",
                f"{energy.toggles:,}",
                f"{energy.switching_pj:,.0f}",
                f"{energy.clock_pj:,.0f}",
            )
        )
    head = ("unit", "cells", "flip-flops among them", "area µm² at 180 nm", "cycles", "toggles")
    return _table((*head, "switching pJ at 180 nm", "clock pins pJ at 180 nm"), rows)


def _ratio_table(costs: Sequence[UnitCost]) -> str:
    first = costs[0]
    rows = []
    for cost in costs:
        made = cost.activity
        action, count = next(iter(made.counts.items()))
        gates, table = made.energy.switching_pj / count, cost.table_pj / count
        base = first.activity.counts["accumulate"]
        gate_ratio = gates / (first.activity.energy.switching_pj / base)
        table_ratio = table / (first.table_pj / base)
        rows.append(
            (
                made.unit,
                f"{count:,} `{action}`",
                " + ".join(f"`{name}`" for name in made.counts),
                f"{gates:.2f}",
                f"{table:.4f}",
                f"{gate_ratio:.2f}",
                f"{table_ratio:.2f}",
                f"{table_ratio / gate_ratio:.2f}",
            )
        )
    head = ("unit", "per", "actions priced", "gates pJ, 180 nm", "table pJ", "gates: to PE row")
    return _table((*head, "table: to PE row", "table over gates"), rows)


def _verdict(costs: Sequence[UnitCost]) -> str:
    first = costs[0]
    area = first.activity.gates.area_um2
    parts = [
        f"{cost.activity.unit} {cost.activity.gates.area_um2 / area:.2f}" for cost in costs[1:]
    ]
    return (
        f"Areas relative to one PE row (logic only): {', '.join(parts)}. The last column is by how much the table's ratio to the PE row differs "
        "from that of the gates: above 1, the table charges the unit more than its gates would, relative to the PE row. A PE row's figure holds its word FIFO, the "
        "bit picker, the selection of the weight vector and its result queue, all of flip-flops and gates here, where the table prices FIFOs as small memories and the rest not at all.\n"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _write(path: Path, page: str) -> None:
    """The page as a whole or not at all."""
    from simulator.config.staged_file import staged_file
    from simulator.errors import ResultError

    try:
        with staged_file(path, b"simulator.calibrate") as file:
            file.write(page.encode())
    except OSError as error:
        raise ResultError(f"{path}: cannot be written: {error.strerror}") from error


if __name__ == "__main__":
    sys.exit(main())
