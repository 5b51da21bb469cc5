"""Action counts of a batch: exact integers by (image, layer, part, action), priced later."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from simulator.components.vector_units.base import VectorUnit
from simulator.config.arrays import Bools, Ints
from simulator.lowering.constants import Constants
from simulator.lowering.counter import CORE_PART, Counts
from simulator.lowering.places import CORE
from simulator.lowering.plan import LayerPlan, Plan
from simulator.lowering.requests import request
from simulator.lowering.scopes import Scopes
from simulator.lowering.table import Costed, Table
from simulator.lowering.tables import BLOCKS, FROM_GLOBAL, GROUPS, TILES, UNDIVIDED
from simulator.lowering.timing import Moves, operand_reads


class Useful(NamedTuple):
    """What is needed of the work of arrays; int64 (images, layers).

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
    counts: Counts, plan: CountPlan, table: Table, moves: Moves, *, pinned_present: bool = False
) -> Useful:
    """Count all that products do; return what is useful of it.

    pinned_present: weights that stay on chip are there from an image before.
    """
    images = np.arange(len(table.batch.active))[:, None]
    at = images * counts.layers + table.constants.entries.layer
    _count_arrays(counts, plan, table, at)
    _count_weights(counts, plan, table, pinned_present)
    _count_results(counts, plan, table, at)
    _count_moves(counts, table, moves)
    return _useful(counts, table, at)


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
    layers = [plan.layers[layer] for layer in entries.layer.tolist()]
    first = np.array(
        [
            each.layer.transposed or not place
            for each, place in zip(layers, entries.place, strict=True)
        ],
        np.int64,
    )
    request = np.cumsum(first) - 1
    sources = [_weight_source(each) for each in layers]
    fetches: dict[tuple[str, str], Ints] = {}
    for number, each in enumerate(layers):
        shared = each.source == FROM_GLOBAL
        part = "memories.global_buffer" if shared else "memories.dram"
        for side, counted in enumerate(each.shared_counts if shared else each.fetch_counts):
            for action, count in counted.items():
                column = fetches.setdefault((part, action), np.zeros((len(layers), 2), np.int64))
                column[number, side] = count
    vector = plan.architecture.core.vector_unit
    stored = np.array([_stored(plan, layers, core) for core in range(plan.machine.cores)])
    pinned, pinned_stored, pinned_fetches = _pinned(plan, layers, stored)
    every = [each for each in plan.layers if constants.layers.is_product[each.layer.index]]
    return CountPlan(
        request=request,
        request_layer=entries.layer[np.flatnonzero(first)],
        weight_bits=np.array([bits for bits, _ in sources], np.int64),
        from_spikes=np.array([source == "spikes" for _, source in sources], np.bool_),
        fetched=np.array([bool(each.fetch) for each in layers], np.bool_),
        fetches=fetches,
        chunks=np.array([len(each.fetch) for each in layers], np.int64),
        stream_rows=np.array(
            [each.array.stream_rows if each.array.streams_weights else 0 for each in layers],
            np.int64,
        ),
        fill_chunks=np.array([each.fill_chunks for each in layers], np.int64),
        stored=stored,
        pinned=pinned,
        pinned_stored=pinned_stored,
        pinned_fetches=pinned_fetches,
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
        lif=np.array(
            [
                sum(op.rows * op.channels * op.timesteps for op in each.fused if op.kind == "lif")
                * (each.membrane_place == CORE)
                for each in layers
            ],
            np.int64,
        ),
        sum_bits=np.array(
            [each.array.held_columns(each.layer.outputs) * each.array.sum_bits for each in layers],
            np.int64,
        ),
    )


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
    """Return the bits that a core's part of each entry's weights takes in its buffer."""
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
    """Return the pinned chunks of each core and entry, their bits, and counts of their fetches."""
    pinned, bits = np.zeros_like(stored), np.zeros_like(stored)
    fetches: dict[tuple[str, str], Ints] = {}
    known: dict[tuple[int, int], tuple[int, int, dict[str, int]]] = {}
    for number, each in enumerate(layers):
        for core in range(len(stored) if each.pinned else 0):
            key = each.layer.index, core
            if key not in known:
                known[key] = _pinned_part(plan, each, core, int(stored[core, number]))
            pinned[core, number], bits[core, number], counted = known[key]
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


def _weight_source(layer_plan: LayerPlan) -> tuple[int, str]:
    """Return bits of what takes the weights' place, and the buffer that it is read from."""
    layer = layer_plan.layer
    if layer.second_bits == 1:
        return 1, "spikes"
    return layer.weight_bits or layer.second_bits, "weights"


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


def _count_weights(counts: Counts, plan: CountPlan, table: Table, present: bool) -> None:
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


def _count_moves(counts: Counts, table: Table, moves: Moves) -> None:
    """Count operands, results and membranes that pass between cores and memories outside."""
    layers, blocks = table.constants.layers, table.blocks
    layer = blocks.layer
    columns = layers.columns[layer]
    at = blocks.image * counts.layers + layer
    ragged = (blocks.outputs % columns > 0).astype(np.int64)
    groups, times = layers.groups[layer], operand_reads(table)
    for place, found in moves.operand.items():
        counts.move(place, found.counts, at, times)
    counts.access("spikes", moves.operand_bits, at, write=True, times=times)
    twice = np.concatenate([at, at])
    widths = np.concatenate([(blocks.outputs // columns) * groups, ragged * groups])
    for place, found in moves.spill.items():
        flat = {action: count.T.ravel() for action, count in found.counts.items()}
        counts.move(place, flat, twice, widths)
    for exchanged, by_place in ((moves.reads, moves.fill), (moves.writes, moves.state)):
        for place, found in by_place.items():
            flat = {action: count.T.ravel() for action, count in found.counts.items()}
            counts.move(place, flat, twice, widths * np.tile(exchanged, 2))


def _useful(counts: Counts, table: Table, at: Ints) -> Useful:
    """Return what is needed of the work of arrays; outputs of halted tokens are not."""
    constants, batch = table.constants, table.batch
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
    totals = np.zeros((2, counts.images * counts.layers), np.int64)
    for total, values in zip(totals, (ones * outputs, added), strict=True):
        np.add.at(total, at.ravel(), values.ravel())
    return Useful(*totals.reshape(2, counts.images, counts.layers))
