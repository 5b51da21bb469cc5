"""A stream of images as text for a terminal, and the named lines of that text."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from simulator.config.wording import one_line
from simulator.results.units import between, number

WIDTH = 100


def entry(name: str, text: str, lines: int = 1) -> list[str]:
    """A named line, wrapped into a few."""
    wrapped = textwrap.wrap(text, WIDTH - 14, max_lines=lines, placeholder=" ...") or [""]
    return [f"{name if i == 0 else '':<14}{line}" for i, line in enumerate(wrapped)]


def stream_lines(facts: Mapping[str, Any]) -> list[str]:
    """A stream: latency with queueing and service apart, rates, energy with the idle machine's."""
    parts = ("latency", "queueing", "service")
    lines = [
        *entry(
            "Stream",
            f"{one_line(facts['arrivals'])}: {facts['images']} images, "
            f"at most {facts['in_flight']} in flight, {number(facts['duration_ms'])} ms; "
            f"in brackets {facts['confidence']:.0%} "
            "intervals, ... where the stream is too short for a bound",
            lines=2,
        ),
        f"{'  ms':<8}" + "".join(f"{part:<30}" for part in parts),
    ]
    for name in ("mean", "p50", "p95", "p99"):
        cells = (_cell(facts[f"{part}_ms"][name]) for part in parts)
        lines.append(f"{'  ' + name:<8}" + "".join(f"{cell:<30}" for cell in cells))
    offered, rate = facts["offered_images_per_s"], facts["finish_rate_images_per_s"]
    between = f"; between finishes {with_interval(rate)}" if rate else ""
    asked = f"; offered {number(offered)}" if offered else ""
    held = ", ".join(f"{one_line(unit)} {share:.1%}" for unit, share in facts["occupancy"].items())
    return [
        *lines,
        *entry(
            "  throughput",
            f"{number(facts['throughput_images_per_s'])} images/s{between}{asked}",
        ),
        *entry(
            "  images",
            f"waiting {number(facts['waiting_mean'])} on average, {facts['waiting_max']} at most; "
            f"in flight {number(facts['in_flight_mean'])}, {facts['in_flight_max']}",
        ),
        *entry("  occupancy", held, lines=2),
        *entry(
            "  energy",
            f"{number(facts['energy_uj'])} µJ per image: {number(facts['dynamic_energy_uj'])} "
            f"dynamic, {number(facts['leakage_energy_uj'])} leakage, the idle machine's included; "
            f"{number(facts['power_mw'])} mW",
            lines=2,
        ),
    ]


def with_interval(estimate: Mapping[str, float | None]) -> str:
    """A value with its interval; ... where the stream is too short for a bound."""
    return f"{number(estimate['value'] or 0.0)} {between(estimate['low'], estimate['high'])}"


def _cell(estimate: Mapping[str, float | None]) -> str:
    """The same in 29 characters, for a column."""
    ends = ("..." if end is None else narrow(end) for end in (estimate["low"], estimate["high"]))
    return f"{narrow(estimate['value'] or 0.0)} [{', '.join(ends)}]"


def narrow(value: float) -> str:
    """Return a number in eight characters, small ones with fewer digits."""
    text = number(value)
    return text if len(text) <= 8 else f"{value:.2g}"
