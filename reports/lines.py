"""A plot for the docs: lines over logarithmic axes beside the slope of linear growth, as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from reports.figures.base import PALETTE

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 480, 300, 60, 60, 20, 40
INK = "#7a838d"
"""Readable on white and on black: a picture knows no theme."""


class Line(NamedTuple):
    """A name and its (size, value) points, all above 0."""

    name: str
    points: Sequence[tuple[float, float]]


Panel = tuple[str, str, Sequence[Line]]
"""What the sizes are, what the values are, and the lines."""


def line_plots(panels: Sequence[Panel]) -> str:
    """Panels side by side with one legend; dashes: linear growth from each first point."""
    parts = [_legend([line.name for line in panels[0][2]])]
    for place, panel in enumerate(panels):
        parts += _panel(panel, place * WIDTH)
    box = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" role="img" '
        'font-family="system-ui, sans-serif" font-size="12"><title>Growth of cost</title>'
    ).format(WIDTH * len(panels), HEIGHT + TOP)
    return str(Markup("\n").join([box, *parts, Markup("</svg>\n")]))


class _Axis(NamedTuple):
    """A logarithmic axis from `start` to `end` on the picture."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        powers = range(math.floor(self.low), math.ceil(self.high) + 1)
        found = [step * 10.0**power for power in powers for step in (1, 2, 5)]
        return [tick for tick in found if self.low <= math.log10(tick) <= self.high]


def _axis(values: Sequence[float], start: float, end: float) -> _Axis:
    return _Axis(math.log10(min(values)) - 0.05, math.log10(max(values)) + 0.05, start, end)


def _panel(panel: Panel, x: float) -> list[Markup]:
    """Axes, then for each line its dashes, its line and its points."""
    sizes_are, values_are, lines = panel
    points = [point for line in lines for point in line.points]
    across = _axis([size for size, _ in points], x + LEFT, x + WIDTH - RIGHT)
    up = _axis([value for _, value in points], HEIGHT + TOP - BOTTOM, TOP)
    parts = [_text(x + LEFT, TOP - 10, f"{values_are} by {sizes_are}", 'font-weight="bold"')]
    for size in sorted({size for size, _ in points}):
        parts.append(_text(across.at(size), up.start + 16, f"{size:g}", 'text-anchor="middle"'))
    for tick in up.ticks():
        y = up.at(tick)
        parts.append(_path([(across.start, y), (across.end, y)], INK, 'stroke-opacity="0.3"'))
        parts.append(_text(across.start - 6, y + 4, f"{tick:g}", 'text-anchor="end"'))
    for place, line in enumerate(lines):
        colour = PALETTE[place % len(PALETTE)]
        size, value = line.points[0]
        linear = [(across.at(each), up.at(value * each / size)) for each, _ in line.points]
        drawn = [(across.at(each), up.at(found)) for each, found in line.points]
        inside = [point for point in linear if point[1] >= TOP]
        parts.append(_path(inside, colour, 'stroke-dasharray="3 4" stroke-opacity="0.7"'))
        parts.append(_path(drawn, colour, 'stroke-width="2"'))
        parts += [
            Markup('<circle cx="{:.1f}" cy="{:.1f}" r="3.5" fill="{}"/>').format(*point, colour)
            for point in drawn
        ]
    return parts


def _legend(names: Sequence[str]) -> Markup:
    parts = []
    for place, name in enumerate(names):
        x = LEFT + place * 150
        dot = Markup('<circle cx="{}" cy="16" r="5" fill="{}"/>')
        parts += [dot.format(x, PALETTE[place % len(PALETTE)]), _text(x + 10, 20, name, "")]
    return Markup("\n").join(parts)


def _path(points: Sequence[tuple[float, float]], colour: str, style: str) -> Markup:
    shape = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return Markup('<path d="{}" fill="none" stroke="{}" {}/>').format(shape, colour, Markup(style))


def _text(x: float, y: float, text: str, style: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" fill="{}" {}>{}</text>').format(
        x, y, INK, Markup(style), text
    )
