"""What a replay shows: the program and the timeline of an image as arrays by layer and unit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Int32s, Ints
from simulator.config.kernels import kernel
from simulator.engine.attribution import stalls
from simulator.engine.power_down import awake_cycles
from simulator.errors import ResultError
from simulator.lowering import LoweredBatch, Plan
from simulator.lowering.causes import causes_seen_by
from simulator.lowering.programs import Emitted
from simulator.lowering.tables import (
    CATEGORIES,
    OTHER_IMAGES,
)
from simulator.program import Program, Timeline


class Bounds(NamedTuple):
    """Hold the least latency of any schedule, and the most of a sensible one."""

    floor_cycles: int
    ceiling_cycles: int


def latency_bounds(unit_busy_cycles: Ints, servers: Int32s, latency_cycles: int) -> Bounds:
    """Return the work of the busiest unit, and all operations one after another.

    `unit_busy_cycles`, `servers`: by unit; `latency_cycles`: of all operations, summed.
    """
    floor = int((-(-unit_busy_cycles // servers)).max(initial=0))
    return Bounds(floor, int(unit_busy_cycles.sum()) + latency_cycles)


def check_latency(latency_cycles: int, bounds: Bounds, place: str) -> None:
    """Raise ResultError if a latency breaks its bounds: then the program or the engine is wrong."""
    if not bounds.floor_cycles <= latency_cycles <= bounds.ceiling_cycles:
        raise ResultError(
            f"{place}: latency {latency_cycles} cycles: must lie between the floor "
            f"{bounds.floor_cycles} and the ceiling {bounds.ceiling_cycles}"
        )


class Measured(NamedTuple):
    """Hold one image; fields as those of SimulatedImages, without the image axis."""

    latency_cycles: int
    floor_cycles: int
    ceiling_cycles: int
    layer_busy_cycles: Ints
    first_start_cycle: Ints
    last_finish_cycle: Ints
    useful_accumulations: Ints
    additions: Ints
    dram_bytes: Ints
    rows: Ints
    live_rows: Ints
    stall_cycles: Ints
    unit_busy_cycles: Ints
    images_together: int
    awake_cycles: Ints


def measured(
    batch: LoweredBatch, group: int, program: Program, timeline: Timeline, name: str
) -> list[Measured]:
    """Measure the replay of a group of images: an image each, what they share divided among them.

    `name`: of the images, in an error. Raises ResultError if the latency breaks its bounds.
    """
    plan, emitted = batch.plan, batch.emitted[group]
    sums, latency = _sums(plan, emitted, program, timeline), timeline.makespan_cycles
    unit_busy = sums.layer_unit.sum(axis=0)
    bounds = latency_bounds(unit_busy, program.unit_servers, int(sums.latency[0]))
    check_latency(latency, bounds, name)
    busy, stalled = _layer_busy(plan, sums), _stalls(plan, emitted, program, timeline)
    images = range(*batch.groups[group])
    awake = awake_cycles(plan, emitted.layer, program, timeline)
    shares = np.diff(np.arange(len(images) + 1)[:, None] * awake // len(images), axis=0)
    by_image = _divided(busy, batch.own_busy[images.start : images.stop])
    found = []
    for image, own, own_awake in zip(images, by_image, shares, strict=True):
        waited = stalled.copy()
        waited[:, OTHER_IMAGES] = busy[:, 0] - own[:, 0]
        found.append(
            Measured(
                latency,
                bounds.floor_cycles,
                bounds.ceiling_cycles,
                own,
                sums.first,
                sums.last,
                batch.useful_accumulations[image],
                batch.additions[image],
                batch.dram_bits[image] // 8,
                batch.rows[image],
                batch.live_rows[image],
                waited,
                unit_busy,
                len(images),
                own_awake,
            )
        )
    return found


def _divided(busy: Ints, own: Ints) -> list[Ints]:
    """Divide busy cycles among images: each has its own, and an equal part of what they share."""
    count = len(own)
    if count == 1:
        return [busy]
    shared = busy - own.sum(axis=0)
    parts = np.diff(np.arange(count + 1)[:, None, None] * shared // count, axis=0)
    return list(own + parts)


class _Sums(NamedTuple):
    """Sums over the operations of a replay, filled in one pass.

    layer_unit: int64 (layers, units), busy cycles. first, last: int64 (layers,), start of each
    layer's first operation and finish of its last. latency: int64 (1,), of all operations.
    """

    layer_unit: Ints
    first: Ints
    last: Ints
    latency: Ints


def _sums(plan: Plan, emitted: Emitted, program: Program, timeline: Timeline) -> _Sums:
    layers, units = len(plan.layers), len(program.unit_servers)
    sums = _Sums(
        np.zeros((layers, units), np.int64),
        np.full(layers, np.iinfo(np.int64).max),
        np.zeros(layers, np.int64),
        np.zeros(1, np.int64),
    )
    _add_ops(
        program.unit, program.busy_cycles, program.latency_cycles, timeline.start, timeline.finish,
        emitted.layer, sums,
    )  # fmt: skip
    return sums._replace(first=np.minimum(sums.first, sums.last))


@kernel
def _add_ops(
    unit_of: Int32s,
    busy: Ints,
    latency: Ints,
    start: Ints,
    finish: Ints,
    layer_of: Int32s,
    sums: _Sums,
) -> None:
    """Add up the operations; joins take no time and belong to no unit."""
    for op in range(len(unit_of)):
        unit, layer = unit_of[op], layer_of[op]
        if unit >= 0:
            sums.layer_unit[layer, unit] += busy[op]
            sums.latency[0] += latency[op]
            sums.first[layer] = min(sums.first[layer], start[op])
            sums.last[layer] = max(sums.last[layer], finish[op])


def _layer_busy(plan: Plan, sums: _Sums) -> Ints:
    """Return busy cycles of arrays, vector units and DRAM by layer."""
    kinds = [plan.graph.with_role(role) for role in ("pe_array", "vector_unit", "dram")]
    return np.stack([sums.layer_unit[:, list(units)].sum(axis=1) for units in kinds], axis=1)


def _stalls(plan: Plan, emitted: Emitted, program: Program, timeline: Timeline) -> Ints:
    """Idle cycles of the arrays of all cores by the layer waited for and the cause."""
    causes, layers = len(CATEGORIES), len(plan.layers)
    arrays = plan.graph.with_role("pe_array")
    total = np.zeros(layers * causes, np.int64)
    for unit in arrays:
        why = causes_seen_by(unit, plan, program, emitted.category)
        category = (emitted.layer * causes + why).astype(np.int32)
        total += stalls(program, timeline, category, unit, layers * causes)[:-1]
    return total.reshape(layers, causes)
