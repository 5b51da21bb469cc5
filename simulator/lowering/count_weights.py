"""Action counts of weights: fetches, fills of their buffer, loads through their port.

How often is read off the programs, so what images that run together do once is counted once.
"""

from __future__ import annotations

import numpy as np

from simulator.config.arrays import Ints
from simulator.lowering.constants import Constants
from simulator.lowering.count_plan import CountPlan, part_of, weight_source
from simulator.lowering.counter import Counts
from simulator.lowering.programs import Programs
from simulator.lowering.requests import request
from simulator.lowering.table import Table
from simulator.lowering.tables import FROM_GLOBAL, GROUPS, TILES


def count_weights(counts: Counts, plan: CountPlan, table: Table, programs: Programs) -> None:
    """Count what brings weights, or the activations in their place, to the array."""
    constants, shared, fixed = table.constants, counts.shared, programs.rows[0].fixed
    uses = programs.fixed_uses.copy()
    fetches = np.stack([each.fetches for each in programs.emitted])
    _add_streamed(uses, fetches, plan, table, programs)
    group = np.arange(len(uses))[:, None]
    # Places of a layer follow each other.
    layer, first = np.unique(fixed.layer, return_index=True)
    for (part, action), each in fixed.counts.items():
        by_layer = np.add.reduceat(uses * each, first, axis=1)
        shared.add(part, {action: by_layer}, group * counts.layers + layer, 1)
    _count_fills(shared, plan, constants, fetches, present=programs.rows[0].pinned_present)
    _count_loads(counts, table, programs)


def _add_streamed(
    uses: Ints, fetches: Ints, plan: CountPlan, table: Table, programs: Programs
) -> None:
    """Add the fetches of arrays with a port of their own, which no operation of a program is."""
    constants, parts, scopes = table.constants, plan.weights, table.timed.scopes
    first_image = [first for first, _ in programs.groups]
    for each in constants.plan.layers:
        layer, size = each.layer.index, each.array.stream_rows
        if not (each.array.streams_weights and constants.layers.is_product[layer] and each.fetch):
            continue
        own = slice(*constants.entries.first_of_layer[layer : layer + 2])
        rows = scopes.rows[:, constants.entries.scope[own]]
        passes = np.add.reduceat(-(-rows // size) if size else rows, first_image, axis=0)
        times = (passes if size else passes > 0).sum(axis=1, dtype=np.int64)
        fetches[:, :, layer] += times[:, None] * parts.passing[:, layer]
        first = programs.rows[0].fixed.at[0, layer]
        for side, tiles in enumerate((parts.full, parts.ragged)):
            places = slice(first + side, first + 2 * len(each.fetch), 2)
            uses[:, places] += times[:, None] * tiles[:, layer].sum()


def _count_fills(
    counts: Counts, plan: CountPlan, constants: Constants, fetches: Ints, *, present: bool
) -> None:
    """Count fills of weight buffers, of a column pass at once, and of the global buffer.

    fetches: int64 (groups, cores, layers), requests to fill a core's buffer.
    """
    parts, groups = plan.weights, np.arange(len(fetches))
    once = (parts.pinned > 0) & (fetches > 0) & (not present)
    passes = (fetches - once * parts.pinned) // np.maximum(parts.passing, 1)
    at = groups[:, None, None] * counts.layers + np.arange(counts.layers)
    at = np.broadcast_to(at, fetches.shape)
    for stored, times in ((parts.stored - parts.kept, passes), (parts.kept, once.astype(np.int64))):
        shaped = np.broadcast_to(stored, at.shape)
        counts.access("weights", shaped, at, write=True, times=times)
    shared = constants.plan.architecture.memories.global_buffer
    for each in constants.plan.layers:
        if shared is None or each.source != FROM_GLOBAL or present:
            continue
        layer = each.layer
        bits = each.array.stored_weight_bits(layer.inputs, layer.outputs, layer.weight_bits)
        filled = request(shared, bits * layer.groups, counts.clock_mhz, write=True)
        served = groups[(fetches[:, :, layer.index] > 0).any(axis=1)]
        place = served * counts.layers + layer.index
        counts.add("memories.global_buffer", filled.counts, place, 1)


def _count_loads(counts: Counts, table: Table, programs: Programs) -> None:
    """Count reads of what passes weight ports: a request a column pass of a scope."""
    constants, scopes = table.constants, table.timed.scopes
    layers, cores = constants.layers, constants.plan.machine.cores
    core, entry, image, group, loads = programs.loads
    scope, layer = constants.entries.scope[entry], constants.entries.layer[entry]
    first_image = np.array([first for first, _ in programs.groups])[group]
    own = first_image + np.maximum(image, 0)
    outputs, chunks = scopes.outputs[own, scope], scopes.chunks[own, scope]
    inputs = constants.timed.product_inputs[scope]
    inputs = np.where(inputs > 0, inputs, scopes.rows[own, scope])
    columns, groups = layers.columns[layer], layers.groups[layer]
    share = layers.share[layer]
    tiles = -(-outputs // columns)
    own_tiles, own_groups = (np.array(part_of(each, core, cores)) for each in (tiles, groups))
    first, last = np.where(share == TILES, own_tiles, [np.zeros_like(tiles), tiles])
    groups = np.where(share == GROUPS, own_groups[1] - own_groups[0], groups)
    outputs = np.minimum(last * columns, outputs) - first * columns
    sources = [weight_source(each) for each in constants.plan.layers]
    width = np.array([bits for bits, _ in sources], np.int64)[layer]
    bits = inputs * outputs * groups * width
    times = loads // np.maximum((last - first) * groups * chunks, 1)
    for counted, alone in ((counts, image >= 0), (counts.shared, image < 0)):
        place = np.where(image < 0, group, own) * counts.layers + layer
        for source in ("weights", "spikes"):
            chosen = alone & np.array([source == name for _, name in sources])[layer]
            counted.access(source, bits[chosen], place[chosen], write=False, times=times[chosen])
