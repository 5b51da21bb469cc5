"""Do SimPy and Numba agree, op for op, on the programs of the shipped traces?"""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.architecture import load_architecture
from simulator.lowering import lower, make_plan
from simulator.operations import read_network
from simulator.trace import Trace
from tests.machines import GENERAL
from tests.programs import agreed

ROOT = Path(__file__).parents[2]
MACHINES = GENERAL
TRACES = sorted(path.stem for path in (ROOT / "traces").glob("*.npz"))
OURS = ("dense_pe", "sparse_pe", "sparse_pe_noskip")
CASES = [
    (machine, trace)
    for machine in MACHINES
    for trace in (TRACES if machine in OURS else ("mnist", "mnist_baseline"))
]


@pytest.mark.slow
@pytest.mark.parametrize(("machine", "trace_name"), CASES)
def test_shipped_traces_on_every_shipped_machine(machine: str, trace_name: str) -> None:
    with Trace.open(ROOT / "traces" / f"{trace_name}.npz") as trace:
        network, image = read_network(trace), trace.read(0)
    architecture = load_architecture(machine)
    program = lower(make_plan(network, architecture), image).program
    agreed(program)
