"""Action counts of weights: fetches, fills of their buffer, loads through their port."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Bools, Ints
from simulator.lowering.constants import Constants
from simulator.lowering.count_plan import CountPlan
from simulator.lowering.counter import Counts
from simulator.lowering.plan import LayerPlan
from simulator.lowering.requests import request
from simulator.lowering.table import Table
from simulator.lowering.tables import BLOCKS, FROM_GLOBAL, GROUPS, TILES, UNDIVIDED


class _Loops(NamedTuple):
    """Loops of each scope of some entries; int64 (rows, entries), a row an image or a group.

    entry: int64 (entries,). at: flat (row, layer). inputs, outputs: of the product.
    """

    entry: Ints
    at: Ints
    blocks: Ints
    chunks: Ints
    inputs: Ints
    outputs: Ints


class _Share(NamedTuple):
    """What one core takes of each scope: blocks, column tiles, outputs, groups; (row, entry)."""

    blocks: Ints
    tiles: Ints
    outputs: Ints
    groups: Ints


def _loops_of(counts: Counts, table: Table, chosen: Bools, together: bool) -> _Loops:
    """Return the loops of the chosen entries, of each image or of images that run together."""
    constants, scopes = table.constants, table.timed.scopes
    entry = np.flatnonzero(chosen)
    scope = constants.entries.scope[entry]
    given = constants.timed.product_inputs[scope]
    inputs = np.where(given > 0, given, scopes.rows[:, scope])
    blocks, chunks, outputs = (
        each[:, scope] for each in (scopes.blocks, scopes.chunks, scopes.outputs)
    )
    rows = counts.images
    if together:
        first = np.array([first for first, _ in counts.groups], np.int64)
        rows = len(first)
        blocks = np.add.reduceat(blocks, first, axis=0)
        # Of a product with weights all but the rows is the same for every image.
        chunks, outputs, inputs = chunks[first], outputs[first], inputs[first]
    at = np.arange(rows)[:, None] * counts.layers + constants.entries.layer[entry]
    return _Loops(entry, at, blocks, chunks, inputs, outputs)


def _share_of(table: Table, loops: _Loops, core: int) -> _Share:
    """Return what a core takes of all scopes; nothing of a scope of which a loop is empty."""
    constants = table.constants
    layer, machine = constants.entries.layer[loops.entry], constants.plan.machine
    outputs, cores = loops.outputs, machine.cores
    columns = constants.layers.columns[layer]
    blocks, tiles = loops.blocks, -(-outputs // columns)
    share = constants.layers.share[layer]
    groups = np.broadcast_to(constants.layers.groups[layer], blocks.shape)
    if cores > 1:
        first = np.where(share == TILES, core * tiles // cores, 0)
        parts = []
        for kind, total in ((BLOCKS, blocks), (TILES, tiles), (GROUPS, groups)):
            part = (core + 1) * total // cores - core * total // cores
            undivided = np.where(share == UNDIVIDED, total * (core == 0), total)
            parts.append(np.where(share == kind, part, undivided))
        blocks, tiles, groups = parts
        outputs = np.minimum((first + tiles) * columns, outputs) - first * columns
    takes = (blocks > 0) & (tiles > 0) & (groups > 0)
    return _Share(*(np.where(takes, each, 0) for each in (blocks, tiles, outputs, groups)))


def count_weights(counts: Counts, plan: CountPlan, table: Table, present: bool) -> None:
    """Count fetches from outside, fills of the weight buffer, loads through the weight port.

    Images that run together share the weights, never the activations that take their place.
    """
    for chosen, together in ((plan.fetched, True), (~plan.fetched, False)):
        if chosen.any():
            loops = _loops_of(counts, table, chosen, together)
            _count_loops(counts.shared if together else counts, plan, table, loops, present)


def _count_loops(
    counts: Counts, plan: CountPlan, table: Table, loops: _Loops, present: bool
) -> None:
    constants, own = table.constants, loops.entry
    machine = constants.plan.machine
    outer = constants.layers.rows_outer[constants.entries.layer[own]]
    served = np.zeros(counts.images * counts.layers, np.bool_)
    from_spikes = plan.from_spikes[own]
    preloads = constants.layers.preloads[constants.entries.layer[own]]
    for core in range(machine.cores):
        share = _share_of(table, loops, core)
        _count_fetches(counts, plan, table, loops, share, core, present)
        served[loops.at[share.tiles > 0]] = True
        if preloads.any():
            local = (loops.chunks <= machine.local_chunks) & ~outer
            loads = np.where(local, share.tiles > 0, share.blocks)
            loaded = loops.inputs * share.outputs * plan.weight_bits[own] * share.groups
            for source, of_source in (("weights", ~from_spikes), ("spikes", from_spikes)):
                read = of_source & preloads
                counts.access(source, loaded[:, read], loops.at[:, read], write=False,
                              times=loads[:, read])  # fmt: skip
    for layer_plan in constants.plan.layers:
        if layer_plan.source == FROM_GLOBAL and not present:
            at = counts.at(layer_plan.layer.index)
            _fill_global(counts, constants, layer_plan, at[served[at]])


def _count_fetches(
    counts: Counts, plan: CountPlan, table: Table, loops: _Loops, share: _Share, core: int,
    present: bool,
) -> None:  # fmt: skip
    """Count what a core fetches at each scope; chunks that stay come at its first scope."""
    constants, own = table.constants, loops.entry
    machine, entries = constants.plan.machine, constants.entries
    if not plan.fetched[own].any():
        return
    outer = constants.layers.rows_outer[entries.layer[own]]
    pinned = plan.pinned[core][own]
    # Of weights in groups all are pinned, and none is wanted, or none is.
    stays = np.where(constants.layers.groups[entries.layer[own]] > 1, 0, pinned)
    wanted = np.where(outer, share.tiles * plan.chunks[own] - stays, plan.chunks[own])
    takes = share.tiles > 0
    fetches = np.where(wanted <= machine.weight_slots, 1, share.blocks) * takes
    streamed = plan.stream_rows[own]
    if streamed.any():
        rows = table.timed.scopes.rows[:, entries.scope[own]]
        passes = -(-rows // np.maximum(streamed, 1))
        fetches = np.where(streamed > 0, fetches * passes, fetches)
    once = np.zeros(takes.shape, np.int64)
    if pinned.any() and not present:
        # Scopes of a layer follow each other: the first that takes part fetches.
        before: Ints = np.cumsum(takes, axis=1) - takes
        first_entry = np.searchsorted(own, entries.first_of_layer[entries.layer[own]])
        once += takes & (before == before[:, first_entry])
    columns = constants.layers.columns[entries.layer[own]]
    ragged = (share.outputs % columns > 0).astype(np.int64)
    tiles = np.stack([share.tiles - ragged, ragged], axis=2)
    by_fill = plan.fill_chunks[own]
    fills = -(-share.tiles * share.groups * plan.chunks[own] // np.maximum(by_fill, 1))
    nothing = np.zeros_like(plan.pinned)
    for (part, action), each in plan.fetches.items():
        stay = plan.pinned_fetches.get((part, action), nothing)[core][own]
        passing = (tiles * each[own]).sum(axis=2) * share.groups - stay
        passing = np.where(by_fill > 0, fills * each[own][:, 0] // plan.chunks[own], passing)
        counts.add(part, {action: passing * fetches + stay * once}, loops.at, 1)
    stored, stay = plan.stored[core][own], plan.pinned_stored[core][own]
    for bits, times in ((stored - stay, fetches), (stay, once)):
        shaped = np.broadcast_to(bits, loops.at.shape)
        counts.access("weights", shaped, loops.at, write=True, times=times)


def _fill_global(counts: Counts, constants: Constants, layer_plan: LayerPlan, at: Ints) -> None:
    """Count how DRAM fills the global buffer once, for the core that asks first."""
    plan, layer = constants.plan, layer_plan.layer
    ragged = int(layer.outputs % layer_plan.columns > 0)
    tiles = -(-layer.outputs // layer_plan.columns)
    full, last = layer_plan.fetch_counts
    counts.add("memories.dram", full, at, (tiles - ragged) * layer.groups)
    counts.add("memories.dram", last, at, ragged * layer.groups)
    shared = plan.architecture.memories.global_buffer
    assert shared is not None
    stored = layer_plan.array.stored_weight_bits(layer.inputs, layer.outputs, layer.weight_bits)
    filled = request(shared, stored * layer.groups, counts.clock_mhz, write=True)
    counts.add("memories.global_buffer", filled.counts, at, 1)
