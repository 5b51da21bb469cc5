"""What a replay shows: the program and the timeline of an image as arrays by layer and unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from simulator.engine.attribution import stalls
from simulator.lowering import Lowered, Plan
from simulator.lowering.tables import CATEGORIES, DRAM, OTHER_CORES, PE_ARRAY, VECTOR_UNIT, units_of
from simulator.program import Timeline
from simulator.results.bounds import check_latency, latency_bounds
from simulator.results.columns import Ints


class Measured(NamedTuple):
    """One image; fields as those of SimulatedImages, without the image axis."""

    latency_cycles: int
    floor_cycles: int
    ceiling_cycles: int
    layer_busy_cycles: Ints
    first_start_cycle: Ints
    last_finish_cycle: Ints
    useful_accumulations: Ints
    dram_bytes: Ints
    rows: Ints
    live_rows: Ints
    counts: Ints
    stall_cycles: Ints
    unit_busy_cycles: Ints


def measured(
    plan: Plan,
    lowered: Lowered,
    timeline: Timeline,
    actions: Sequence[tuple[str, str]],
    place: str,
) -> Measured:
    """Measure a replay. `actions`: those of the machine; `place`: names the image in an error.

    Raises ResultError if the latency breaks its bounds.
    """
    latency, bounds = timeline.makespan_cycles, latency_bounds(lowered.program)
    check_latency(latency, bounds, place)
    first, last = _spans(plan, lowered, timeline)
    return Measured(
        latency,
        bounds.floor_cycles,
        bounds.ceiling_cycles,
        _layer_busy(plan, lowered),
        first,
        last,
        lowered.useful_accumulations,
        lowered.dram_bits // 8,
        lowered.rows,
        lowered.live_rows,
        _counts(plan, lowered, actions),
        _stalls(plan, lowered, timeline),
        _unit_busy(lowered),
    )


def _layer_busy(plan: Plan, lowered: Lowered) -> Ints:
    """Busy cycles of arrays, vector units and DRAM by layer."""
    program, cores = lowered.program, plan.machine.cores
    kinds = (units_of(PE_ARRAY, cores), units_of(VECTOR_UNIT, cores), (DRAM,))
    # The last place is for joins, whose unit is -1, and for the other units.
    kind_of = np.full(len(program.unit_servers) + 1, len(kinds))
    for kind, units in enumerate(kinds):
        kind_of[list(units)] = kind
    width, layers = len(kinds) + 1, len(plan.layers)
    place = lowered.op_layer * width + kind_of[program.unit]
    busy = np.bincount(place, program.busy_cycles, minlength=layers * width)
    return busy.astype(np.int64).reshape(layers, width)[:, :-1]


def _spans(plan: Plan, lowered: Lowered, timeline: Timeline) -> tuple[Ints, Ints]:
    """Start of each layer's first operation and finish of its last."""
    first = np.full(len(plan.layers), np.iinfo(np.int64).max)
    last = np.zeros(len(plan.layers), np.int64)
    real = lowered.program.unit >= 0
    np.minimum.at(first, lowered.op_layer[real], timeline.start[real])
    np.maximum.at(last, lowered.op_layer[real], timeline.finish[real])
    return np.minimum(first, last), last


def _counts(plan: Plan, lowered: Lowered, actions: Sequence[tuple[str, str]]) -> Ints:
    places = {action: place for place, action in enumerate(actions)}
    counts = np.zeros((len(plan.layers), len(actions)), np.int64)
    for (layer, part, action), count in lowered.counts.items():
        counts[layer, places[part, action]] = count
    return counts


def _stalls(plan: Plan, lowered: Lowered, timeline: Timeline) -> Ints:
    """Idle cycles of the arrays of all cores by the layer waited for and the cause."""
    causes, layers = len(CATEGORIES), len(plan.layers)
    arrays = units_of(PE_ARRAY, plan.machine.cores)
    total = np.zeros(layers * causes, np.int64)
    for unit in arrays:
        why = lowered.op_category
        if len(arrays) > 1:
            others = [other for other in arrays if other != unit]
            why = np.where(np.isin(lowered.program.unit, others), OTHER_CORES, why)
        category = (lowered.op_layer * causes + why).astype(np.int32)
        total += stalls(lowered.program, timeline, category, unit, layers * causes)[:-1]
    return total.reshape(layers, causes)


def _unit_busy(lowered: Lowered) -> Ints:
    program = lowered.program
    real = program.unit >= 0
    busy = np.bincount(
        program.unit[real], program.busy_cycles[real], minlength=len(program.unit_servers)
    )
    return busy.astype(np.int64)
