"""Is a small unit synthesized, placed and routed on the FPGA, with what it must hold?"""

from __future__ import annotations

import numpy as np
import pytest

from simulator.errors import DeviceError
from simulator.hil.fpga import (
    SMALL_CYCLES,
    SMALL_ENGINE,
    SMALL_MACHINE,
    UNITS,
    missing_tools,
    place,
)
from simulator.hil.network.compare import wrong_values
from simulator.hil.network.engine import network_design, run_images
from simulator.hil.network.program import compile_network
from simulator.hil.network.twin import run_twin
from tests.messages import said
from tests.rtl.fixed_cases import drawn, machine
from tests.rtl.rtl_cases import needs_verilator

needs_tools = pytest.mark.skipif(bool(missing_tools()), reason=missing_tools() or "it is there")


@needs_tools
def test_a_queue_takes_its_registers() -> None:
    unit = UNITS["fifo"]
    placed = place(unit)
    # Pointers and count at least; its places are registers or distributed memory.
    assert placed.registers >= 2 + 2 + 3
    assert 0 < placed.luts < 1000
    assert placed.block_rams == placed.multipliers == 0
    assert placed.clock_mhz > 50.0


@needs_tools
def test_a_unit_that_is_wrong_is_one_error() -> None:
    unit = UNITS["fifo"]._replace(top="absent")
    with pytest.raises(DeviceError, match=said("a unit that yosys refuses")):
        place(unit)


@needs_tools
def test_a_stage_behind_the_walk_takes_registers() -> None:
    before, after = (place(UNITS[name], only_cells=True) for name in ("row", "staged_row"))
    word, lane, tag = 32, 1, 6
    assert word < after.registers - before.registers <= word + 5 * lane + tag + 12
    assert before.clock_mhz == after.clock_mhz == 0  # nothing was placed


def test_the_engine_that_is_placed_is_one_of_a_machine() -> None:
    parameters = network_design(machine(*SMALL_MACHINE), SMALL_ENGINE).parameters
    placed = UNITS["engine"].parameters
    assert placed.items() <= parameters.items()


@needs_verilator
@pytest.mark.thorough
def test_the_engine_that_is_placed_classifies() -> None:
    """Its cycles are those of the page on RTL."""
    small = machine(*SMALL_MACHINE)
    network = drawn("tiny", (1, 8, 16, 32, 32, 32), 64, heads=1, blocks=1, classes=8)
    # Such that some tokens halt on their way, and others do not.
    network = network._replace(scores=np.arange(16) * 8000, limit=20000)
    program = compile_network(network, network_design(small, SMALL_ENGINE).parameters)
    image = np.random.default_rng(3).integers(0, 256, (16, 16, 1)).astype(np.uint8)
    (run,) = run_images(small, program, [image], SMALL_ENGINE)
    twin = run_twin(network, image, membrane_bits=16)
    assert any(0 < mask.sum() < 16 for mask in twin.active["0"])
    assert wrong_values(program, run, twin) == {}
    assert run.counters["cycles"] == SMALL_CYCLES
