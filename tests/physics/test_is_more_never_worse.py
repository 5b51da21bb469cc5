"""Where mappings are chosen, is more of any resource never slower, and does it never move more?

The law has a tolerance and an exception. A hundredth is allowed: a unit serves what is ready, so
that a faster part can put a request before another and lose some cycles (Graham's anomalies), and
choices are made one kind after the other. What takes longer must move less by a larger share:
bytes are chosen first. More may be moved only where the product of cycles and bytes falls and more
of the array is in use, or other blocks of sums: twice the columns halve the rows whose sums fit.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from simulator.architecture import Architecture, load_architecture
from simulator.engine.replay import replay
from simulator.errors import LoweringError, SimulatorError
from simulator.lowering import Lowering, make_plan
from simulator.mapping import plan_for
from simulator.operations import read_network
from simulator.trace import Trace
from tests.factories import tiny_trace
from tests.resources import Resource, resources

ROOT = Path(__file__).parents[2]
MACHINES = sorted(path.stem for path in (ROOT / "arch_configs").glob("*.yaml"))
ANOMALY = 1.01


class Cost(NamedTuple):
    """Cycles and bytes of a mapping; `used`: fields of the array in part, and blocks of sums."""

    cycles: int
    dram_bytes: int
    used: tuple[object, ...] = ()

    @property
    def product(self) -> int:
        return self.cycles * self.dram_bytes


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """A network whose weights do not all fit, and the same without halting."""
    folder = tmp_path_factory.mktemp("tiny")
    return tuple(
        tiny_trace(
            folder / f"{halting}.npz", timesteps=2, tokens=16, channels=192, blocks=1, seed=7,
            images=1, halting=halting,
        )
        for halting in ("two_dimensional", "none")
    )  # fmt: skip


def machine_of(name: str, *overrides: str) -> Architecture:
    return load_architecture(ROOT / "arch_configs" / f"{name}.yaml", overrides)


def cost(trace: Trace, machine: str, *overrides: str) -> Cost:
    """What the trace's first image costs on the mapping that is chosen by it."""
    architecture = machine_of(machine, "dataflow.mapping=auto", *overrides)
    told = plan_for(trace, read_network(trace), architecture).described
    assert told is not None
    used = *told["pe_array"].items(), told["accumulator_blocks"]
    return Cost(told["cycles"], told["dram_bytes"], used)


def fixed_cost(trace: Trace, machine: str, *overrides: str) -> Cost:
    """What it costs on the mapping of the fixed rules."""
    plan = make_plan(read_network(trace), machine_of(machine, *overrides))
    lowered = Lowering(plan).lower([trace.read(0)])
    cycles = replay(lowered.program(0)).makespan_cycles
    return Cost(cycles, int(lowered.dram_bits.sum()) // 8)


def is_array(resource: Resource) -> bool:
    """Whether the resource is the array's, or blocks of its sums: see the head of this file."""
    array = ".pe_array." in resource.path or ".engines." in resource.path
    return array or resource.path == "dataflow.accumulator_blocks"


def broken(before: Cost, after: Cost, resource: Resource) -> str:
    """Say which part of the law is broken; empty if none is."""
    slower = after.cycles > ANOMALY * before.cycles
    more = after.dram_bytes > before.dram_bytes
    dearer = after.product > ANOMALY * before.product
    if more and after.used == before.used and not is_array(resource):
        return "moves more"
    if slower and dearer:
        return "is slower"
    return "moves more for nothing" if more and dearer else ""


def silent(trace: Trace, machine: str, asked: list[Resource]) -> list[Resource]:
    """Return resources that may change nothing: they do not under the fixed rules, nor take room.

    Asked for together, in one search, they must give the same cost to the cycle.
    """
    before = fixed_cost(trace, machine)
    found = []
    for resource in asked:
        takes_room = resource.path.endswith("size_kib") or is_array(resource)
        if not takes_room and fixed_cost(trace, machine, resource.override) == before:
            found.append(resource)
    return found


def runs(path: Path, machine: str) -> bool:
    """Whether a machine executes a trace: some cannot halt between timesteps."""
    with Trace.open(path) as trace:
        try:
            make_plan(read_network(trace), machine_of(machine))
        except LoweringError:
            return False
    return True


def assert_lawful(paths: tuple[Path, ...], machine: str) -> None:
    """Ask for twice of each resource on the first trace that the machine executes."""
    found = []
    with Trace.open(next(path for path in paths if runs(path, machine))) as trace:
        before, asked = cost(trace, machine), list(resources(machine_of(machine)))
        quiet = silent(trace, machine, asked)
        if cost(trace, machine, *(each.override for each in quiet)) == before:
            asked = [each for each in asked if each not in quiet]
        for resource in asked:
            after = cost(trace, machine, resource.override)
            if rule := broken(before, after, resource):
                found.append(f"{resource.override} {rule}: {before} -> {after}")
    assert not found, "\n".join([machine, *found])


@pytest.mark.parametrize("machine", MACHINES)
def test_more_is_never_worse_for_a_small_network(machine: str, tiny: tuple[Path, ...]) -> None:
    assert_lawful(tiny, machine)


@pytest.mark.thorough
@pytest.mark.parametrize("machine", MACHINES)
def test_nor_for_a_trained_network(machine: str) -> None:
    names = ("mnist", "mnist_baseline")
    assert_lawful(tuple(ROOT / "traces" / f"{name}.npz" for name in names), machine)


def values(resource: Resource) -> list[float]:
    """A quarter of a resource up to four times it; of a time, four times down to a quarter."""
    parts = (0.25, 0.5, 1, 2, 4) if resource.better > resource.value else (4, 2, 1, 0.5, 0.25)
    found = [resource.value * part for part in parts]
    if isinstance(resource.value, int):
        found = [int(each) for each in found if each == int(each)]
    return list(dict.fromkeys(found))


@pytest.mark.thorough
@pytest.mark.parametrize("machine", MACHINES)
def test_nor_from_a_quarter_to_four_times(machine: str, tiny: tuple[Path, ...]) -> None:
    found = []
    with Trace.open(next(path for path in tiny if runs(path, machine))) as trace:
        for resource in resources(machine_of(machine)):
            before = None
            for value in values(resource):
                try:
                    after = cost(trace, machine, f"{resource.path}={value}")
                except SimulatorError:  # too little, or more columns than weights fit of
                    assert before is None or is_array(resource), resource
                    continue
                if before is not None and (rule := broken(before, after, resource)):
                    found.append(f"{resource.path}={value} {rule}: {before} -> {after}")
                before = after
    assert not found, "\n".join([machine, *found])


def test_the_fixed_rules_break_the_law() -> None:
    """The test can fail: their blocks are as large as the buffer of sums."""
    path, costs = "cores.buffers.partial_sums.size_kib", []
    with Trace.open(ROOT / "traces" / "mnist.npz") as trace:
        for size_kib in (32, 128):
            overrides = ["dataflow.mapping=auto", f"{path}={size_kib}"]
            architecture = load_architecture(ROOT / "arch_configs/sparse_pe.yaml", overrides)
            told = plan_for(trace, read_network(trace), architecture).described
            assert told is not None
            costs.append(Cost(told["fixed_cycles"], told["fixed_dram_bytes"]))
    assert broken(costs[0], costs[1], Resource(path, 32, 128)) == "is slower"
