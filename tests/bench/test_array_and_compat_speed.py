"""How long do the searches of the arrays take, on a whole image of a peer's and on our traces?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.peer_figures import workload
from experiments.prosperity import run_design
from simulator.architecture import load_architecture
from simulator.simulate import Simulation
from simulator.trace import Trace
from tests.machines import GENERAL

ROOT = Path(__file__).parents[2]
FOLDER = ROOT.parent / "shared" / "oracles" / "prosperity"
IMAGE = "spikformer_cifar10_bernoulli"
MACHINES = GENERAL


@pytest.mark.skipif(
    not (FOLDER / f"{IMAGE}.npz").is_file(),
    reason="the spikes of Prosperity's simulator are not beside the project",
)
@pytest.mark.benchmark(group="a whole Spikformer image by the rules of Prosperity's simulator")
@pytest.mark.parametrize("design", ["Prosperity", "Prosperity_bit", "PTB", "SATO", "MINT"])
def test_the_whole_spikformer_image(benchmark: Any, design: str) -> None:
    operations = workload(FOLDER, IMAGE)
    run_design(design, operations)  # compiles
    benchmark(run_design, design, operations)


@pytest.mark.benchmark(group="a CIFAR-10 image on each machine, from packed bits to priced result")
@pytest.mark.parametrize("machine", MACHINES)
def test_one_image_on_each_machine(benchmark: Any, machine: str) -> None:
    architecture = load_architecture(ROOT / "arch_configs" / f"{machine}.yaml")
    with Trace.open(ROOT / "traces" / "cifar10.npz") as trace:
        simulation, batch = Simulation(trace, architecture), trace.read_batch([0])
    simulation.tables(batch)  # compiles
    benchmark(simulation.tables, batch)
