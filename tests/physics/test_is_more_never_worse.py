"""Where mappings are chosen, is more of any resource never slower, and does it never move more?

The law has a tolerance and an exception. A hundredth is allowed: a unit serves what is ready, so
that a faster part can put a request before another and lose some cycles (Graham's anomalies), and
choices are made one kind after the other. What takes longer must move less by a larger share:
bytes are chosen first. An array, and its blocks of sums, may move more only where they are faster
by a larger share: twice the columns halve the rows whose sums fit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from simulator.architecture import load_architecture
from simulator.errors import LoweringError
from simulator.lowering import make_plan
from simulator.mapping import plan_for
from simulator.operations import read_network
from simulator.trace import Trace
from tests.factories import tiny_trace
from tests.resources import Resource, resources

ROOT = Path(__file__).parents[2]
MACHINES = sorted(path.stem for path in (ROOT / "arch_configs").glob("*.yaml"))
QUICK = ("sparse_pe",)
ANOMALY = 1.01


class Cost(NamedTuple):
    cycles: int
    dram_bytes: int

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


def cost(trace: Trace, machine: str, *overrides: str) -> Cost:
    """What the trace's first image costs on the mapping that is chosen by it."""
    overrides = ("dataflow.mapping=auto", *overrides)
    architecture = load_architecture(ROOT / "arch_configs" / f"{machine}.yaml", overrides)
    described = plan_for(trace, read_network(trace), architecture).described
    assert described is not None
    return Cost(described["cycles"], described["dram_bytes"])


def trades(resource: Resource) -> bool:
    """Whether the resource is the array's, or blocks of its sums: see the head of this file."""
    return ".pe_array." in resource.path or resource.path == "dataflow.accumulator_blocks"


def broken(before: Cost, after: Cost, resource: Resource) -> str:
    """Say which part of the law is broken; empty if none is."""
    slower = after.cycles > ANOMALY * before.cycles
    more = after.dram_bytes > before.dram_bytes
    dearer = after.product > ANOMALY * before.product
    if more and not trades(resource):
        return "moves more"
    if slower and dearer:
        return "is slower"
    return "moves more for nothing" if more and dearer else ""


def runs(path: Path, machine: str) -> bool:
    """Whether a machine executes a trace: some cannot halt between timesteps."""
    architecture = load_architecture(ROOT / "arch_configs" / f"{machine}.yaml")
    with Trace.open(path) as trace:
        try:
            make_plan(read_network(trace), architecture)
        except LoweringError:
            return False
    return True


def assert_lawful(paths: tuple[Path, ...], machine: str) -> None:
    """Ask for twice of each resource on the first trace that the machine executes."""
    found = []
    with Trace.open(next(path for path in paths if runs(path, machine))) as trace:
        before = cost(trace, machine)
        architecture = load_architecture(ROOT / "arch_configs" / f"{machine}.yaml")
        for resource in resources(architecture):
            try:
                after = cost(trace, machine, resource.override)
            except LoweringError:
                continue  # such as more rows of sums than the buffer holds
            if rule := broken(before, after, resource):
                found.append(f"{resource.override} {rule}: {before} -> {after}")
    assert not found, "\n".join([machine, *found])


@pytest.mark.parametrize("machine", QUICK)
def test_more_is_never_worse_for_a_small_network(machine: str, tiny: tuple[Path, ...]) -> None:
    assert_lawful(tiny, machine)


def known_to_break(machine: str, trace: str) -> Any:
    """The machine, expected to fail where the law is known not to hold."""
    reasons = {
        ("sparse_pe_mesh4", "tiny"): "64 columns take 20 % more cycles for 0.06 % fewer bytes",
        ("phi", "mnist"): "more lanes or bandwidth take 22 % fewer cycles for 2.5 % more bytes",
    }
    reason = reasons.get((machine, trace))
    marks = [pytest.mark.xfail(reason=reason)] if reason else []
    return pytest.param(machine, marks=marks)


OTHERS = [known_to_break(name, "tiny") for name in MACHINES if name not in QUICK]


@pytest.mark.thorough
@pytest.mark.parametrize("machine", OTHERS)
def test_nor_on_any_other_shipped_machine(machine: str, tiny: tuple[Path, ...]) -> None:
    assert_lawful(tiny, machine)


@pytest.mark.thorough
@pytest.mark.parametrize("machine", [known_to_break(name, "mnist") for name in MACHINES])
def test_nor_for_a_trained_network(machine: str) -> None:
    names = ("mnist", "mnist_baseline")
    assert_lawful(tuple(ROOT / "traces" / f"{name}.npz" for name in names), machine)


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
