"""Does a run that two devices share ask each for its own pieces, and add up?"""

from __future__ import annotations

import numpy as np

from simulator.errors import DeviceError
from simulator.hil.base import Cost, Work
from simulator.hil.divided import DividedDevice
from tests.messages import refused

BLOCK = Work(("blocks.0.attn.q_linear",), 1, {}, {"0": np.ones((1, 4), np.bool_)})
STEM = Work(("sps.0.conv", "head"), 0, {}, {})


class Counting:
    """Says always the same, and remembers what it was asked."""

    def __init__(self, name: str, cycles: int, clock_mhz: float = 500.0) -> None:
        self.name = name
        self.cost = Cost(cycles, clock_mhz, 3.0, {"unit": cycles})
        self.calls: list[object] = []

    def begin_image(self) -> None:
        self.calls.append("begin")

    def estimate(self, work: Work) -> Cost:
        self.calls.append(work.layers)
        return self.cost

    def close(self) -> None:
        self.calls.append("close")


def test_blocks_go_to_one_and_the_rest_to_the_other() -> None:
    blocks, rest = Counting("rtl", 7), Counting("simulated", 100)
    device = DividedDevice(blocks, rest)
    device.begin_image()
    assert device.estimate(STEM) == rest.cost._replace(energy_pj=None)
    assert device.estimate(BLOCK) == blocks.cost._replace(energy_pj=None)
    device.close()
    assert blocks.calls == ["begin", BLOCK.layers, "close"]
    assert rest.calls == ["begin", STEM.layers, "close"]
    assert device.name == "rtl with simulated outside the blocks"


def test_two_clocks_are_one_error() -> None:
    device = DividedDevice(Counting("rtl", 7, 200.0), Counting("simulated", 100))
    device.estimate(STEM)
    with refused(DeviceError, device.name, "clocks of 500.0 and 200.0 MHz"):
        device.estimate(BLOCK)
