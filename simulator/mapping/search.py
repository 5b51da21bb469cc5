"""The choice of a mapping: one kind of choice after the other, each costed exactly.

    chosen = plan_for(trace, network, architecture)
    chosen.plan                             # what Lowering takes
    chosen.described                        # what was chosen, or None under the fixed rules

Of the mappings of one array, that with the fewest DRAM bits is taken, and of those the fastest. An
array may act as one with a half or a quarter of its rows or columns, and partial sums may have
fewer blocks: between these, the product of cycles and DRAM bits decides, since either alone would
idle half an array for a hundredth of the traffic.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from simulator.architecture import Architecture
from simulator.components.pe_arrays.base import PEArray
from simulator.config.arrays import Ints
from simulator.engine.replay import replay
from simulator.errors import LoweringError
from simulator.lowering import LoweredBatch, Lowering, Plan, make_plan
from simulator.lowering.mapping import Frame, Mapping, fixed_mapping, make_frame
from simulator.lowering.places import CORE
from simulator.lowering.plan import plan_of
from simulator.mapping.candidates import (
    combined,
    first_mapping,
    loops,
    pins,
    placements,
    streaming_bits,
    streams,
)
from simulator.operations import Network
from simulator.program import Timeline
from simulator.trace import Image, Trace


class MappingCost(NamedTuple):
    """Hold cycles and DRAM bits of the images; the same by layer, int64 (layers,).

    A layer's cycles are those by which its steps end later than all steps before them.
    """

    cycles: int
    dram_bits: int
    layer_cycles: Ints
    layer_dram_bits: Ints

    @property
    def key(self) -> tuple[int, int]:
        """Return what mappings of one array are compared by: DRAM bits first, then cycles.

        Bits follow from shapes and capacities alone. So a faster memory never makes a mapping
        better that moves more.
        """
        return self.dram_bits, self.cycles

    @property
    def product(self) -> int:
        """Return what parts of an array are compared by."""
        return self.cycles * self.dram_bits


class MappingProbe:
    """Cost mappings of a frame; each distinct one once."""

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


PROMISE = 1.05
"""A choice is refined if its first mapping costs at most so many times that of the best so far."""

_known: dict[tuple[Path, str, str], Chosen] = {}
"""What was chosen last: a command opens the same simulation several times."""
_MOST_KNOWN = 8


class Chosen(NamedTuple):
    """Hold a plan, and for a result what was chosen in it; None under the fixed rules."""

    plan: Plan
    described: dict[str, Any] | None


class _Found(NamedTuple):
    frame: Frame
    mapping: Mapping
    cost: MappingCost
    first: MappingCost


def plan_for(trace: Trace, network: Network, architecture: Architecture) -> Chosen:
    """Plan a trace on a machine, by the rules or by the search that its dataflow asks for.

    A mapping is chosen by the first image, or by as many as run together.
    Raises LoweringError if the trace cannot be executed on the machine.
    """
    if architecture.dataflow.mapping == "fixed":
        return Chosen(make_plan(network, architecture), None)
    key = trace.path, trace.content_hash, architecture.content_hash
    if key not in _known:
        together = min(architecture.dataflow.images_together, trace.images)
        images = [trace.read(index) for index in range(together)]
        search = _Search(network, architecture, images)
        found = search.best()
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[key] = Chosen(plan_of(found.frame, found.mapping), search.described(found))
    return _known[key]


class _Search:
    """A search over arrays in part, blocks of sums, places, pinned weights and loops."""

    def __init__(
        self, network: Network, architecture: Architecture, images: Sequence[Image]
    ) -> None:
        self.network, self.architecture, self.images = network, architecture, images
        self.costed = 0
        frame = make_frame(network, architecture)
        self.streaming = streaming_bits(frame)
        most = next(_fitting(frame))
        self.fixed = self._cost(MappingProbe(frame, images), fixed_mapping(frame, most))

    def best(self) -> _Found:
        """Return the best mapping of the array and of its parts that promise more."""
        best = self._of_array(self.architecture.core.pe_array)
        tried = None
        while tried is not best:
            tried = best
            for part in tried.frame.architecture.core.pe_array.in_part():
                found = self._of_array(part, best)
                if found.cost.product < best.cost.product:
                    best = found
        return best

    def _of_array(self, array: PEArray, best: _Found | None = None) -> _Found:
        """Return the best mapping of an array; of one without promise, only a first one."""
        core = self.architecture.core.model_copy(update={"pe_array": array})
        used = self.architecture.model_copy(
            update={"cores": (core,) * len(self.architecture.cores)}
        )
        frame = make_frame(self.network, used, self.architecture)
        probe = MappingProbe(frame, self.images)
        for blocks in _fitting(frame):
            mapping = first_mapping(frame, blocks)
            cost = self._cost(probe, mapping)
            found = _Found(frame, mapping, cost, cost)
            if best is None or cost.product <= PROMISE * best.first.product:
                found = self._refined(probe, found)
            if best is None or found.cost.product < best.cost.product:
                best = found
        assert best is not None
        return best

    def _refined(self, probe: MappingProbe, found: _Found) -> _Found:
        """Choose places, pinned weights, loops and prefetch, in this order."""
        frame, first = found.frame, found.mapping
        best = self._least(
            probe, found, (first._replace(places=places) for places in placements(frame))
        )
        best = self._least(probe, best, pins(frame, best.mapping, self.streaming))
        mappings = list(loops(frame, best.mapping))
        costs = [self._cost(probe, each) for each in [best.mapping, *mappings]]
        by_layer = [(cost.layer_dram_bits.tolist(), cost.layer_cycles.tolist()) for cost in costs]
        joined = combined([best.mapping, *mappings], by_layer)
        best = self._least(probe, best, [joined, *mappings])
        return self._least(probe, best, streams(frame, best.mapping))

    def _least(self, probe: MappingProbe, best: _Found, mappings: Iterable[Mapping]) -> _Found:
        """Return the best of some mappings and of the one so far."""
        for mapping in mappings:
            cost = self._cost(probe, mapping)
            if cost.key < best.cost.key:
                best = best._replace(mapping=mapping, cost=cost)
        return best

    def _cost(self, probe: MappingProbe, mapping: Mapping) -> MappingCost:
        self.costed += mapping not in probe.known
        return probe.cost(mapping)

    def described(self, found: _Found) -> dict[str, Any]:
        """Say what was chosen, beside what the fixed rules give for the same images."""
        frame, mapping = found.frame, found.mapping
        array, entire = frame.architecture.core.pe_array, frame.described.core.pe_array
        in_part = {
            name: getattr(array, name)
            for name in type(entire).model_fields
            if getattr(array, name) != getattr(entire, name)
        }
        cost, layers = found.cost, list(_layers(frame, mapping))
        return {
            "rule": "auto",
            "summary": self._summary(found, layers),
            "images": len(self.images),
            "mappings": self.costed,
            "cycles": cost.cycles,
            "dram_bytes": cost.dram_bits // 8,
            "fixed_cycles": self.fixed.cycles,
            "fixed_dram_bytes": self.fixed.dram_bits // 8,
            "pe_array": in_part,
            "accumulator_blocks": mapping.sum_blocks,
            "prefetch_chunks": mapping.prefetch_chunks,
            "weight_slots": mapping.weight_slots,
            "weight_chunks": frame.slots,
            "pinned_chunks": frame.most_pinned(mapping.pinned),
            "layers": layers,
        }

    def _summary(self, found: _Found, layers: Sequence[dict[str, Any]]) -> str:
        frame, mapping, fixed = found.frame, found.mapping, self.fixed
        blocks = [each["row_block"] for each in layers]
        images = "the first image" if len(self.images) == 1 else f"{len(self.images)} images"
        array, entire = frame.architecture.core.pe_array, frame.described.core.pe_array
        return (
            f"auto, by {images} among {self.costed}: {found.cost.dram_bits // 8:,} DRAM bytes "
            f"(fixed rules {fixed.dram_bits // 8:,}), {found.cost.cycles:,} cycles "
            f"({fixed.cycles:,}); {frame.most_pinned(mapping.pinned)} of {frame.slots} chunks of "
            f"weights pinned, {mapping.sum_blocks} blocks of sums, {min(blocks, default=0)} to "
            f"{max(blocks, default=0)} rows a block, rows outer in "
            f"{sum(each['outer'] == 'rows' for each in layers)} of {len(layers)} layers"
            + ("" if array == entire else "; the array in part")
        )


def _fitting(frame: Frame) -> Iterator[int]:
    """Yield numbers of blocks of sums that fit, from what is described down by halves to 1."""
    count = frame.architecture.dataflow.accumulator_blocks
    while count:
        try:
            fixed_mapping(frame, count)
        except LoweringError:
            if count == 1:
                raise
        else:
            yield count
        count //= 2


def _layers(frame: Frame, mapping: Mapping) -> Iterator[dict[str, Any]]:
    for layer, cut in zip(frame.network.layers, frame.cuts, strict=True):
        if layer.kind == "head" or layer.is_elementwise:
            continue
        own = {
            "layer": layer.name,
            "row_block": mapping.row_block[layer.index],
            "outer": "rows" if mapping.rows_outer[layer.index] else "columns",
            "pinned_chunks": mapping.pinned[layer.index],
            "operand": mapping.places.tensors[layer.operand] if layer.operand else CORE,
        }
        yield own | ({"weight_chunks": cut.pieces} if layer.weight_bits else {})
