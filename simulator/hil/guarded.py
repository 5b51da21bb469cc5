"""A device that may fail, behind a guard: one clear error instead of a hang or nonsense.

Real devices are cut off, hang, crash, or answer what cannot be. The guard asks in a thread of its
own, waits so long and no longer, checks every answer, and turns whatever goes wrong into one
DeviceError that names device, piece of work and reason. After the first one the device counts as
gone: it is asked nothing more, and every further question gives the same error at once.
"""

from __future__ import annotations

import contextlib
import math
import queue
import threading
from collections.abc import Callable
from typing import Any

from simulator.errors import DeviceError
from simulator.hil.base import Cost, Device, Work, checked

TIMEOUT_S = 60.0


class GuardedDevice:
    """Make the failures of a device one DeviceError each; `timeout_s`: for one answer."""

    def __init__(self, device: Device, timeout_s: float = TIMEOUT_S) -> None:
        if not (math.isfinite(timeout_s) and timeout_s > 0):
            raise DeviceError(f"time-out {timeout_s} s", "must be above 0")
        self.device = device
        self.timeout_s = timeout_s
        self.name = str(device.name)
        self.failure: DeviceError | None = None
        self._thread: threading.Thread | None = None
        self._questions: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def begin_image(self) -> None:
        """Start an image."""
        self._ask(self.device.begin_image, "at the start of an image")

    def estimate(self, work: Work) -> Cost:
        """Return the device's answer, checked."""
        place = f"{', '.join(work.layers)}, timestep {work.timestep}"
        cost = self._ask(lambda: self.device.estimate(work), place)
        try:
            _check_form(self.name, place, cost)
            return checked(self.name, work, cost)
        except DeviceError as error:
            self.failure = error
            raise

    def close(self) -> None:
        """Close the device, unless it hangs; errors of closing are of no use to anyone."""
        if self.failure is None:
            with contextlib.suppress(DeviceError):
                self._ask(self.device.close, "at its end")
        self._questions.put(None)

    def _ask(self, question: Callable[[], Any], place: str) -> Any:
        if self.failure is not None:
            raise self.failure
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=self.name, daemon=True)
            self._thread.start()
        self._questions.put(question)
        try:
            answer, error = self._answers.get(timeout=self.timeout_s)
        except queue.Empty:
            self.failure = DeviceError(
                f"device {self.name}", place, f"no answer within {self.timeout_s:g} s"
            )
            raise self.failure from None
        if error is None:
            return answer
        if isinstance(error, DeviceError):
            self.failure = error
        else:
            reason = " ".join(str(error).split()) or "no reason given"
            self.failure = DeviceError(f"device {self.name}", place, type(error).__name__, reason)
        raise self.failure from error

    def _serve(self) -> None:
        """Answer until asked to stop; a question that hangs keeps this thread, a daemon, alone."""
        while (question := self._questions.get()) is not None:
            try:
                self._answers.put((question(), None))
            except Exception as error:
                self._answers.put((None, error))


def _check_form(device: str, place: str, cost: object) -> None:
    """Raise DeviceError for an answer that is not made of the numbers that a Cost is made of."""
    if not isinstance(cost, Cost):
        raise DeviceError(f"device {device}", place, type(cost).__name__, "must be a Cost")
    counts = {"cycles": cost.cycles} | dict(cost.busy_cycles)
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int):
            raise DeviceError(f"device {device}: {place}: {name} {count!r}: must be a whole number")
    for name, number in (("clock_mhz", cost.clock_mhz), ("energy_pj", cost.energy_pj)):
        if number is not None and not isinstance(number, int | float):
            raise DeviceError(f"device {device}", place, f"{name} {number!r}", "must be a number")
