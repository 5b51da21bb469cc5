"""Does every numeric field of every shipped machine move a cycle, a count or an energy?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from simulator.architecture import Architecture
from simulator.trace import Trace
from tests.dead_fields import MOVES, NOTHING, REFUSED, Machine, small_traces
from tests.machines import ROOT

FILES = sorted((ROOT / "arch_configs").glob("*.yaml"))


class Rest(NamedTuple):
    """Why a field moves nothing, and on which machines that may be; `verdict` is what it gives."""

    verdict: str
    why: str
    applies: Callable[[Architecture], bool] = lambda machine: True


_NO_RIVAL = "is of a port that another reader shares"


def _has_no_rival(machine: Architecture) -> bool:
    return not getattr(machine.core.arrays["engines.convolutions"], "rival_words", 0)


MAY_REST = {
    "technology.node_nm": Rest(REFUSED, "the node is that of the energy table"),
    "cores.count": Rest(
        REFUSED,
        "cores exchange tensors through a global buffer; a mesh has a place for each",
        lambda machine: machine.memories.global_buffer is None or machine.interconnect is not None,
    ),
    "memories.dram.wake_ns": Rest(
        NOTHING,
        "is of channels that power down",
        lambda machine: machine.memories.dram.power_down(machine.clock_mhz) is None,
    ),
    "dataflow.images_in_flight": Rest(NOTHING, "is of streams (--arrivals), not of one image"),
    "dataflow.images_together": Rest(
        NOTHING,
        "is of several images: one alone has its part of the buffers, which is enough here",
        lambda machine: machine.name == "fpga_spiking_transformer",
    ),
    "dataflow.restart_cycles": Rest(
        NOTHING,
        "is of timesteps in turn",
        lambda machine: getattr(machine.dataflow, "timesteps_together", False),
    ),
    "dataflow.local_weight_chunks": Rest(
        NOTHING,
        "is of arrays that keep chunks of weights",
        lambda machine: not any(each.preloads_weights for each in machine.core.arrays.values()),
    ),
    "cores.pe_array.tile_outputs": Rest(
        NOTHING,
        "is of the order in which inputs are stationary",
        lambda machine: getattr(machine.core.pe_array, "stationary", "") != "is",
    ),
    "cores.buffers.masks.banks": Rest(
        REFUSED,
        "halves of the smallest bank that the SRAM grid holds have no price",
        lambda machine: getattr(machine.core.buffers.masks, "size_kib", 0) == 1,
    ),
    "cores.buffers.membranes.banks": Rest(
        REFUSED,
        "halves of the smallest bank that the SRAM grid holds have no price",
        lambda machine: getattr(machine.core.buffers.membranes, "size_kib", 0) == 1,
    ),
    "cores.buffers.masks.latency_cycles": Rest(
        NOTHING,
        "is of masks, which this order of timesteps never has",
        lambda machine: machine.dataflow.kind == "layer_by_layer",
    ),
    "cores.engines.linears.overlap_cycles": Rest(
        NOTHING,
        "is of positions that run in pairs",
        lambda machine: not getattr(machine.core.arrays["engines.linears"], "pairs", False),
    ),
    "cores.engines.convolutions.rival_cycles": Rest(NOTHING, _NO_RIVAL, _has_no_rival),
    "cores.engines.convolutions.held_cycles": Rest(NOTHING, _NO_RIVAL, _has_no_rival),
}
"""What may move nothing, by field."""


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> list[Trace]:
    return small_traces(tmp_path_factory.mktemp("traces"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_field_of_a_machine_is_dead(traces: list[Trace], path: Path) -> None:
    machine = Machine(path, traces)
    verdicts = {
        name: machine.verdict(name, value)
        for name, value in machine.fields().items()
        if not (name in MAY_REST and MAY_REST[name].applies(machine.architecture))
    }
    assert {name: verdict for name, verdict in verdicts.items() if verdict != MOVES} == {}
    assert len(verdicts) > 35
