"""Does a local buffer that answers later make the unit that reads it later, by as many cycles?"""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.lowering.units import make_graph
from simulator.simulate import Simulation
from simulator.trace import Trace
from tests.factories import tiny_trace
from tests.machines import machine

SLOWER = {
    ("sparse_pe", "spikes", "pe_array"): 4,
    ("sparse_pe", "partial_sums", "pe_array"): 4,
    ("sparse_pe", "weights", "pe_array"): 0,  # preloaded: the port waits
    ("sparse_pe", "weights", "weight_port"): 4,
    ("dense_pe", "weights", "pe_array"): 4,
    ("sparse_pe", "membranes", "vector_unit"): 4,
    ("sparse_pe", "masks", "pe_array"): 0,
}


@pytest.mark.parametrize(("name", "buffer", "role"), SLOWER)
def test_a_pipeline_is_longer_by_what_its_buffer_is_later(
    name: str, buffer: str, role: str
) -> None:
    before, after = (
        make_graph(machine(name, f"cores.buffers.{buffer}.latency_cycles={cycles}"))
        for cycles in (1, 5)
    )
    assert after.latency(role) - before.latency(role) == SLOWER[name, buffer, role]
    assert make_graph(machine(name, f"cores.buffers.{buffer}.latency_cycles=0")).latency(
        role
    ) <= before.latency(role)


@pytest.mark.parametrize("buffer", ["spikes", "partial_sums", "membranes", "masks", "weights"])
def test_an_image_takes_longer(tmp_path: Path, buffer: str) -> None:
    with Trace.open(tiny_trace(tmp_path / "tiny.npz", images=1)) as trace:
        cycles = [
            int(
                Simulation(
                    trace, machine("sparse_pe", f"cores.buffers.{buffer}.latency_cycles={n}")
                )
                .run([0])
                .tables["images"]["latency_cycles"][0]
            )
            for n in (1, 2, 9)
        ]
    assert cycles[0] < cycles[1] < cycles[2]
