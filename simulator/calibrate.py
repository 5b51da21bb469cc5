"""python -m simulator.calibrate: a network on the RTL and on the model, and the machine calibrated.

Prints the cycles of each layer on both sides and, with --write, copies the machine's file with what
was measured; its results then say so. The page of single units is made by experiments/calibration.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.command import check_counts, command, program

if TYPE_CHECKING:
    from simulator.hil.network.calibrated import MeasuredNetwork

EXAMPLE = """example:
  python -m simulator.calibrate --arch sparse_pe --network build/mnist_fixed.npz --trace mnist"""


@command()
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    from simulator.errors import DeviceError
    from simulator.hil.network.calibrated import measure, placed_clock, write_calibrated

    options = _parser().parse_args(arguments)
    check_counts(options, "images", error=DeviceError)
    placed = placed_clock(Path(options.placed)) if options.placed else None
    found = measure(options.arch, Path(options.network), options.trace, options.images)
    if options.write:
        write_calibrated(Path(options.arch), Path(options.write), found.table, placed)
    print(_text(found))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("simulator.calibrate"),
        description="Hold the model's cycles against those of the RTL, layer by layer.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--arch", required=True, metavar="FILE", help="architecture file whose array has RTL")
    add("--network", required=True, metavar="FILE", help="made by models.fixed_point")
    add("--trace", required=True, metavar="FILE", help="a trace of that network, for its layers")
    add("--images", type=int, default=20, metavar="N", help="of the network's (default 20)")
    add("--write", metavar="FILE", help="write the machine with what was measured there")
    add("--placed", metavar="FILE", help="of simulator.hil.fpga --out: its clock is written too")
    return parser


def _text(found: MeasuredNetwork) -> str:
    """Return the error table for a terminal."""
    table, calibrated = found.table, found.calibrated
    lines = [
        f"{found.name}: {table.images} images, {table.right} classified as labelled; "
        f"{table.wrong} values differ from the fixed-point twin",
        f"{'layer':<28} {'RTL cycles':>14} {'model cycles':>14} {'deviation':>10}  calibrated",
    ]
    lines += [
        f"{row.case:<28} {row.rtl:>14,} {row.model:>14,} {row.deviation:>+10.2%} "
        f"{other.deviation:>+11.2%}"
        for row, other in zip(table.rows, calibrated.rows, strict=True)
    ]
    latency = f"halting latency: {table.decision_cycles} cycles measured"
    return "\n".join([*lines, f"{latency}, {found.decision_cycles} stated by the machine"])


if __name__ == "__main__":
    sys.exit(main())
