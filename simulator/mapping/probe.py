"""What a mapping costs: the images that it is chosen by, lowered and replayed on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Ints
from simulator.engine.replay import replay
from simulator.lowering import LoweredBatch, Lowering
from simulator.lowering.mapping import Frame, Mapping
from simulator.lowering.plan import plan_of
from simulator.program import Timeline
from simulator.trace import Image


class MappingCost(NamedTuple):
    """Cycles and DRAM bits of the images; the same by layer, int64 (layers,).

    A layer's cycles are those by which its steps end later than all steps before them.
    """

    cycles: int
    dram_bits: int
    layer_cycles: Ints
    layer_dram_bits: Ints

    @property
    def key(self) -> tuple[int, int]:
        """What mappings of one array are compared by: DRAM bits first, then cycles.

        Bits follow from shapes and capacities alone. So a faster memory never makes a mapping
        better that moves more.
        """
        return self.dram_bits, self.cycles

    @property
    def product(self) -> int:
        """What parts of an array are compared by."""
        return self.cycles * self.dram_bits


class MappingProbe:
    """Costs mappings of a frame; each distinct one once."""

    def __init__(self, frame: Frame, images: Sequence[Image]) -> None:
        self.frame = frame
        self.images = images
        self.known: dict[Mapping, MappingCost] = {}

    def cost(self, mapping: Mapping) -> MappingCost:
        """Return what the images cost on a mapping."""
        if mapping not in self.known:
            lowered = Lowering(plan_of(self.frame, mapping)).lower(self.images)
            self.known[mapping] = _cost(lowered)
        return self.known[mapping]


def _cost(lowered: LoweredBatch) -> MappingCost:
    # All images are one group.
    timeline = replay(lowered.program(0))
    return MappingCost(
        timeline.makespan_cycles,
        int(lowered.dram_bits.sum()),
        _cycles_by_layer(lowered, timeline),
        lowered.dram_bits.sum(axis=0),
    )


def _cycles_by_layer(lowered: LoweredBatch, timeline: Timeline) -> Ints:
    plan = lowered.plan
    ends = np.zeros(len(plan.steps), np.int64)
    np.maximum.at(ends, lowered.emitted[0].step, timeline.finish)
    added = np.diff(np.maximum.accumulate(ends), prepend=0)
    total = np.zeros(len(plan.layers), np.int64)
    np.add.at(total, [step.layer for step in plan.steps], added)
    return total
