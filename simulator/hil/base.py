"""What every device answers: a piece of a network's run in, its cost out.

A device is a simulated machine, compiled RTL, a recording of either, or the host itself. What
asks it (a live run, a calibration) does not know which one it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from simulator.errors import DeviceError


class Work(NamedTuple):
    """Hold some layers of one image in order of execution, with the spikes that they read.

    `layers`: names of matrix operations, as in the trace, each with the element-wise operations
    that follow it; `timestep`: the first one, at which the first axis of every array begins.
    `tensors`: uint8 (timestep, plane, row, byte), packed as in a trace, by name; `active`: bool
    (timestep, token) by block, the tokens that still run.
    """

    layers: tuple[str, ...]
    timestep: int
    tensors: Mapping[str, npt.NDArray[np.uint8]]
    active: Mapping[str, npt.NDArray[np.bool_]]


class Cost(NamedTuple):
    """Hold what a piece of work adds to the run before it.

    `cycles` of a clock of `clock_mhz` (a host that measures nanoseconds says 1000); `energy_pj`:
    None from a device that cannot tell; `busy_cycles`: by unit.
    """

    cycles: int
    clock_mhz: float
    energy_pj: float | None
    busy_cycles: Mapping[str, int]

    @property
    def latency_ms(self) -> float:
        """The cycles as time."""
        return self.cycles / (self.clock_mhz * 1e3)


class Device(Protocol):
    """Answer what pieces of work cost, in the order in which a network does them."""

    @property
    def name(self) -> str:
        """For messages and recordings."""

    def begin_image(self) -> None:
        """Start an image on an idle machine: nothing of the last one is in the way."""

    def estimate(self, work: Work) -> Cost:
        """Return the cost of the next piece of work. Raises DeviceError if there is no answer."""

    def close(self) -> None:
        """Free what the device holds; it is asked nothing after that."""


def checked(device: str, work: Work, cost: Cost) -> Cost:
    """Return the cost, if it can be one. Raises DeviceError for an answer that makes no sense."""
    place = f"device {device}: {', '.join(work.layers)}, timestep {work.timestep}"
    if cost.cycles < 0 or any(count < 0 for count in cost.busy_cycles.values()):
        raise DeviceError(place, f"{cost.cycles} cycles", "no count of cycles is negative")
    if not (math.isfinite(cost.clock_mhz) and cost.clock_mhz > 0):
        raise DeviceError(place, f"clock {cost.clock_mhz} MHz", "must be above 0")
    if cost.energy_pj is not None and not (math.isfinite(cost.energy_pj) and cost.energy_pj >= 0):
        raise DeviceError(place, f"energy {cost.energy_pj} pJ", "must be 0 or more")
    return cost
