"""python -m experiments.proofs: formal proofs of the RTL's queues, by yosys and abc or by sby.

Each proof is a module of rtl/proofs whose assertions hold in every reachable state (PDR), or in the
first cycles, where what it looks at has ended by then (bounded). Its .sby file says the same to
SymbiYosys; by pip alone (extra `formal`: YoWASP's and Yices) its bounded task runs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from simulator.command import command
from simulator.errors import DeviceError
from simulator.hil.tools import run_tool
from simulator.hil.verilator import SOURCES

LIMIT_S = 300
_TO_AIGER = (
    "prep -flatten -top {top}; memory_map -formal; opt -full; async2sync; "
    "setundef -undriven -anyseq; techmap; opt -fast; dffunmap; simplemap; opt_clean; "
    "abc -g AND -fast; opt_clean; write_aiger -zinit {aiger}"
)


class Proof(NamedTuple):
    """A module with assertions, what it shows, and cycles of a bounded one (0: in all reachable
    states).
    """

    top: str
    shows: str
    cycles: int = 0

    @property
    def sources(self) -> list[str]:
        """The files of the RTL that it reads, those that its .sby file names."""
        text = (SOURCES / "proofs" / f"{self.top}.sby").read_text()
        files = text.partition("[files]")[2].split()
        return [name.removeprefix("../") for name in files if name.startswith("../")]


PROOFS = (
    Proof("fifo_proof", "a queue keeps order and loses, doubles, overflows nothing"),
    Proof(
        "dispatcher_proof",
        "each word is taken once, no queue of the array overflows, `pending` misses no word",
    ),
    Proof(
        "token_skip_proof",
        "the list is complete in time and holds each live token once, in order",
        cycles=16,
    ),
)


@command()
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.proofs",
        description="Prove assertions about the RTL's queues; needs yosys (Debian: yosys).",
        epilog="example: python -m experiments.proofs --sby",
    )
    parser.add_argument("--sby", action="store_true", help="by SymbiYosys: the bounded tasks")
    options = parser.parse_args(arguments)
    for proof in PROOFS:
        if options.sby:
            print(f"{proof.top}: {proof.shows}: {prove_by_sby(proof)}")
            continue
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
        raise DeviceError("proofs", missing_tools())
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
        raise DeviceError(proof.top, "not proved", lines[-1] if lines else "no verdict")


def missing_sby() -> str:
    """What keeps sby from running; empty if nothing does."""
    absent = [name for name in ("sby", "yices-smt2") if not _program(name)]
    return f"{', '.join(absent)}: not there: pip install 'stasim[formal]'" if absent else ""


def prove_by_sby(proof: Proof, folder: Path = SOURCES) -> str:
    """Run the bounded task of a proof's .sby file; return what it says. Raises DeviceError if it
    fails. `folder`: of the RTL's sources.
    """
    if missing_sby():
        raise DeviceError("proofs", missing_sby())
    sby = _program("sby")
    command = [sby, "-f", f"{proof.top}.sby", "bounded"]
    if "yowasp" in Path(sby).name:
        for tool, program in (("yosys", "yosys"), ("smtbmc", "yosys-smtbmc")):
            command += [f"--{tool}", _program(program)]
        command += ["--witness", _program("yosys-witness")]
    environment = dict(os.environ)
    environment["PATH"] = (
        f"{_program('yices-smt2').rpartition('/')[0]}{os.pathsep}{os.environ['PATH']}"
    )
    with tempfile.TemporaryDirectory() as name:
        place = Path(name) / "proofs"
        shutil.copytree(SOURCES / "proofs", place)
        for source in proof.sources:
            shutil.copy(folder / source, Path(name) / source)
        try:
            said = run_tool("sby", command, LIMIT_S, folder=place, environment=environment)
        except DeviceError as error:
            raise DeviceError(proof.top, "not proved", f"{error}") from error
    verdicts = [line.partition("summary: ")[2] for line in said.splitlines() if "returned" in line]
    if not verdicts or not verdicts[-1].endswith("pass"):
        raise DeviceError(proof.top, "not proved", verdicts[-1] if verdicts else "no verdict")
    return verdicts[-1]


def _program(name: str) -> str:
    """The program of the Python that runs, YoWASP's first, else that of the system."""
    beside = str(Path(sys.executable).parent)
    places = ((f"yowasp-{name}", beside), (name, beside), (name, None))
    return next(filter(None, (shutil.which(each, path=where) for each, where in places)), "")


if __name__ == "__main__":
    sys.exit(main())
