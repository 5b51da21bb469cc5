"""Do the channels of a DRAM power down when they are idle, wake late, and draw what that is?"""

from __future__ import annotations

import numpy as np
import pytest

from simulator.architecture import Architecture, load_architecture
from simulator.components.memories.base import AWAKE
from simulator.energy.spans import dram_parts
from simulator.hil.simulated import SimulatedDevice
from simulator.results.result import Result
from simulator.simulate import Simulation
from simulator.trace import Trace
from tests.factories import tiny_trace

LONG_NS = 1e9


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    return Trace.open(tiny_trace(tmp_path_factory.mktemp("trace") / "tiny.npz"))


def machine(*overrides: str) -> Architecture:
    return load_architecture("sparse_pe", overrides)


def after(idle_ns: float) -> Architecture:
    return machine(f"memories.dram.power_down_after_ns={idle_ns}")


def run(trace: Trace, architecture: Architecture) -> Result:
    found = Simulation(trace, architecture).run([0])
    found.check()
    return found


def awake(result: Result) -> int:
    actions = result.tables["actions"]
    return int(actions[actions["action"] == AWAKE]["count"].sum())


def test_channels_that_never_sleep_draw_their_standby(trace: Trace) -> None:
    plain = run(trace, machine("memories.dram.latency_ns=50.2"))
    watched = run(trace, after(LONG_NS))
    # 44.2 ns and 6 ns to wake.
    assert watched.tables["images"]["latency_cycles"].tolist() == (
        plain.tables["images"]["latency_cycles"].tolist()
    )
    assert watched.tables["images"]["energy_pj"][0] == pytest.approx(
        plain.tables["images"]["energy_pj"][0], rel=1e-3
    )
    assert awake(watched) == plain.tables["images"]["latency_cycles"][0]


def test_a_shorter_wait_sleeps_longer_and_costs_less(trace: Trace) -> None:
    found = [run(trace, after(idle_ns)) for idle_ns in (2.0, 50.0, 200.0, LONG_NS)]
    cycles = [awake(each) for each in found]
    assert cycles == sorted(set(cycles))
    energies = [each.tables["images"]["energy_pj"][0] for each in found]
    assert energies == sorted(energies)
    busy = found[0].tables["units"].query("unit == 'dram'")["busy_cycles"].sum()
    assert busy <= cycles[0] < found[0].tables["images"]["latency_cycles"][0]
    # Of 4 channels: mW over 2 ns are pJ.
    part = dram_parts()["ddr4_x16"]
    saved_pj = (cycles[3] - cycles[0]) * 4 * 2 * (part.precharged_mw - part.power_down_mw)
    assert energies[3] - energies[0] == pytest.approx(saved_pj)


def test_each_request_keeps_the_channels_awake_until_the_next(trace: Trace) -> None:
    architecture = after(20.0)
    simulation = Simulation(trace, architecture)
    lowered, timeline = simulation.replay(trace.read(0))
    (unit,) = simulation.plan.graph.with_role("dram")
    state = np.zeros(timeline.makespan_cycles, np.bool_)
    for op in np.flatnonzero(lowered.program.unit == unit):
        begin = timeline.start[op]
        state[begin : begin + lowered.program.busy_cycles[op] + 10] = True
    assert awake(run(trace, architecture)) == np.count_nonzero(state)


@pytest.mark.parametrize(
    "dram", ["power_down_after_ns: 20.0", "power_down_after_cycles: 24"], ids=["dram", "channels"]
)
def test_a_live_device_says_the_same(trace: Trace, dram: str) -> None:
    architecture = after(20.0)
    if "cycles" in dram:
        kind = f"{{kind: dram_channels, standard: ddr4_2400, channels: 4, {dram}}}"
        architecture = machine(f"memories.dram={kind}")
    total = SimulatedDevice(trace, architecture).total_of(trace.read(0))
    images = run(trace, architecture).tables["images"]
    assert total.cycles == images["latency_cycles"][0]
    assert total.energy_pj == pytest.approx(images["energy_pj"][0], rel=1e-12)
