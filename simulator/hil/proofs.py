"""python -m simulator.hil.proofs: formal proofs of the RTL's queues, by yosys and abc.

Each proof is a module of rtl/proofs whose assertions hold in every reachable state (PDR), or in the
first cycles, where what it looks at has ended by then (bounded).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from simulator.command import command
from simulator.errors import DeviceError
from simulator.hil.tools import run_tool

SOURCES = Path(__file__).parent / "rtl"
LIMIT_S = 300
_TO_AIGER = (
    "prep -flatten -top {top}; memory_map -formal; opt -full; async2sync; "
    "setundef -undriven -anyseq; techmap; opt -fast; dffunmap; simplemap; opt_clean; "
    "abc -g AND -fast; opt_clean; write_aiger -zinit {aiger}"
)


class Proof(NamedTuple):
    """A module with assertions, its sources beside it, what it shows, and cycles of a bounded one
    (0: in all reachable states).
    """

    top: str
    sources: tuple[str, ...]
    shows: str
    cycles: int = 0


PROOFS = (
    Proof("fifo_proof", ("fifo.sv",), "a queue keeps order and loses, doubles, overflows nothing"),
    Proof(
        "dispatcher_proof",
        ("spike_skip_tile.sv", "pe_row.sv", "merge.sv", "fifo.sv", "sram_1r1w.sv"),
        "each word is taken once, no queue of the array overflows, `pending` misses no word",
    ),
    Proof(
        "token_skip_proof",
        ("token_skip.sv",),
        "the list is complete in time and holds each live token once, in order",
        cycles=16,
    ),
)


@command()
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m simulator.hil.proofs",
        description="Prove assertions about the RTL's queues; needs yosys (Debian: yosys).",
        epilog="example: python -m simulator.hil.proofs",
    )
    parser.parse_args(arguments)
    for proof in PROOFS:
        prove(proof)
        reach = f"in the first {proof.cycles} cycles" if proof.cycles else "in all states"
        print(f"{proof.top}: {proof.shows}: proved {reach}")


def missing_tools() -> str:
    """What keeps proofs from being run; empty if nothing does."""
    absent = [name for name in ("yosys", "yosys-abc") if shutil.which(name) is None]
    return f"{', '.join(absent)}: not on the PATH (Debian: yosys)" if absent else ""


def prove(proof: Proof, folder: Path = SOURCES) -> None:
    """Raise DeviceError if a proof fails, or cannot be run. `folder`: of the RTL's sources."""
    if missing_tools():
        raise DeviceError(f"proofs: {missing_tools()}")
    with tempfile.TemporaryDirectory() as name:
        aiger = Path(name) / "proof.aig"
        files = [SOURCES / "proofs" / f"{proof.top}.sv", *(folder / each for each in proof.sources)]
        read = "read_verilog -formal -DSYNTHESIS -sv " + " ".join(map(str, files))
        script = f"{read}; {_TO_AIGER.format(top=proof.top, aiger=aiger)}"
        run_tool(f"{proof.top}: yosys", ["yosys", "-q", "-p", script], LIMIT_S)
        engine = f"bmc3 -F {proof.cycles}" if proof.cycles else "pdr"
        command = ["yosys-abc", "-c", f"read_aiger {aiger}; fold; strash; {engine}"]
        said = run_tool(f"{proof.top}: yosys-abc", command, LIMIT_S)
    proved = f"No output asserted in {proof.cycles} frames" if proof.cycles else "Property proved"
    if proved not in said:
        lines = [line for line in said.splitlines() if "asserted" in line]
        raise DeviceError(f"{proof.top}: not proved: {lines[-1] if lines else 'no verdict'}")


if __name__ == "__main__":
    sys.exit(main())
