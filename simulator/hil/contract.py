"""A test kit: whether a device keeps the contract of simulator.hil.base, of any package.

    from simulator.hil.contract import check_device
    check_device(lambda: MyDevice(...), list(works_of(trace, image)))

Each rule is a function; the first one that is broken is named in a DeviceError.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from simulator.errors import DeviceError
from simulator.hil.base import Cost, Device, Work, checked
from simulator.hil.guarded import GuardedDevice

Open = Callable[[], Device]
TIMEOUT_S = 60.0
STRANGE = Work(("no layer of any network",), 0, {}, {})


def check_device(
    open_device: Open, works: Sequence[Work], *, exact: bool = True, timeout_s: float = TIMEOUT_S
) -> None:
    """Raise DeviceError for the first rule that a device breaks on the work of an image.

    `exact`: equal work gives equal answers; a device that measures time says False. `timeout_s`:
    for one answer.
    """
    if len(works) < 2:
        raise DeviceError("device contract", "an image of two pieces of work or more is needed")
    first = _answers(open_device, [works], timeout_s)[0]
    _check_total(works, first)
    if exact:
        _check_repeats(open_device, works, first, timeout_s)
        _check_halting(open_device, works, first, timeout_s)
    _check_refusal(open_device, timeout_s)
    _check_end(open_device, works, timeout_s)


def _answers(
    open_device: Open, images: Sequence[Sequence[Work]], timeout_s: float
) -> list[list[Cost]]:
    """What a new device answers to the work of images, one after another."""
    device = GuardedDevice(open_device(), timeout_s)
    try:
        found = []
        for works in images:
            device.begin_image()
            found.append([device.estimate(work) for work in works])
        return found
    finally:
        device.close()


def _broken(rule: str, found: object, wanted: object) -> DeviceError:
    return DeviceError("device contract", rule, found, f"must be {wanted}")


def _check_total(works: Sequence[Work], costs: Sequence[Cost]) -> None:
    """Answers are counts of one clock, and an image costs something."""
    for work, cost in zip(works, costs, strict=True):
        checked("contract", work, cost)
    clocks = {cost.clock_mhz for cost in costs}
    if len(clocks) != 1:
        raise _broken("one clock", sorted(clocks), "one clock in all answers")
    if sum(cost.cycles for cost in costs) <= 0:
        raise _broken("an image costs time", 0, "more than 0 cycles")
    if len({cost.energy_pj is None for cost in costs}) != 1:
        raise _broken("energy", "some answers have one", "in all answers or in none")


def _check_repeats(
    open_device: Open, works: Sequence[Work], first: Sequence[Cost], timeout_s: float
) -> None:
    """The same image gives the same answers: on another device, and behind another image."""
    again = _answers(open_device, [works[:1], works], timeout_s)[1]
    for index, (cost, other) in enumerate(zip(first, again, strict=True)):
        if cost != other:
            rule = "an image does not depend on the one before it, and repeats"
            raise _broken(f"{rule}: work {index}", other, cost)


def _check_halting(
    open_device: Open, works: Sequence[Work], first: Sequence[Cost], timeout_s: float
) -> None:
    """An image whose tokens halt before its last piece with a mask costs no more."""
    masked = [index for index, work in enumerate(works) if work.active]
    if not masked:
        return
    last = masked[-1]
    fewer = [*works[:last], _halted(works[last])]
    costs = _answers(open_device, [fewer], timeout_s)[0]
    most = sum(cost.cycles for cost in first[: last + 1])
    found = sum(cost.cycles for cost in costs)
    if found > most:
        raise _broken("halting more never costs more: cycles", found, f"at most {most}")
    energies = [
        cost.energy_pj for cost in (*costs, *first[: last + 1]) if cost.energy_pj is not None
    ]
    if energies:
        spent = sum(energies[: last + 1])
        before = sum(energies[last + 1 :])
        if spent > before and not math.isclose(spent, before):
            raise _broken("halting more never costs more: pJ", spent, f"at most {before}")


def _halted(work: Work) -> Work:
    """The work with no token alive, and so no spikes under its mask."""
    return work._replace(
        tensors={name: bits * 0 if work.active else bits for name, bits in work.tensors.items()},
        active={block: mask & False for block, mask in work.active.items()},
    )


def _check_refusal(open_device: Open, timeout_s: float) -> None:
    """Work of another network is refused by a DeviceError."""
    device = open_device()
    device.begin_image()
    try:
        device.estimate(STRANGE)
    except DeviceError:
        return
    except Exception as error:
        raise _broken("unknown layer", type(error).__name__, "a DeviceError") from error
    finally:
        GuardedDevice(device, timeout_s).close()
    raise _broken("unknown layer", "an answer", "a DeviceError")


def _check_end(open_device: Open, works: Sequence[Work], timeout_s: float) -> None:
    """A device closes in the middle of an image, and twice."""
    device = GuardedDevice(open_device(), timeout_s)
    device.begin_image()
    device.estimate(works[0])
    for _ in range(2):
        try:
            device.device.close()
        except Exception as error:
            raise _broken("close", f"{type(error).__name__}: {error}", "no error") from error
    device.close()
