"""One Transformer block at every timestep, unit by unit on one scale, out of a timeline.

python -m simulator.run --arch ... --trace ... --timeline run.json
python -m experiments.timeline_picture run.json --block 3 --out block3.svg
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from reports.figures.base import PALETTE, WINE, words
from reports.html import write_html
from simulator.command import command
from simulator.config.staged_file import named
from simulator.errors import ResultError

EXAMPLE = "python -m experiments.timeline_picture run.json --block 3 --out block3.svg"
WIDTH, LEFT, RIGHT, ROW, GAP, TOP = 960, 150, 20, 15, 30, 44
INK = "#7a838d"
"""Readable on white and on black: a picture knows no theme."""


class BarSpan(NamedTuple):
    """An operation: unit, layer, timestep, and its cycles."""

    unit: str
    layer: str
    timestep: int
    start: float
    end: float


class Block(NamedTuple):
    """The operations of a block, and (cycle, active tokens) wherever the timeline says."""

    spans: list[BarSpan]
    tokens: list[tuple[float, float]]


class Panel(NamedTuple):
    """A block at one timestep: its first cycle, its length, and what each unit did."""

    heading: str
    start: float
    length: float
    units: dict[str, list[BarSpan]]


def read_block(path: Path, block: int) -> Block:
    """A block of the first image of a timeline. Raises ResultError."""
    try:
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
        first = [event for event in events if event["pid"] == 1]
        spans = [span for at, span in _spans(first) if at == block]
        tokens = [
            (event["ts"] * 1000, event["args"]["tokens"])
            for event in first
            if event["ph"] == "C" and "tokens" in event["args"]
        ]
    except OSError as error:
        raise ResultError(path, f"{error.strerror or error}") from None
    except (ValueError, KeyError, TypeError):
        rule = "must be a timeline of simulator.run --timeline FILE.json"
        raise ResultError(path, rule) from None
    if not spans:
        raise ResultError(path, f"--block {block}", "no operation of that block at one timestep")
    return Block(spans, tokens)


def _spans(events: Iterable[dict[str, Any]]) -> Iterable[tuple[int | None, BarSpan]]:
    """Operations with their block; the run around each tells layer, block and timestep."""
    units: dict[int, str] = {}
    run: dict[int, dict[str, Any]] = {}
    for event in events:
        track = event.get("tid", 0)
        if event["name"] == "thread_name":
            units[track] = event["args"]["name"]
        elif event["ph"] == "X" and "op" not in event["args"]:
            run[track] = event["args"]
        elif event["ph"] == "X" and run[track]["timestep"] != "all":
            start, length = event["ts"] * 1000, event["dur"] * 1000
            place = (run[track]["layer"], run[track]["timestep"])
            yield run[track].get("block"), BarSpan(units[track], *place, start, start + length)


def picture(block: Block, title: str) -> str:
    """The block at each timestep, one below the other, each from its own first computation."""
    panels = [_panel(block, step) for step in sorted({span.timestep for span in block.spans})]
    scale = (WIDTH - LEFT - RIGHT) / max(panel.length for panel in panels)
    ordered = sorted(block.spans, key=lambda span: span.start)
    layers = list(dict.fromkeys(span.layer for span in ordered))
    colours = dict(zip(layers, [*PALETTE, WINE] * len(layers), strict=False))
    parts, y = [_legend(colours)], float(TOP + 16)
    for panel in panels:
        drawn, height = _drawn(panel, y, scale, colours)
        parts += drawn
        y += height + GAP
    box = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {:.0f}" role="img" '
        'font-family="system-ui, sans-serif" font-size="12"><title>{}</title>'
    ).format(WIDTH, y - GAP + 8, title)
    return str(Markup("\n").join([box, *parts, Markup("</svg>\n")]))


def _panel(block: Block, timestep: int) -> Panel:
    """Weights may be fetched long before; a panel begins with its first computation."""
    own = [span for span in block.spans if span.timestep == timestep]
    arrays = [span for span in own if _is_array(span.unit)]
    start = min(span.start for span in arrays)
    ends = [span.end for span in own if _is_array(span.unit) or span.unit.endswith("vector_unit")]
    facts = [value for cycle, value in block.tokens if cycle <= start]
    tokens = f", active tokens: {facts[-1]:g}" if facts else ""
    units: dict[str, list[BarSpan]] = {}
    for span in own:
        units.setdefault(span.unit, []).append(span)
    length = max(ends) - start
    return Panel(f"timestep {timestep}: {length:,.0f} cycles{tokens}", start, length, units)


def _is_array(unit: str) -> bool:
    return unit.endswith("pe_array") or "engines." in unit


def _drawn(
    panel: Panel, y: float, scale: float, colours: dict[str, str]
) -> tuple[list[Markup], float]:
    """A row for each unit that did something in the panel; and their height."""
    parts, top = [_text(LEFT, y - 5, panel.heading, "bold")], y
    for name, own in panel.units.items():
        bars = _bars(own, panel, scale)
        if not bars:
            continue
        parts.append(_text(LEFT - 8, y + ROW - 4, words(name), "end"))
        parts.append(_rect(LEFT, y, panel.length * scale, ROW - 2, INK, 0.15))
        for layer, pieces in bars.items():
            shape = "".join(f"M{x:.1f} {y:g}h{w:.1f}v{ROW - 2}h-{w:.1f}z" for x, w in pieces)
            parts.append(Markup('<path d="{}" fill="{}"/>').format(shape, colours[layer]))
        y += ROW
    return parts, y - top


def _bars(
    spans: Sequence[BarSpan], panel: Panel, scale: float
) -> dict[str, list[tuple[float, float]]]:
    """Place and width of what a unit did inside the panel, by layer."""
    bars: dict[str, list[tuple[float, float]]] = {}
    for layer, first, last in _merged(spans, 0.5 / scale):
        low, high = max(first - panel.start, 0.0), min(last - panel.start, panel.length)
        if high > low:
            width = max((high - low) * scale, 0.4)
            bars.setdefault(layer, []).append((LEFT + low * scale, width))
    return bars


def _merged(spans: Iterable[BarSpan], gap: float) -> list[tuple[str, float, float]]:
    """Neighbours of one layer as one, where the eye could not tell them apart."""
    merged: list[tuple[str, float, float]] = []
    for span in sorted(spans, key=lambda span: span.start):
        if merged and merged[-1][0] == span.layer and span.start - merged[-1][2] <= gap:
            merged[-1] = (span.layer, merged[-1][1], span.end)
        else:
            merged.append((span.layer, span.start, span.end))
    return merged


def _legend(colours: dict[str, str]) -> Markup:
    """Layers in order, five a line, without the part of the name that all share."""
    shared = len(_common_prefix(list(colours)))
    parts = []
    for place, (layer, colour) in enumerate(colours.items()):
        x, y = LEFT + place % 5 * 160, 4 + place // 5 * 18
        parts += [_rect(x, y, 12, 12, colour, 1.0), _text(x + 18, y + 10, layer[shared:], "")]
    return Markup("\n").join(parts)


def _common_prefix(names: Sequence[str]) -> str:
    """What all names begin with, up to a dot."""
    first, last = min(names), max(names)
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), 0)
    return first[: first.rfind(".", 0, same) + 1]


def _rect(x: float, y: float, width: float, height: float, colour: str, opacity: float) -> Markup:
    return Markup(
        '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{}" fill="{}" fill-opacity="{}"/>'
    ).format(x, y, width, height, colour, opacity)


def _text(x: float, y: float, text: str, style: str) -> Markup:
    more = {"end": 'text-anchor="end"', "bold": 'font-weight="bold"'}.get(style, "")
    return Markup('<text x="{:.1f}" y="{:.1f}" fill="{}" {}>{}</text>').format(
        x, y, INK, Markup(more), text
    )


@command()
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.timeline_picture",
        description="Draw a block of a timeline at every timestep, on one scale, as SVG.",
        epilog=f"example: {EXAMPLE}",
    )
    add = parser.add_argument
    add("timeline", metavar="TIMELINE", help="file of simulator.run --timeline FILE.json")
    add("--block", type=int, default=0, metavar="N", help="Transformer block (default 0)")
    add("--out", required=True, metavar="FILE", help="SVG to write")
    options = parser.parse_args(arguments)
    _run(options)


def _run(options: argparse.Namespace) -> None:
    block = read_block(Path(options.timeline), options.block)
    write_html(picture(block, f"block {options.block} at every timestep"), options.out)
    print(f"written: {named(options.out)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
