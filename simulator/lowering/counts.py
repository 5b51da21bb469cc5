"""Action counts of a batch: exact integers by (image, layer, part, action), priced later.

How often weights are fetched is read off the programs, so what images that run together do once is
counted once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Ints
from simulator.lowering.constants import Constants
from simulator.lowering.count_plan import CountPlan, part_of, weight_source
from simulator.lowering.counter import CORE_PART, Counts
from simulator.lowering.programs import Programs
from simulator.lowering.requests import request
from simulator.lowering.scopes import Scopes
from simulator.lowering.table import Costed, Table
from simulator.lowering.tables import FROM_GLOBAL, GROUPS, TILES
from simulator.lowering.timing import Moves


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


class Useful(NamedTuple):
    """Count what is needed of the work of arrays; int64 (images, layers).

    accumulations: ones of inputs, for each output that they are added to. additions: what adders
    add for them, fewer where results are reused, weights pruned or integers multiplied.
    """

    accumulations: Ints
    additions: Ints


def dram_bits(actions: tuple[tuple[str, str], ...], cube: Ints) -> Ints:
    """Return int64 (image, layer), bits that pass the DRAM."""
    moved = [("memories.dram", "read_bit"), ("memories.dram", "write_bit")]
    own = [place for place, key in enumerate(actions) if key in moved]
    bits: Ints = cube[:, :, own].sum(axis=2)
    return bits


def count_products(
    counts: Counts, plan: CountPlan, table: Table, moves: Moves, programs: Programs
) -> None:
    """Count all that products do."""
    images = np.arange(len(table.batch.active))[:, None]
    at = images * counts.layers + table.constants.entries.layer
    _count_arrays(counts, plan, table, at)
    count_weights(counts, plan, table, programs)
    _count_results(counts, plan, table, at)
    _count_moves(counts, table, moves, programs)


def _by_request(plan: CountPlan, values: Ints) -> Ints:
    """Sum (image, entry) over the entries of each request."""
    total = np.zeros((len(plan.request_layer), len(values)), np.int64)
    np.add.at(total, plan.request, values.T)
    return total.T


def _count_arrays(counts: Counts, plan: CountPlan, table: Table, at: Ints) -> None:
    """Count arithmetic of the array, and the traffic of operand, weights and partial sums."""
    constants, costed = table.constants, table.counted
    entries, scopes, cost = constants.entries, costed.scopes, costed.cost
    outputs = scopes.outputs.ravel()[scopes.block_scope]
    passes = _passes(constants, scopes)
    sums = _ScopeSums(costed)
    for counted, times in ((cost.per_output, outputs), (cost.per_pass, passes)):
        for (array, action), values in counted.items():
            by_scope = sums.of(values * times)[:, entries.scope]
            counts.add(CORE_PART + array, {action: by_scope}, at, 1)
    for values, write in (
        (cost.partial_sum_read_vectors, False),
        (cost.partial_sum_write_vectors, True),
    ):
        times = sums.of(values * passes)[:, entries.scope]
        counts.access(
            "partial_sums", np.broadcast_to(plan.sum_bits, at.shape), at, write=write, times=times
        )
    timed_passes = _passes(constants, table.timed.scopes)
    waited = _ScopeSums(table.timed).of(table.timed.conflicts * timed_passes)[:, entries.scope]
    groups = constants.layers.groups[entries.layer]
    counts.add(f"{CORE_PART}buffers.spikes", {"bank_conflict": waited * groups}, at, 1)
    spikes = _by_request(plan, sums.of(cost.spike_bits * passes)[:, entries.scope])
    images = np.arange(counts.images)[:, None]
    request_at = images * counts.layers + plan.request_layer
    counts.access("spikes", spikes, request_at, write=False)
    weights = sums.of(cost.weights_per_output * outputs)[:, entries.scope]
    for source, chosen in (("weights", ~plan.from_spikes), ("spikes", plan.from_spikes)):
        if chosen.any():
            streamed = _by_request(plan, weights * plan.weight_bits * chosen)
            counts.access(source, streamed, request_at, write=False)


def _passes(constants: Constants, scopes: Scopes) -> Ints:
    """Return int64 (blocks,), column tiles of the product of each block."""
    width = constants.walks.columns[constants.timed.walk]
    of_scope = -(-scopes.outputs // width)
    passes: Ints = of_scope.ravel()[scopes.block_scope]
    return passes


class _ScopeSums:
    """Sums values of blocks over scopes."""

    def __init__(self, costed: Costed) -> None:
        self.scopes = costed.scopes

    def of(self, values: Ints) -> Ints:
        """Return int64 (image, scope)."""
        total = np.zeros(self.scopes.blocks.size, np.int64)
        np.add.at(total, self.scopes.block_scope, values)
        return total.reshape(self.scopes.blocks.shape)


def _count_results(counts: Counts, plan: CountPlan, table: Table, at: Ints) -> None:
    """Count draining the sums, the element-wise operations, and the storing of their results."""
    constants, scopes = table.constants, table.counted.scopes
    entries = constants.entries
    columns = constants.layers.columns[entries.layer]
    vector = constants.plan.architecture.core.vector_unit
    rows = _scope_rows(table.counted)[:, entries.scope]
    outputs, groups = scopes.outputs[:, entries.scope], constants.layers.groups[entries.layer]
    products = rows * outputs * groups
    drained = rows * groups * -(-outputs // columns)
    sum_bits = np.broadcast_to(plan.sum_bits, at.shape)
    counts.access("partial_sums", sum_bits, at, write=False, times=drained)
    by_layer = np.zeros((counts.layers, counts.images), np.int64)
    np.add.at(by_layer, entries.layer, products.T)
    total = by_layer.T
    every = np.arange(counts.images)[:, None] * counts.layers + np.arange(counts.layers)
    full = np.maximum(constants.layers.full, 1)
    counts.access("weights", total * plan.product_bits, every, write=True)
    for counted, own, numerator in plan.ops:
        elements = total[:, own] * numerator // full[own]
        counts.add(CORE_PART + "vector_unit", counted, every[:, own], elements)
    counts.access("spikes", total * plan.stored_bits // full, every, write=True)
    # The stream that is added to, read at the width of the sum: an upper bound.
    counts.access("spikes", total * plan.added_bits // full, every, write=False)
    bits = products * plan.lif // full[entries.layer] * vector.membrane_bits
    # Read at every timestep but the first, written at every one but the last.
    read, written = entries.place > 0, entries.place < entries.last
    counts.access("membranes", bits[:, read], at[:, read], write=False)
    counts.access("membranes", bits[:, written], at[:, written], write=True)


def _scope_rows(costed: Costed) -> Ints:
    """Return int64 (image, scope), operand rows of each scope."""
    return _ScopeSums(costed).of(costed.scopes.sizes)


def _count_moves(counts: Counts, table: Table, moves: Moves, programs: Programs) -> None:
    """Count operands, results and membranes that pass between cores and memories outside."""
    at = table.blocks.image * counts.layers + table.blocks.layer
    for place, found in moves.operand.items():
        counts.move(place, found.counts, at, programs.operand)
    counts.access("spikes", moves.operand_bits, at, write=True, times=programs.operand)
    twice = np.stack([at, at], axis=1)
    # A block whose membranes come and go takes the cycles of a place for both.
    ways = np.maximum(moves.reads.astype(np.int64) + moves.writes, 1)[:, None]
    for by_place, times in (
        (moves.spill, programs.spill),
        (moves.fill, programs.state // ways * moves.reads[:, None]),
        (moves.state, programs.state // ways * moves.writes[:, None]),
    ):
        for place, found in by_place.items():
            counts.move(place, found.counts, twice, times)


def useful_work(table: Table) -> Useful:
    """Return what is needed of the work of arrays; outputs of halted tokens are not."""
    constants, batch = table.constants, table.batch
    images = len(batch.active)
    entries, layers = constants.entries, constants.plan.layers
    live = batch.active.sum(axis=3, dtype=np.int64)  # (image, block, timestep)
    ones = table.timed.ones[:, entries.scope]
    outputs = np.broadcast_to(constants.layers.outputs[entries.layer], ones.shape).copy()
    for entry, layer in enumerate(entries.layer.tolist()):
        own = layers[layer].layer
        if own.outputs_are_tokens and own.mask is not None:
            step = constants.timed.first_step[entries.scope[entry]]
            outputs[:, entry] = live[:, int(own.mask), step]
    counted, columns = table.counted, constants.layers.columns[entries.layer]
    added = counted.added[:, entries.scope] * outputs
    added += counted.added_pass[:, entries.scope] * outputs // columns
    # Taps that a smaller kernel leaves idle add what nothing asks for.
    added = np.minimum(added, ones * outputs)
    totals = np.zeros((2, len(layers), images), np.int64)
    for total, values in zip(totals, (ones * outputs, added), strict=True):
        np.add.at(total, entries.layer, values.T)
    return Useful(*totals.transpose(0, 2, 1).copy())
