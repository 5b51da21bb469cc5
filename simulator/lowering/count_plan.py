"""What the counts of a batch read of a plan: an entry a layer and scope, fixed for a trace."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from simulator.components.vector_units.base import VectorUnit
from simulator.config.arrays import Bools, Ints, grouped
from simulator.lowering.constants import Constants
from simulator.lowering.places import CORE
from simulator.lowering.plan import LayerPlan, Plan
from simulator.lowering.tables import GROUPS, TILES


class WeightParts(NamedTuple):
    """Count what a core takes of a layer's weights; int64 (cores, layers), 0 without fetches."""

    full: Ints  # column tiles of all groups
    ragged: Ints
    passing: Ints  # requests that fill the buffer, for a column pass
    pinned: Ints  # requests, once, for what stays
    stored: Ints  # bits of all these
    kept: Ints  # bits of what stays


class CountPlan(NamedTuple):
    """Hold what counting reads of a plan besides the constants of lowering; int64.

    Requests to buffers are rounded up once a layer, or once a scope where the sizes follow tokens.
    """

    request: Ints  # (entries,), number of the request that an entry is part of
    request_layer: Ints  # (requests,)
    weight_bits: Ints  # (entries,), of what takes the weights' place
    from_spikes: Bools  # (entries,), it is read from the spike buffer
    weights: WeightParts  # of each core's part of each layer
    # element-wise operations (layer, numerator) by counts
    ops: tuple[tuple[dict[str, int], Ints, Ints], ...]
    stored_bits: Ints  # (layers,), results that are stored
    added_bits: Ints  # (layers,), results that are read to be added to
    product_bits: Ints  # (layers,), results that wait for the next product
    lif: Ints  # (entries,), neurons of all rows whose membranes the core holds
    sum_bits: Ints  # (entries,), of a vector of sums


def make_count_plan(constants: Constants) -> CountPlan:
    """Compute the tables of a plan."""
    plan, entries = constants.plan, constants.entries
    # Entries of a layer differ in their steps alone: what follows from the layer is asked for once.
    first_of, of = grouped(entries.layer)
    layers = [plan.layers[layer] for layer in entries.layer[first_of].tolist()]
    transposed = np.array([each.layer.transposed for each in layers], np.bool_)[of]
    first = transposed | (entries.place == 0)
    columns = np.array([_layer_column(each) for each in layers], np.int64).reshape(-1, 4)[of].T
    return CountPlan(
        request=np.cumsum(first) - 1,
        request_layer=entries.layer[np.flatnonzero(first)],
        weight_bits=columns[0],
        from_spikes=columns[1] > 0,
        weights=_weight_parts(plan),
        ops=_ops(layers, plan.architecture.core.vector_unit),
        stored_bits=np.array([each.stored_bits for each in plan.layers], np.int64),
        added_bits=np.array([each.added_bits for each in plan.layers], np.int64),
        product_bits=np.array(
            [each.layer.product_bits * each.layer.feeds_product for each in plan.layers], np.int64
        ),
        lif=columns[2],
        sum_bits=columns[3],
    )


def _layer_column(each: LayerPlan) -> tuple[int, ...]:
    """Return a layer's share of the columns of CountPlan, in their order."""
    bits, source = weight_source(each)
    lif = sum(op.rows * op.channels * op.timesteps for op in each.fused if op.kind == "lif")
    sum_bits = each.array.held_columns(each.layer.outputs) * each.array.sum_bits
    return bits, source == "spikes", lif * (each.membrane_place == CORE), sum_bits


def _ops(
    layers: list[LayerPlan], vector: VectorUnit
) -> tuple[tuple[dict[str, int], Ints, Ints], ...]:
    """Group element-wise operations by what one result of them counts."""
    found: dict[str, tuple[dict[str, int], list[int], list[int]]] = {}
    for each in layers:
        for op in each.fused:
            times = 1 if op.kind == "pool" and each.repeats > 1 else op.timesteps
            counted = vector.element_counts(op.kind, op.window_inputs)
            _, own, numerator = found.setdefault(repr(counted), (counted, [], []))
            own.append(each.layer.index)
            numerator.append(op.rows * op.channels * times)
    return tuple(
        (counted, np.array(own, np.int64), np.array(numerator, np.int64))
        for counted, own, numerator in found.values()
    )


def _weight_parts(plan: Plan) -> WeightParts:
    """Return what cores take of the weights of layers that fetch them for an array."""
    cores, layers = plan.machine.cores, plan.layers
    parts = np.zeros((len(WeightParts._fields), cores, len(layers)), np.int64)
    for each in layers:
        if each.fetch and each.layer.kind != "head":
            for core in range(cores):
                parts[:, core, each.layer.index] = _weight_part(each, core, cores)
    return WeightParts(*parts)


def _weight_part(each: LayerPlan, core: int, cores: int) -> tuple[int, ...]:
    """Return the fields of WeightParts of one core and layer."""
    layer, array, columns, chunks = each.layer, each.array, each.columns, len(each.fetch)
    tiles, groups = -(-layer.outputs // columns), layer.groups
    first, last = part_of(tiles, core, cores) if each.share == TILES else (0, tiles)
    if each.share == GROUPS:
        begin, end = part_of(groups, core, cores)
        groups = end - begin
    full, ragged = (last - first) * groups, 0
    if last == tiles and last > first and layer.outputs % columns:
        full, ragged = full - groups, groups
    pieces = (full + ragged) * chunks
    outputs = min(last * columns, layer.outputs) - first * columns if last > first else 0
    stored = array.stored_weight_bits(layer.inputs, outputs, layer.weight_bits) if outputs else 0
    stored *= groups
    pinned = min(each.pinned, pieces)
    if each.fill_chunks:
        fills, bits = -(-pieces // each.fill_chunks), each.fetch_bits[0][0]
        held = -(-pinned // each.fill_chunks)
        return full, ragged, fills - held, held, fills * bits, held * bits
    assert each.chunks is not None
    inputs, kept = each.chunks.inputs.tolist(), 0
    for piece in range(pinned if pinned < pieces else 0):
        tile = first + piece // chunks % (last - first)
        held = min(layer.outputs - tile * columns, columns)
        kept += array.stored_weight_bits(inputs[piece % chunks], held, layer.weight_bits)
    kept = stored if pinned == pieces else min(kept, stored)
    return full, ragged, pieces - pinned, pinned, stored, kept


def part_of(total: Any, core: Any, cores: int) -> tuple[Any, Any]:
    """Return first and last, excluded, of what a core takes of so many; whole numbers or arrays."""
    return core * total // cores, (core + 1) * total // cores


def weight_source(layer_plan: LayerPlan) -> tuple[int, str]:
    """Return bits of what takes the weights' place, and the buffer that it is read from."""
    layer = layer_plan.layer
    if layer.second_bits == 1:
        return 1, "spikes"
    return layer.weight_bits or layer.second_bits, "weights"
