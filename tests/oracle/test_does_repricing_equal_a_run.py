"""Does pricing a replay anew give the same, to the last bit, as simulating again?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.architecture import Architecture, load_architecture
from simulator.components.base import build, registry
from simulator.components.memories.base import Memory
from simulator.results.repricing import reprice, simulation_key
from simulator.results.result import Result
from simulator.simulate import Simulation
from simulator.trace import Trace
from tests.factories import tiny_trace
from tests.machines import GENERAL

ROOT = Path(__file__).parents[2]
ARCH = ROOT / "arch_configs" / "sparse_pe.yaml"
OTHER_NODE = "technology={node_nm: 45, voltage_v: 0.9, energy_table: horowitz_45nm}"
FASTER = [
    "clock_mhz=1000",
    "memories.dram.bandwidth_gb_per_s=32.0",
    "memories.dram.latency_ns=22.1",
    "memories.dram.row_miss_ns=14.15",
]
SLOWER = [
    "clock_mhz=62.5",
    "memories.dram.bandwidth_gb_per_s=2.0",
    "memories.dram.latency_ns=353.6",
    "memories.dram.row_miss_ns=226.4",
]

PRICED_ALONE = {
    "another node": [OTHER_NODE],
    "another table": ["technology.energy_table=aladdin_28nm"],
    "another DRAM": ["memories.dram.technology=hbm2"],
    "clock and DRAM twice as fast": FASTER,
    "clock and DRAM an eighth as fast": SLOWER,
    "another name": ["name=other", "source=elsewhere"],
    "all at once": [OTHER_NODE, *FASTER, "memories.dram.technology=hbm2"],
}
SIMULATED_AGAIN = {
    "clock": ["clock_mhz=1000"],
    "clock a little": ["clock_mhz=500.0001"],
    "clock and DRAM by thirds": [
        "clock_mhz=1500",
        "memories.dram.bandwidth_gb_per_s=48.0",
        "memories.dram.latency_ns=14.733333",
        "memories.dram.row_miss_ns=9.433333",
    ],
    "bandwidth": ["memories.dram.bandwidth_gb_per_s=8.0"],
    "buffer": ["cores.0.buffers.weights.size_kib=128"],
    "width of sums": ["precision.partial_sums_bits=24"],
    "kind of a part": ["token_skip={kind: none}"],
    "latency of a buffer": ["cores.0.buffers.weights.latency_cycles=3"],
}


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_trace(tmp_path_factory.mktemp("trace") / "tiny.npz", images=3)


@pytest.fixture(scope="module")
def first(trace: Path) -> Result:
    return simulated(trace, load_architecture(ARCH))


def simulated(path: Path, architecture: Architecture) -> Result:
    with Trace.open(path) as trace:
        return Simulation(trace, architecture).run(range(trace.images))


@pytest.mark.parametrize("overrides", PRICED_ALONE.values(), ids=PRICED_ALONE.keys())
def test_a_replay_priced_anew_is_the_fresh_one(
    overrides: list[str], trace: Path, first: Result
) -> None:
    other = load_architecture(ARCH, overrides)
    assert simulation_key(other) == simulation_key(load_architecture(ARCH))
    fresh = simulated(trace, other)
    priced = reprice(first, other)
    assert priced == fresh
    assert priced.to_json() == fresh.to_json()
    priced.check()


@pytest.mark.parametrize("overrides", SIMULATED_AGAIN.values(), ids=SIMULATED_AGAIN.keys())
def test_what_may_change_a_cycle_is_simulated_again(overrides: list[str]) -> None:
    key = simulation_key(load_architecture(ARCH))
    assert simulation_key(load_architecture(ARCH, overrides)) != key


@pytest.mark.parametrize("name", GENERAL)
def test_every_general_machine_can_be_priced_anew(name: str, trace: Path) -> None:
    path = ROOT / "arch_configs" / f"{name}.yaml"
    own, other = (load_architecture(path, words) for words in ([], [OTHER_NODE]))
    assert reprice(simulated(trace, own), other) == simulated(trace, other)


def test_a_trace_of_real_spikes_is_priced_anew_to_the_last_bit() -> None:
    path = ROOT / "traces" / "mnist.npz"
    other = load_architecture(ARCH, [OTHER_NODE, *FASTER])
    with Trace.open(path) as trace:
        first = Simulation(trace, load_architecture(ARCH)).run(range(4))
        assert reprice(first, other) == Simulation(trace, other).run(range(4))


MEMORIES = [
    build("memories", fields)
    for fields in (
        {
            "kind": "dram",
            "technology": "ddr4",
            "channels": 3,
            "bandwidth_gb_per_s": 13.7,
            "latency_ns": 44.2,
            "row_miss_ns": 28.3,
            "page_bytes": 2048,
        },
        {"kind": "sram", "size_kib": 64, "banks": 4, "width_bits": 128},
    )
]


@settings(max_examples=200)
@given(
    memory=st.sampled_from(MEMORIES),
    bits=st.integers(1, 1 << 24),
    clock_mhz=st.floats(1.0, 4000.0),
    power=st.integers(-6, 6),
)
def test_memories_of_one_key_take_the_same_cycles(
    memory: Memory, bits: int, clock_mhz: float, power: int
) -> None:
    """Times divided and clock multiplied by a power of two: no cycle differs."""
    factor = 2.0**power
    fields: dict[str, Any] = memory.model_dump()
    for name in ("latency_ns", "row_miss_ns"):
        fields |= {name: fields[name] / factor} if name in fields else {}
    if "bandwidth_gb_per_s" in fields:
        fields["bandwidth_gb_per_s"] *= factor
    other = build("memories", fields)
    assert isinstance(other, Memory)
    assert other.simulated(clock_mhz * factor) == memory.simulated(clock_mhz)
    assert other.read(bits, clock_mhz * factor) == memory.read(bits, clock_mhz)
    assert other.write(bits, clock_mhz * factor) == memory.write(bits, clock_mhz)


def test_no_memory_forgets_the_clock_by_accident() -> None:
    """A memory that leaves the clock out of its key must answer alike at any clock."""
    for kind, part in registry("memories").items():
        memory = build("memories", yaml.safe_load(part.example) | {"kind": kind})
        assert isinstance(memory, Memory)
        if memory.simulated(500.0) == memory.simulated(777.0):
            assert memory.read(10**6, 500.0) == memory.read(10**6, 777.0)
            assert memory.bits_per_cycle(500.0) == memory.bits_per_cycle(777.0)
