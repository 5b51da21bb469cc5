"""Does a device that fails, hangs or answers nonsense give one clear error and no more?"""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from simulator.errors import DeviceError
from simulator.hil.base import Cost, Work
from simulator.hil.guarded import GuardedDevice
from tests.messages import refused, said

WORK = Work(("blocks.0.attn.q_linear",), 1, {}, {})
GOOD = Cost(10, 500.0, 2.0, {"pe_array": 7})


class Faulty:
    """Answers once, then does what it is told."""

    name = "bench board"

    def __init__(self, then: Any) -> None:
        self.then = then
        self.asked = 0
        self.closed = False

    def begin_image(self) -> None:
        """Ready."""

    def estimate(self, work: Work) -> Any:
        self.asked += 1
        if self.asked == 1:
            return GOOD
        return self.then() if callable(self.then) else self.then

    def close(self) -> None:
        self.closed = True


def cut() -> None:
    raise ConnectionResetError("Connection reset\nby peer")


def built_badly() -> None:
    raise DeviceError("device bench board: the tool is not installed")


def wrong(**fields: Any) -> Any:
    """A cost with fields that no cost can have."""
    return GOOD._replace(**fields)


NONSENSE: list[tuple[Any, str]] = [
    (None, "NoneType: must be a Cost"),
    ((10, 500.0, 2.0, {}), "tuple: must be a Cost"),
    (wrong(cycles=-1), "-1 cycles: no count"),
    (wrong(cycles=10.5), "cycles 10.5: must be a whole number"),
    (wrong(cycles=True), "cycles True: must be a whole number"),
    (wrong(busy_cycles={"dram": -3}), "no count of cycles is negative"),
    (wrong(busy_cycles={"dram": "3"}), "dram '3': must be a whole number"),
    (wrong(clock_mhz=0.0), "clock 0.0 MHz"),
    (wrong(clock_mhz="fast"), "clock_mhz 'fast': must be a number"),
    (wrong(energy_pj=float("nan")), "energy nan pJ"),
    (wrong(energy_pj=float("inf")), "energy inf pJ"),
    (cut, "ConnectionResetError: Connection reset by peer"),
    (built_badly, "the tool is not installed"),
]


@pytest.mark.parametrize(("then", "message"), NONSENSE)
def test_each_fault_is_one_error_that_names_device_and_reason(then: Any, message: str) -> None:
    device = Faulty(then)
    guarded = GuardedDevice(device)
    guarded.begin_image()
    assert guarded.estimate(WORK) == GOOD
    with pytest.raises(DeviceError) as first:
        guarded.estimate(WORK)
    text = str(first.value)
    assert message in text
    assert "bench board" in text
    assert "\n" not in text
    with pytest.raises(DeviceError) as again:
        guarded.estimate(WORK)
    assert again.value is first.value
    assert device.asked == 2
    guarded.close()
    assert not device.closed


def test_a_device_that_hangs_is_left_alone_after_its_time() -> None:
    released = threading.Event()
    guarded = GuardedDevice(Faulty(lambda: released.wait(30)), timeout_s=0.05)
    guarded.estimate(WORK)
    began = time.monotonic()
    with pytest.raises(DeviceError, match=said("a device that hangs")):
        guarded.estimate(WORK)
    with pytest.raises(DeviceError):
        guarded.begin_image()
    guarded.close()
    assert time.monotonic() - began < 20  # nobody waited for the device
    released.set()


def test_a_device_that_works_is_closed() -> None:
    device = Faulty(GOOD)
    guarded = GuardedDevice(device)
    assert [guarded.estimate(WORK) for _ in range(3)] == [GOOD] * 3
    guarded.close()
    assert device.closed


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("nan"), float("inf")])
def test_a_time_out_that_is_none_is_refused(timeout_s: float) -> None:
    with refused(DeviceError, f"time-out {timeout_s} s"):
        GuardedDevice(Faulty(GOOD), timeout_s)
