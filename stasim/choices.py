"""What the functions of `stasim` are handed, as the commands know it."""

from __future__ import annotations

import shlex
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.architecture import Machine
    from simulator.trace import Trace

    AnyTrace = Trace | str | Path
    Images = range | int | str | None


def at_least(name: str, value: Any, least: int) -> None:
    """Raise SimulatorError unless a value is a whole number from `least` on."""
    from simulator.errors import SimulatorError

    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise SimulatorError(name, f"{value!r}", f"must be a whole number from {least}")


def opened(trace: AnyTrace) -> Trace:
    """Open a trace by its name or path, or once more."""
    from simulator.trace import Trace

    return Trace.open(trace if isinstance(trace, str | Path) else trace.path)


def images_of(images: Images, count: int) -> range:
    """Return the images that are meant, of a trace of `count`."""
    from simulator.errors import TraceError
    from simulator.trace import image_range

    if isinstance(images, range):
        if images.step != 1:
            raise TraceError("images", images, "must have the step 1")
        images = f"{images.start}:{images.stop}"
    elif images is not None and not isinstance(images, str):
        at_least("images", images, 1)
        images = f"0:{images}"
    return image_range(images, count, "images:")


def command_of(
    trace: AnyTrace, machine: Machine, images: Images, changes: list[str], pictures: int
) -> str:
    """Return what gives this result again, as far as files do."""
    from simulator.run import COMMAND, PICTURES

    named = isinstance(machine, str | Path)
    words = COMMAND.split()
    words += ["--arch", str(machine) if named else "MACHINE.yaml"]
    words += ["--trace", str(trace if isinstance(trace, str | Path) else trace.path)]
    if images is not None:
        first = images.start if isinstance(images, range) else 0
        last = images.stop if isinstance(images, range) else images
        words += ["--images", images if isinstance(images, str) else f"{first}:{last}"]
    for change in changes:
        words += ["--set", change]
    words += ["--pictures", str(pictures)] if pictures != PICTURES else []
    return shlex.join(words)
