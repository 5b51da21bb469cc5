"""python -m simulator.hil.classify: images on the network engine, on a board or on compiled RTL.

One driver for both: it allocates, writes registers, starts, waits, reads logits and counters.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from simulator.architecture import load_architecture
from simulator.command import command
from simulator.errors import DeviceError
from simulator.hil.network.board import RtlBoard
from simulator.hil.network.driver import Driver
from simulator.hil.network.engine import dram_latency_cycles, network_design
from simulator.hil.network.files import read_fixed
from simulator.hil.network.program import compile_network
from simulator.hil.network.pynq_board import PynqBoard, open_board

SHOWN = ("cycles", "pe_array", "vector_unit", "weight_port", "halting")


@command()
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    content = read_fixed(Path(options.network))
    if not 1 <= options.images <= len(content.images):
        raise DeviceError(
            f"--images {options.images}",
            f"must be 1 to {len(content.images)}, those of {options.network}",
        )
    architecture = load_architecture(Path(options.arch))
    design = network_design(architecture)
    compiled = compile_network(content.network, design.parameters)
    board: RtlBoard | PynqBoard
    if options.bitstream:
        board = open_board(options.bitstream, options.engine)
    else:
        board = RtlBoard(design, dram_latency_cycles(architecture))
    with closing(board):
        driver = Driver(board, compiled)
        print("| image | label | class | " + " | ".join(SHOWN) + " |")
        print("|---" * (3 + len(SHOWN)) + "|")
        chosen = zip(content.images[: options.images], content.labels, strict=False)
        for index, (pixels, label) in enumerate(chosen):
            outcome = driver.classify(pixels)
            counts = " | ".join(f"{outcome.counters[name]:,}" for name in SHOWN)
            print(f"| {index} | {label} | {outcome.logits.argmax()} | {counts} |")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulator.hil.classify",
        description="Classify a file's images on the network engine; prints classes and counters.",
        epilog="example: python -m simulator.hil.classify build/mnist_fixed.npz "
        "--arch arch_configs/sparse_pe.yaml --bitstream engine.bit",
    )
    add = parser.add_argument
    add("network", metavar="NETWORK", help="of python -m models.fixed_point, .npz")
    add("--arch", required=True, metavar="FILE", help="machine whose sizes the engine has")
    add("--bitstream", metavar="FILE", help="loaded by PYNQ; without it: RTL compiled by Verilator")
    add("--engine", default="network_top_0", metavar="NAME", help="block in it (%(default)s)")
    add("--images", type=int, default=1, metavar="N", help="how many of the file's (default 1)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
