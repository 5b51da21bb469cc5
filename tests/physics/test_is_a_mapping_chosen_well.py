"""Does a chosen mapping move no more than the fixed rules, fit, and serve demand first?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.architecture import Architecture, load_architecture
from simulator.engine.reference import simulate
from simulator.engine.replay import replay
from simulator.errors import LoweringError
from simulator.hil.simulated import SimulatedDevice
from simulator.lowering import Lowering
from simulator.lowering.tables import DRAM_WEIGHTS
from simulator.mapping import plan_for
from simulator.operations import read_network
from simulator.results.terminal import terminal_table
from simulator.simulate import Simulation
from simulator.trace import Trace
from tests.factories import tiny_trace
from tests.messages import said

ROOT = Path(__file__).parents[2]
MACHINES = ("dense_pe", "mint", "prosperity", "sparse_pe", "sparse_pe_mesh4")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "tiny.npz"
    return tiny_trace(path, timesteps=3, tokens=64, channels=192, heads=4, seed=7, images=2)


def machine(name: str, *overrides: str) -> Architecture:
    path = ROOT / "arch_configs" / f"{name}.yaml"
    return load_architecture(path, ["dataflow.mapping=auto", *overrides])


@pytest.mark.parametrize("name", MACHINES)
def test_it_moves_no_more_than_the_fixed_rules_and_fits(name: str, tiny: Path) -> None:
    with Trace.open(tiny) as trace:
        network = read_network(trace)
        plan, told = plan_for(trace, network, machine(name))
        _, fixed = plan_for(trace, network, machine(name, "dataflow.mapping=fixed"))
    assert fixed is None
    assert told is not None
    assert told["dram_bytes"] <= told["fixed_dram_bytes"]
    assert told["cycles"] * told["dram_bytes"] <= told["fixed_cycles"] * told["fixed_dram_bytes"]
    assert told["pinned_chunks"] + plan.machine.weight_slots <= told["weight_chunks"]
    sums = plan.architecture.core.buffers.partial_sums.capacity_bits
    for each in plan.layers:
        if each.chunks is not None:
            bits = each.row_block * each.columns * each.array.sum_bits
            assert bits * told["accumulator_blocks"] <= sums


@pytest.mark.parametrize("name", MACHINES)
def test_the_engines_agree_and_no_prefetch_goes_before_demand(name: str, tiny: Path) -> None:
    with Trace.open(tiny) as trace:
        plan, told = plan_for(trace, read_network(trace), machine(name))
        lowered = Lowering(plan).lower([trace.read(0)])
    program, timeline = lowered.program(0), replay(lowered.program(0))
    for expected, found in zip(simulate(program), timeline, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert told is not None
    assert told["cycles"] == timeline.makespan_cycles
    own = np.flatnonzero(program.unit == plan.graph.one("dram"))
    prefetch = lowered.emitted[0].category[own] == DRAM_WEIGHTS
    np.testing.assert_array_equal(program.yields[own], prefetch)
    began = timeline.start[own[prefetch]][:, None]
    demand = own[~prefetch]
    late = (timeline.ready[demand] <= began) & (began < timeline.start[demand])
    assert prefetch.any()
    assert not late.any()


def test_a_small_buffer_of_sums_is_used_by_rows_that_fit(tiny: Path) -> None:
    costs = []
    for size_kib in (8, 16, 32, 64):
        own = machine("sparse_pe", f"cores.buffers.partial_sums.size_kib={size_kib}")
        with Trace.open(tiny) as trace:
            told = plan_for(trace, read_network(trace), own).described
        assert told is not None
        costs.append(told["dram_bytes"])
    assert costs == sorted(costs, reverse=True)


def test_all_images_run_on_what_the_first_chose_and_the_result_says_so(tiny: Path) -> None:
    with Trace.open(tiny) as trace:
        simulation = Simulation(trace, machine("sparse_pe"))
        both, second = simulation.run([0, 1]), Simulation(trace, machine("sparse_pe")).run([1])
    assert both.provenance["mapping"] == second.provenance["mapping"]
    cycles = both.tables["images"]["latency_cycles"].tolist()
    assert cycles[1:] == second.tables["images"]["latency_cycles"].tolist()
    told = both.provenance["mapping"]
    assert told["cycles"] == cycles[0]
    assert told["dram_bytes"] == both.tables["images"]["dram_bytes"][0]
    assert {each["layer"] for each in told["layers"]} <= set(both.tables["layers"]["layer"])
    assert "Mapping       auto, by the first image" in terminal_table(both)


def test_images_together_are_chosen_for_together(tiny: Path) -> None:
    own = machine("sparse_pe", "dataflow.images_together=2")
    with Trace.open(tiny) as trace:
        simulation = Simulation(trace, own)
        result = simulation.run([0, 1])
    told = result.provenance["mapping"]
    assert told["images"] == 2
    assert told["dram_bytes"] == int(result.tables["images"]["dram_bytes"].sum())


def test_a_device_has_no_image_to_choose_by(tiny: Path) -> None:
    with (
        Trace.open(tiny) as trace,
        pytest.raises(LoweringError, match="^" + said("a device's mapping") + "$"),
    ):
        SimulatedDevice(trace, machine("sparse_pe"))
