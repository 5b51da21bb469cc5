"""When the images of a stream arrive: in a closed loop, at a rate, at random, or as a file says.

closed               the next image arrives when a place is free
rate:200             200 images a second, equally spaced, the first at 0
poisson:200,seed=1   gaps drawn from the exponential distribution of mean 1/200 s
FILE                 .csv or .txt: a time in seconds a line, in order
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

import numpy as np

from simulator.config.read_back import read_text
from simulator.errors import StreamError

MOST_IMAGES = 10_000_000
MOST_BYTES = 1 << 28
"""A longer file of times is refused before it is read."""

SUFFIXES = (".csv", ".txt")
HEADER = "arrival_s"

_LATEST_CYCLE = 1 << 60
_DRAWN_TOGETHER = 4096


class Arrivals(NamedTuple):
    """Hold a kind of arrivals. `times_s`: of a file; `images`: 0 where not stated."""

    text: str
    kind: str
    images_per_s: float = 0.0
    seed: int = 0
    images: int = 0
    times_s: tuple[float, ...] = ()

    def cycles(self, clock_mhz: float) -> Iterator[int | None]:
        """Yield the cycle of each arrival, rounded; None where an image arrives when it may begin.

        Raises StreamError for an arrival too late to be counted.
        """
        if self.kind == "closed":
            yield from repeat(None)
        for time_s in self._times_s():
            cycle = round(time_s * clock_mhz * 1e6)
            if cycle >= _LATEST_CYCLE:
                raise StreamError(
                    f"--arrivals {self.text}", f"{time_s} s is cycle {cycle}; rule: below 2^60"
                )
            yield cycle

    def _times_s(self) -> Iterator[float]:
        if self.kind == "rate":
            yield from (image / self.images_per_s for image in range(MOST_IMAGES))
        elif self.kind == "poisson":
            generator, time_s = np.random.Generator(np.random.PCG64(self.seed)), 0.0
            while True:
                for gap_s in generator.exponential(1 / self.images_per_s, _DRAWN_TOGETHER).tolist():
                    time_s += gap_s
                    yield time_s
        else:
            yield from self.times_s


def read_arrivals(text: str) -> Arrivals:
    """Return the arrivals of a command line; raise StreamError with the rule that it breaks."""
    head, *options = text.split(",")
    kind, colon, rate = head.partition(":")
    if (kind == "closed" and not colon) or (kind in ("rate", "poisson") and colon):
        fields = _options(text, options, ("seed", "images") if kind == "poisson" else ("images",))
        if kind == "poisson" and "seed" not in fields:
            raise StreamError(f"--arrivals {text}", f"needs a seed, such as {head},seed=1")
        images_per_s = _rate(text, rate) if colon else 0.0
        return Arrivals(text, kind, images_per_s, fields.get("seed", 0), fields.get("images", 0))
    path = Path(text)
    if path.suffix not in SUFFIXES:
        raise StreamError(
            f"--arrivals {text}",
            "must be closed, rate:R, poisson:R,seed=S, or a file that ends with "
            f"{' or '.join(SUFFIXES)}",
        )
    times_s = _read_times(path)
    return Arrivals(text, "file", images=len(times_s), times_s=times_s)


def _options(text: str, options: list[str], known: tuple[str, ...]) -> dict[str, int]:
    fields: dict[str, int] = {}
    for option in options:
        name, _, value = option.partition("=")
        if name not in known or name in fields:
            raise StreamError(
                f"--arrivals {text}", option, f"must be one of {', '.join(known)}, each once"
            )
        most, least = (MOST_IMAGES, 1) if name == "images" else ((1 << 63) - 1, 0)
        if not value.isdecimal() or not value.isascii() or not least <= int(value[:20]) <= most:
            raise StreamError(f"--arrivals {text}", option, f"must be from {least} to {most}")
        fields[name] = int(value)
    return fields


def _rate(text: str, rate: str) -> float:
    try:
        images_per_s = float(rate)
    except ValueError:
        images_per_s = math.nan
    if not 1e-6 <= images_per_s <= 1e12:
        raise StreamError(f"--arrivals {text}", rate, "must be from 1e-6 to 1e12 images a second")
    return images_per_s


def _read_times(path: Path) -> tuple[float, ...]:
    """Times of a file, checked: finite, from 0 on, never before the last one."""
    lines = read_text(path, MOST_BYTES, StreamError).splitlines()
    times: list[float] = []
    for number, line in enumerate(lines, start=1):
        word = line.strip()
        if not word or (number == 1 and word == HEADER):
            continue
        try:
            time_s = float(word)
        except ValueError:
            time_s = math.nan
        earliest = times[-1] if times else 0.0
        if not earliest <= time_s < math.inf:
            raise StreamError(
                f"{path}:{number}: {word[:40]!r}: must be a time in seconds, at least {earliest}"
            )
        times.append(time_s)
    if not 1 <= len(times) <= MOST_IMAGES:
        raise StreamError(path, f"{len(times)} times", f"must hold 1 to {MOST_IMAGES}")
    return tuple(times)
