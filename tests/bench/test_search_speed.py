"""How long does a point of a search take, simulated or priced anew, and an image of a store?"""

from __future__ import annotations

import itertools
import time
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


@pytest.mark.benchmark(group="a point of a search on 8 images", timer=time.process_time)
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_a_point_simulated(benchmark: Any, name: str) -> None:
    """CPU time; each point is another machine, as in a search."""
    rows, trace = itertools.count(4), str(ROOT / "traces" / f"{name}.npz")

    def evaluate() -> Any:
        candidate = Candidate(0, (f"cores.0.pe_array.rows={next(rows)}",))
        return evaluate_group(Group(ARCH, trace, "0:8", (), ("latency_ms",), (candidate,)))

    assert evaluate()[0].status == "ok"  # compiles
    benchmark.pedantic(evaluate, rounds=20)


@pytest.mark.benchmark(group="a point of a search on 8 images")
def test_a_point_priced_anew(benchmark: Any) -> None:
    with Trace.open(MNIST) as trace:
        result = Simulation(trace, load_architecture(ARCH)).run(range(8))
    benchmark(reprice, result, load_architecture(ARCH, [OTHER]))
