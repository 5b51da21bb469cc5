"""Does the kit pass the devices that there are, and name the rule that a bad one breaks?"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

import pytest

from simulator.errors import DeviceError
from simulator.hil.base import Cost, Device, Work
from simulator.hil.contract import check_device
from simulator.hil.recorded import RecordedDevice, Recorder
from simulator.hil.simulated import SimulatedDevice, simulated_device
from simulator.trace import Trace
from tests.messages import cases, said
from tests.works import works_of

ROOT = Path(__file__).parents[2]
ARCH, TRACE = ROOT / "arch_configs" / "sparse_pe.yaml", ROOT / "traces" / "mnist.npz"


@cache
def works() -> list[Work]:
    with Trace.open(TRACE) as trace:
        return list(works_of(trace, trace.read(0)))


def simulated() -> SimulatedDevice:
    with Trace.open(TRACE) as trace:
        return simulated_device(trace, ARCH)


class Counter(Device):
    """Costs a cycle a live token; each test breaks one rule of it."""

    name = "counter"
    seen: list[Work]

    def begin_image(self) -> None:
        self.seen = []

    def estimate(self, work: Work) -> Cost:
        if work.layers[0] not in {name for each in works() for name in each.layers}:
            raise DeviceError("counter: unknown layer")
        self.seen.append(work)
        live = sum(int(mask.sum()) for mask in work.active.values())
        return Cost(1 + live, 500.0, None, {})

    def close(self) -> None:
        pass


class Forgetful(Counter):
    def begin_image(self) -> None:
        self.seen = [*getattr(self, "seen", [])]

    def estimate(self, work: Work) -> Cost:
        cost = super().estimate(work)
        return cost._replace(cycles=cost.cycles + len(self.seen))


class Backwards(Counter):
    def estimate(self, work: Work) -> Cost:
        return super().estimate(work)._replace(cycles=100 - super().estimate(work).cycles)


class Sloppy(Counter):
    def estimate(self, work: Work) -> Cost:
        if work.layers[0] not in works()[0].layers and not work.active:
            raise KeyError(work.layers[0])
        return super().estimate(work)


class Clocks(Counter):
    def estimate(self, work: Work) -> Cost:
        return super().estimate(work)._replace(clock_mhz=500.0 + work.timestep)


class Slow(Counter):
    def estimate(self, work: Work) -> Cost:
        time.sleep(2.0)
        return super().estimate(work)


class Once(Counter):
    closed = False

    def close(self) -> None:
        if self.closed:
            raise OSError("not connected")
        self.closed = True


def test_the_simulated_device_passes() -> None:
    check_device(simulated, works())


def test_a_plain_device_passes() -> None:
    check_device(Counter, works())


def test_a_recording_that_lacks_an_answer_is_named(tmp_path: Path) -> None:
    recorder = Recorder(Counter())
    recorder.begin_image()
    for work in works():
        recorder.estimate(work)
    path = tmp_path / "recording.json"
    recorder.save(path, {"test": "1"})
    # It has the image that was recorded, but not the one whose tokens halt earlier.
    with pytest.raises(DeviceError):
        check_device(lambda: RecordedDevice(path), works())
    check_device(lambda: RecordedDevice(path), works(), exact=False)


BROKEN = {each.__name__: each for each in (Forgetful, Backwards, Sloppy, Clocks, Once)}


@cases("broken_device")
def test_a_broken_rule_is_named(device: str, rule: str) -> None:
    with pytest.raises(DeviceError, match=rule):
        check_device(BROKEN[device], works())


def test_a_device_that_hangs_is_named() -> None:
    with pytest.raises(DeviceError, match=said("a device that is too slow")):
        check_device(Slow, works(), timeout_s=0.1)
