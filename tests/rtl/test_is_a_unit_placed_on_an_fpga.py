"""Is a small unit synthesized, placed and routed on the FPGA, with what it must hold?"""

from __future__ import annotations

import pytest

from simulator.errors import DeviceError
from simulator.hil.fpga import UNITS, missing_tools, place

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
    with pytest.raises(DeviceError, match="fpga: absent: yosys failed: code 1: ERROR"):
        place(unit)
