"""What moves: bytes between chip and DRAM, and words in and out of the buffers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reports.figures.base import Card, Run, stacked_by_design
from simulator.results.summary import short

TRAFFIC = "Traffic and tokens"


def traffic_cards(runs: Sequence[Run]) -> list[Card]:
    """Draw designs side by side: DRAM traffic by stage, SRAM traffic by buffer."""
    views = {"dram": _dram_mb} | ({"sram": _sram_mb} if any(map(_sram_mb, runs)) else {})
    return [
        stacked_by_design(name, TRAFFIC, runs, measure, f"{name.upper()} traffic per image", "MB")
        for name, measure in views.items()
    ]


def _dram_mb(run: Run) -> dict[str, float]:
    layers = run.result.tables["layers"]
    sums = layers.groupby("stage", sort=False)["dram_bytes"].sum()
    return {str(name): value / (1e6 * run.result.images) for name, value in sums.items()}


def _sram_mb(run: Run) -> dict[str, float]:
    """Accesses of each buffer times its width."""
    actions = run.result.tables["actions"]
    document = run.result.provenance["architecture"]["document"]
    moves = actions[actions["action"].str.startswith(("read", "write"))]
    counts = moves.groupby("part", sort=False)["count"].sum()
    widths = {part: _width_bits(document, str(part)) for part in counts.index}
    return {
        short(str(part)): int(count) * widths[part] / (8e6 * run.result.images)
        for part, count in counts.items()
        if widths[part]
    }


def _width_bits(document: Any, path: str) -> int:
    """The width of the part at a dotted path of the architecture; 0 if it states none."""
    for name in path.split("."):
        if isinstance(document, list) and name.isdigit() and int(name) < len(document):
            document = document[int(name)]
        else:
            document = document.get(name, {}) if isinstance(document, Mapping) else {}
    return int(document.get("width_bits", 0)) if isinstance(document, Mapping) else 0
