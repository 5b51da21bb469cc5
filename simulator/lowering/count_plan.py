"""What the counts of a batch read of a plan: an entry a layer and scope, fixed for a trace."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from simulator.components.vector_units.base import VectorUnit
from simulator.config.arrays import Bools, Ints
from simulator.lowering.constants import Constants
from simulator.lowering.places import CORE
from simulator.lowering.plan import LayerPlan, Plan
from simulator.lowering.tables import FROM_GLOBAL, GROUPS, TILES


class CountPlan(NamedTuple):
    """What counting reads of a plan besides the constants of lowering; int64.

    request: (entries,), requests to buffers are rounded up once a layer, or once a scope where the
    sizes follow tokens: number of the request that an entry is part of. request_layer: (requests,).
    weight_bits: (entries,), of what takes the weights' place. from_spikes: bool (entries,), it is
    read from the spike buffer.
    fetched: (entries,), of entries with weights outside. fetches: by part and action, (entries, 2),
    counts of all chunks of a full and of the ragged column tile. chunks: (entries,).
    fill_chunks: (entries,), chunks that a fetch brings, 0 = one. stream_rows: (entries,), operand
    rows that share a pass of weights which the array streams, 0 = all.
    stored: (cores, entries), bits of a core's weights in its buffer.
    pinned, pinned_stored: (cores, entries), chunks of them that stay, and their bits.
    pinned_fetches: by part and action, (cores, entries), counts of the fetches of those chunks.
    ops: of element-wise operations (layer, numerator) by what a result counts.
    stored_bits, added_bits: (layers,), results that are stored; that are read to be added to.
    product_bits: (layers,), results that wait for the next product.
    lif: (entries,), neurons of all rows whose membranes the core holds.
    sum_bits: (entries,), of a vector of sums.
    """

    request: Ints
    request_layer: Ints
    weight_bits: Ints
    from_spikes: Bools
    fetched: Bools
    fetches: dict[tuple[str, str], Ints]
    chunks: Ints
    fill_chunks: Ints
    stream_rows: Ints
    stored: Ints
    pinned: Ints
    pinned_stored: Ints
    pinned_fetches: dict[tuple[str, str], Ints]
    ops: tuple[tuple[dict[str, int], Ints, Ints], ...]
    stored_bits: Ints
    added_bits: Ints
    product_bits: Ints
    lif: Ints
    sum_bits: Ints


def make_count_plan(constants: Constants) -> CountPlan:
    """Compute the tables of a plan."""
    plan, entries = constants.plan, constants.entries
    # Entries of a layer differ in their steps alone: what follows from the layer is asked for once.
    products, of = np.unique(entries.layer, return_inverse=True)
    layers = [plan.layers[layer] for layer in products.tolist()]
    transposed = np.array([each.layer.transposed for each in layers], np.bool_)[of]
    first = transposed | (entries.place == 0)
    request = np.cumsum(first) - 1
    vector = plan.architecture.core.vector_unit
    stored = np.array([_stored(plan, layers, core) for core in range(plan.machine.cores)])
    pinned, pinned_stored, pinned_fetches = _pinned(plan, layers, stored)
    every = [each for each in plan.layers if constants.layers.is_product[each.layer.index]]
    columns = np.array([_layer_column(each) for each in layers], np.int64).reshape(-1, 8)[of].T
    return CountPlan(
        request=request,
        request_layer=entries.layer[np.flatnonzero(first)],
        weight_bits=columns[0],
        from_spikes=columns[1] > 0,
        fetched=columns[2] > 0,
        fetches={action: column[of] for action, column in _fetches(layers).items()},
        chunks=columns[3],
        stream_rows=columns[4],
        fill_chunks=columns[5],
        stored=stored[:, of],
        pinned=pinned[:, of],
        pinned_stored=pinned_stored[:, of],
        pinned_fetches={action: column[:, of] for action, column in pinned_fetches.items()},
        ops=_ops(every, vector),
        stored_bits=np.array([each.stored_bits for each in plan.layers], np.int64),
        added_bits=np.array(
            [
                each.stored_bits * any(op.kind == "residual" for op in each.fused)
                for each in plan.layers
            ],
            np.int64,
        ),
        product_bits=np.array(
            [each.layer.product_bits * each.layer.feeds_product for each in plan.layers], np.int64
        ),
        lif=columns[6],
        sum_bits=columns[7],
    )


def _layer_column(each: LayerPlan) -> tuple[int, ...]:
    """Return a layer's share of the columns of CountPlan, in their order."""
    bits, source = weight_source(each)
    lif = sum(op.rows * op.channels * op.timesteps for op in each.fused if op.kind == "lif")
    return (
        bits,
        source == "spikes",
        bool(each.fetch),
        len(each.fetch),
        each.array.stream_rows if each.array.streams_weights else 0,
        each.fill_chunks,
        lif * (each.membrane_place == CORE),
        each.array.held_columns(each.layer.outputs) * each.array.sum_bits,
    )


def _fetches(layers: list[LayerPlan]) -> dict[tuple[str, str], Ints]:
    """Return what all chunks of a full and of the ragged column tile count, by part and action."""
    fetches: dict[tuple[str, str], Ints] = {}
    for number, each in enumerate(layers):
        shared = each.source == FROM_GLOBAL
        part = "memories.global_buffer" if shared else "memories.dram"
        for side, counted in enumerate(each.shared_counts if shared else each.fetch_counts):
            for action, count in counted.items():
                column = fetches.setdefault((part, action), np.zeros((len(layers), 2), np.int64))
                column[number, side] = count
    return fetches


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


def _stored(plan: Plan, layers: list[LayerPlan], core: int) -> list[int]:
    """Return the bits that a core's part of each layer's weights takes in its buffer."""
    cores, stored = plan.machine.cores, []
    for each in layers:
        layer, outputs = each.layer, each.layer.outputs
        array, columns = each.array, each.columns
        if each.share == TILES:
            tiles = -(-outputs // columns)
            first, last = core * tiles // cores, (core + 1) * tiles // cores
            outputs = min(last * columns, outputs) - first * columns if last > first else 0
        bits = array.stored_weight_bits(layer.inputs, outputs, layer.weight_bits) if outputs else 0
        if each.fill_chunks:
            pieces = -(-outputs // columns) * len(each.fetch)
            bits = -(-pieces // each.fill_chunks) * each.fetch_bits[0][0]
        stored.append(bits * _groups_of(each, core, cores) if each.fetch else 0)
    return stored


def _groups_of(each: LayerPlan, core: int, cores: int) -> int:
    """Return the groups of a product that a core takes."""
    groups = each.layer.groups
    if each.share != GROUPS:
        return groups
    return (core + 1) * groups // cores - core * groups // cores


def _pinned(
    plan: Plan, layers: list[LayerPlan], stored: Ints
) -> tuple[Ints, Ints, dict[tuple[str, str], Ints]]:
    """Return the pinned chunks of each core and layer, their bits, and counts of their fetches."""
    pinned, bits = np.zeros_like(stored), np.zeros_like(stored)
    fetches: dict[tuple[str, str], Ints] = {}
    for number, each in enumerate(layers):
        for core in range(len(stored) if each.pinned else 0):
            found = _pinned_part(plan, each, core, int(stored[core, number]))
            pinned[core, number], bits[core, number], counted = found
            for action, count in counted.items():
                column = fetches.setdefault(("memories.dram", action), np.zeros_like(stored))
                column[core, number] = count
    return pinned, bits, fetches


def _pinned_part(
    plan: Plan, each: LayerPlan, core: int, stored: int
) -> tuple[int, int, dict[str, int]]:
    """Return the chunks of a layer that a core pins, their bits, and what fetching them counts.

    `stored`: bits of all chunks of the core's part.
    """
    layer, array, columns = each.layer, each.array, each.columns
    assert each.chunks is not None
    tiles, chunks = -(-layer.outputs // columns), len(each.fetch)
    first, last, cores = 0, tiles, plan.machine.cores
    if each.share == TILES:
        first, last = core * tiles // cores, (core + 1) * tiles // cores
    pieces = _groups_of(each, core, cores) * (last - first) * chunks
    own = min(each.pinned, pieces)
    bits, counted = 0, Counter[str]()
    for piece in range(own):
        tile, chunk = divmod(piece, chunks)
        ragged = first + tile % (last - first) == tiles - 1 and layer.outputs % columns > 0
        counted.update(each.fetch[chunk][ragged].counts)
        inputs, outputs = each.chunks.inputs[chunk], layer.outputs % columns if ragged else columns
        bits += array.stored_weight_bits(int(inputs), outputs, layer.weight_bits)
    everything = own == pieces
    return own, stored if everything else min(bits, stored), dict(counted)


def weight_source(layer_plan: LayerPlan) -> tuple[int, str]:
    """Return bits of what takes the weights' place, and the buffer that it is read from."""
    layer = layer_plan.layer
    if layer.second_bits == 1:
        return 1, "spikes"
    return layer.weight_bits or layer.second_bits, "weights"
