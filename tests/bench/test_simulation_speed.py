"""How long does an image take, from packed bits to priced result?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.architecture import load_architecture
from simulator.results.columns import numbers
from simulator.results.images import image_tables
from simulator.results.picture import picture_tables
from simulator.results.priced import energies, kinds_of, priced
from simulator.results.result import Result
from simulator.simulate import Simulation
from simulator.trace import Trace
from tests.machines import GENERAL

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def opened(name: str, machine: str = "sparse_pe") -> Iterator[tuple[Simulation, Trace]]:
    """A shipped trace, and what simulates it on a shipped machine."""
    architecture = load_architecture(ROOT / "arch_configs" / f"{machine}.yaml")
    with Trace.open(ROOT / "traces" / f"{name}.npz") as trace:
        yield Simulation(trace, architecture), trace


def measure_an_image(benchmark: Any, name: str, machine: str = "sparse_pe") -> None:
    with opened(name, machine) as (simulation, trace):
        batch = trace.read_batch([0])
    simulation.tables(batch)  # compiles
    benchmark(simulation.tables, batch)


@pytest.mark.benchmark(group="an image on sparse_pe, from packed bits to priced result")
@pytest.mark.parametrize("name", ["cifar10", "cifar10_baseline", "imagenet", "mnist"])
def test_one_image(benchmark: Any, name: str) -> None:
    measure_an_image(benchmark, name)


@pytest.mark.benchmark(group="a CIFAR-10 image on each machine, from packed bits to priced result")
@pytest.mark.parametrize("machine", GENERAL)
def test_one_image_on_each_machine(benchmark: Any, machine: str) -> None:
    measure_an_image(benchmark, "cifar10", machine)


@pytest.mark.benchmark(group="a batch of images on sparse_pe, from the file to priced result")
@pytest.mark.parametrize(
    ("name", "images"), [("mnist", 64), ("cifar10", 20), ("imagenet", 1)], ids=str
)
def test_images_of_a_batch(benchmark: Any, name: str, images: int) -> None:
    """Divide by the images for the cost of one."""
    with opened(name) as (simulation, _):
        simulation.run(range(images))  # compiles
        benchmark(simulation.run, range(images))


@pytest.mark.benchmark(group="eight images on sparse_pe, from file to checked result")
@pytest.mark.parametrize("name", ["cifar10", "mnist"])
def test_eight_images(benchmark: Any, name: str) -> None:
    with opened(name) as (simulation, _):

        def checked() -> None:
            simulation.run(range(8)).check()

        checked()  # compiles
        benchmark(checked)


@pytest.mark.benchmark(group="the tables of eight images, without lowering and replay")
def test_tables_of_eight_images(benchmark: Any) -> None:
    with opened("cifar10") as (simulation, trace):
        batch = trace.read_batch(range(8))
        simulated = simulation.simulate(batch)
        provenance, pictures = simulation.provenance(), picture_tables(simulation.network, [])

    def made() -> Result:
        tables = priced(image_tables(simulated, simulation.plan), simulation.prices)
        return Result(provenance, tables | pictures)

    assert made().images == 8
    benchmark(made)


@pytest.mark.benchmark(group="reading an image of a trace")
def test_reading_an_image(benchmark: Any) -> None:
    with Trace.open(ROOT / "traces" / "cifar10.npz") as trace:
        benchmark(trace.read, 0)


@pytest.mark.benchmark(
    group="eight images of CIFAR-10: all of it, pricing, pricing by cause with bounds"
)
@pytest.mark.parametrize("stage", ["run", "priced", "bounds"])
def test_what_pricing_takes_of_a_run(benchmark: Any, stage: str) -> None:
    """Pricing with bounds is to take at most a tenth of the run: 0.6 % when it was written."""
    with opened("cifar10") as (simulation, trace):
        batch = trace.read_batch(range(8))
    simulation.tables(batch)  # compiles
    counted = image_tables(simulation.simulate(batch), simulation.plan)
    actions, times_ms = counted["actions"], numbers(counted["images"], "latency_cycles") / 5e5
    kinds = kinds_of(actions, simulation.prices)
    work = {
        "run": lambda: simulation.tables(batch),
        "priced": lambda: priced(counted, simulation.prices),
        "bounds": lambda: energies(counted["images"], actions, kinds, simulation.prices, times_ms),
    }
    benchmark(work[stage])
