"""A plot for the docs: two values a row on a logarithmic axis, as SVG that needs nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from reports.figures.base import BLUE, ORANGE

WIDTH, COLUMNS, LEFT, ROW, TOP, HEAD = 960, 2, 90, 18, 40, 26
INK = "#7a838d"
"""Readable on white and on black: a picture knows no theme."""


class Dumbbell(NamedTuple):
    """A name and its two values, both above 0."""

    name: str
    first: float
    second: float


Panel = tuple[str, Sequence[Dumbbell]]


def dumbbells(panels: Sequence[Panel], names: tuple[str, str], title: str) -> str:
    """Panels two a line, each with an axis of its own."""
    parts, y = [_legend(names)], float(TOP)
    for place in range(0, len(panels), COLUMNS):
        line = panels[place : place + COLUMNS]
        for column, panel in enumerate(line):
            parts += _panel(panel, column * WIDTH / COLUMNS, y)
        y += HEAD + ROW * max(len(rows) for _, rows in line) + 34
    box = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {:.0f}" role="img" '
        'font-family="system-ui, sans-serif" font-size="12"><title>{}</title>'
    ).format(WIDTH, y, title)
    return str(Markup("\n").join([box, *parts, Markup("</svg>\n")]))


def _panel(panel: Panel, x: float, y: float) -> list[Markup]:
    """One panel: a heading, a row for each name, ticks at powers of ten and their 2 and 5."""
    heading, rows = panel
    values = [value for row in rows for value in (row.first, row.second)]
    low, high = math.log10(min(values)) - 0.08, math.log10(max(values)) + 0.08
    left, width = x + LEFT, WIDTH / COLUMNS - LEFT - 30
    bottom = y + HEAD + ROW * len(rows)

    def at(value: float) -> float:
        return left + (math.log10(value) - low) / (high - low) * width

    parts = [_text(left, y + 12, heading, 'font-weight="bold"')]
    for tick in _ticks(low, high):
        parts.append(_line(at(tick), y + HEAD - 6, at(tick), bottom, 0.3))
        parts.append(_text(at(tick), bottom + 14, f"{tick:g}", 'text-anchor="middle"'))
    for place, row in enumerate(rows):
        middle = y + HEAD + ROW * (place + 0.5)
        parts.append(_text(left - 8, middle + 4, row.name, 'text-anchor="end"'))
        parts.append(_line(at(row.first), middle, at(row.second), middle, 1.0))
        for value, colour, name in ((row.first, BLUE, "first"), (row.second, ORANGE, "second")):
            parts.append(
                Markup(
                    '<circle cx="{:.1f}" cy="{:.1f}" r="5" fill="{}" class="{}">'
                    "<title>{}: {:.4g}</title></circle>"
                ).format(at(value), middle, colour, name, row.name, value)
            )
    return parts


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten between two logarithms; powers of ten alone where many."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    steps = (1, 2, 5) if high - low < 2.2 else (1,)
    ticks = [step * 10.0**power for power in powers for step in steps]
    return [tick for tick in ticks if low <= math.log10(tick) <= high]


def _legend(names: tuple[str, str]) -> Markup:
    parts = []
    for place, (name, colour) in enumerate(zip(names, (BLUE, ORANGE), strict=True)):
        x = LEFT + place * 180
        dot = Markup('<circle cx="{}" cy="14" r="5" fill="{}"/>').format(x + 5, colour)
        parts += [dot, _text(x + 16, 18, name, "")]
    return Markup("\n").join(parts)


def _line(x: float, y: float, x2: float, y2: float, opacity: float) -> Markup:
    return Markup(
        '<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="{}" stroke-opacity="{}"/>'
    ).format(x, y, x2, y2, INK, opacity)


def _text(x: float, y: float, text: str, style: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" fill="{}" {}>{}</text>').format(
        x, y, INK, Markup(style), text
    )
