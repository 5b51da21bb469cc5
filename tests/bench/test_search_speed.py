"""How long does a point of a search take, simulated or priced anew, and an image of a store?"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from simulator.architecture import load_architecture
from simulator.results.repricing import reprice
from simulator.simulate import Simulation
from simulator.sweep.evaluation import Candidate, Group, evaluate_group
from simulator.trace import Trace

ROOT = Path(__file__).parents[2]
ARCH = str(ROOT / "arch_configs" / "sparse_pe.yaml")
MNIST = ROOT / "traces" / "mnist.npz"
OTHER = "technology={node_nm: 45, voltage_v: 0.9, energy_table: horowitz_45nm}"


@pytest.mark.benchmark(group="a point of a search on 8 digits")
def test_a_point_simulated(benchmark: Any) -> None:
    rows = itertools.cycle(range(4, 20))

    def evaluate() -> Any:
        candidate = Candidate(0, (f"cores.0.pe_array.rows={next(rows)}",))
        return evaluate_group(Group(ARCH, str(MNIST), "0:8", (), ("latency_ms",), (candidate,)))

    assert evaluate()[0].status == "ok"  # compiles
    benchmark(evaluate)


@pytest.mark.benchmark(group="a point of a search on 8 digits")
def test_a_point_priced_anew(benchmark: Any) -> None:
    with Trace.open(MNIST) as trace:
        result = Simulation(trace, load_architecture(ARCH)).run(range(8))
    benchmark(reprice, result, load_architecture(ARCH, [OTHER]))
