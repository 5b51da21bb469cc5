"""What moves: bytes between chip and DRAM, and words in and out of the buffers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from reports.figures.base import Card, Plot, Run, per_workload, stacked, table
from reports.figures.energy import section_of_layers
from simulator.results.summary import short

TRAFFIC = "Traffic and tokens"


def traffic_cards(runs: Sequence[Run]) -> list[Card]:
    """Designs side by side: DRAM traffic by stage, SRAM traffic by buffer."""
    cards = [per_workload("dram", "DRAM traffic by stage", TRAFFIC, runs, _dram_plot)]
    if any(_sram_mb(run) for run in runs):
        cards.append(per_workload("sram", "SRAM traffic by buffer", TRAFFIC, runs, _sram_plot))
    return cards


def _dram_plot(group: Sequence[Run]) -> Plot:
    frame = pd.DataFrame.from_dict(
        {run.design: _dram_mb(run) for run in group}, orient="index"
    ).fillna(0.0)
    figure = stacked(frame, "DRAM traffic per image (MB)")
    facts = table(frame.assign(all=frame.sum(axis=1)), "design", " (MB)")
    return Plot("Mean per image, reads and writes, 1 MB = 10⁶ bytes.", figure, facts)


def _dram_mb(run: Run) -> dict[str, float]:
    sections = section_of_layers(run.result, blocks=False)
    layers = run.result.tables["layers"]
    sums = layers.groupby(layers["layer"].map(sections), sort=False)["dram_bytes"].sum()
    return {str(name): value / (1e6 * run.result.images) for name, value in sums.items()}


def _sram_plot(group: Sequence[Run]) -> Plot:
    frame = pd.DataFrame.from_dict(
        {run.design: _sram_mb(run) for run in group}, orient="index"
    ).fillna(0.0)
    figure = stacked(frame, "SRAM traffic per image (MB)")
    facts = table(frame.assign(all=frame.sum(axis=1)), "design", " (MB)")
    note = (
        "Mean per image, reads and writes of each buffer; an access moves the full width of its "
        "buffer, so this is accesses × width, 1 MB = 10⁶ bytes."
    )
    return Plot(note, figure, facts)


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
