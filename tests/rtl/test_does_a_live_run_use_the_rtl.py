"""Does the RTL answer for the very pieces that a live run asks for?"""

from __future__ import annotations

from pathlib import Path

from simulator.hil.divided import DividedDevice
from simulator.hil.guarded import GuardedDevice
from simulator.hil.rtl import rtl_device
from simulator.hil.simulated import simulated_device
from simulator.trace import Trace
from tests.rtl.rtl_cases import needs_verilator
from tests.works import works_of

ROOT = Path(__file__).parents[2]


@needs_verilator
def test_the_first_blocks_of_a_digit() -> None:
    arch = ROOT / "arch_configs" / "sparse_pe.yaml"
    with Trace.open("mnist") as trace:
        works = list(works_of(trace, trace.read(0)))
        simulated = simulated_device(trace, arch)
        divided = DividedDevice(rtl_device(trace, arch), simulated_device(trace, arch))
    device = GuardedDevice(divided)
    device.begin_image()
    simulated.begin_image()
    assert device.estimate(works[0]).cycles == simulated.estimate(works[0]).cycles
    for work in works[1:3]:
        rtl, model = device.estimate(work), simulated.estimate(work)
        # The model has DRAM and overlaps pieces, the RTL has neither.
        assert abs(rtl.cycles / model.cycles - 1.0) < 0.15
        assert rtl.energy_pj is None
    device.close()
