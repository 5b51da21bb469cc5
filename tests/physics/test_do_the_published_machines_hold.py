"""Do the published machines run the CIFAR traces, and do their counts mean what they say?"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from simulator.architecture import load_architecture
from simulator.results.result import Result
from simulator.simulate import Simulation
from simulator.trace import Trace
from tests.machines import GENERAL

ROOT = Path(__file__).parents[2]
MACHINES = GENERAL
PUBLISHED = [name for name in MACHINES if not name.startswith(("dense_pe", "sparse_pe"))]
ADDS_EACH_SPIKE = ("mint", "sato", "ptb", "spinalflow", "bishop", "sparse_pe")
"""Their arrays add once for every useful spike; the others reuse, prune or multiply."""


@cache
def run(machine: str, trace_name: str, *overrides: str) -> Result:
    """The first image, checked."""
    architecture = load_architecture(ROOT / "arch_configs" / f"{machine}.yaml", overrides)
    with Trace.open(ROOT / "traces" / f"{trace_name}.npz") as trace:
        result = Simulation(trace, architecture).run([0])
    result.check()
    return result


def useful(result: Result) -> int:
    """Useful accumulations on the array."""
    layers = result.tables["layers"]
    return int(layers.loc[layers.kind != "head", "useful_accumulations"].sum())


def counted(result: Result, *names: str) -> int:
    """How often the array did these actions."""
    actions = result.tables["actions"]
    mine = actions.part.str.endswith("pe_array") & actions.action.isin(names)
    return int(actions.loc[mine, "count"].sum())


@pytest.mark.parametrize("machine", PUBLISHED)
def test_each_runs_with_and_without_halting_in_time(machine: str) -> None:
    flagship = run("sparse_pe", "cifar10")
    assert useful(run(machine, "cifar10")) == useful(flagship)
    assert useful(run(machine, "cifar10_baseline")) == useful(run("sparse_pe", "cifar10_baseline"))


@pytest.mark.parametrize("machine", ADDS_EACH_SPIKE)
def test_arrays_without_reuse_add_once_for_each_useful_spike(machine: str) -> None:
    baseline = run(machine, "cifar10_baseline")
    assert counted(baseline, "accumulate") == useful(baseline)
    halted = run(machine, "cifar10", "token_skip={kind: none}")
    # Halted tokens run on as columns of the attention products, which nobody needs.
    attention = halted.tables["layers"].kind.str.startswith("attention")
    extra = counted(halted, "accumulate") - useful(halted)
    assert 0 < extra < halted.tables["layers"].loc[attention, "useful_accumulations"].sum()


@pytest.mark.parametrize("trace", ["cifar10", "cifar10_baseline"])
def test_reuse_and_pruning_save_sums(trace: str) -> None:
    assert counted(run("prosperity", trace), "accumulate") < useful(run("prosperity", trace))
    phi = run("phi", trace)
    assert counted(phi, "add_pattern", "add_residual") < useful(phi)
    assert counted(run("loas", trace), "accumulate") < useful(run("loas", trace))


def test_the_choice_of_dataflow_is_the_one_that_ran() -> None:
    for trace, kind in (("cifar10", "timestep_serial"), ("cifar10_baseline", "tick_batched")):
        chosen = run("prosperity", trace)
        named = run("prosperity", trace, f"dataflow={{kind: {kind}, accumulator_blocks: 3}}")
        assert chosen.provenance["architecture"]["dataflow"] == kind
        for table in ("images", "actions", "layers"):
            assert chosen.tables[table].equals(named.tables[table])


@pytest.mark.parametrize("machine", PUBLISHED)
def test_each_file_says_where_its_numbers_come_from(machine: str) -> None:
    text = (ROOT / "arch_configs" / f"{machine}.yaml").read_text()
    header = text[: text.index("schema:")]
    assert all(line.startswith("#") for line in header.splitlines())
    assert "source" in header.lower()
