"""The table of a batch: scopes, tiles and blocks of all layers and images, costed by the array.

Cycles and action counts are two reductions of this table (timing.py, counts.py); no loop is walked
twice.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from simulator.components.pe_arrays.base import RowLists, Tiles
from simulator.config.arrays import Bools, Ints
from simulator.lowering import walks as w
from simulator.lowering.arrays import Costs, additions, cost_tiles
from simulator.lowering.bits import BitGather, BlockRows, block_rows
from simulator.lowering.by_inputs import reach
from simulator.lowering.constants import Constants
from simulator.lowering.ones import count_ones
from simulator.lowering.scopes import RowList, ScopePlan, Scopes, list_rows, make_scopes, starts
from simulator.lowering.tiles import Batch, TileLayout, lay_out
from simulator.lowering.walks import Walks


class Costed(NamedTuple):
    """Hold the tiles of a batch and what they cost; int64 (images, scopes) where not said."""

    scopes: Scopes
    layout: TileLayout
    cost: Costs
    conflicts: Ints  # (blocks,), cycles lost in the spike buffer, of one group and column tile
    tile_ones: Ints  # (tiles,), set bits
    ones: Ints  # set bits; each counts as often as it is added, for one output
    added: Ints  # additions that are needed, of an output
    added_pass: Ints  # likewise, of a full column tile


class Blocks(NamedTuple):
    """List the blocks of each layer, scope after scope, image by image; int64 (blocks,)."""

    entry: Ints  # layer's scope (LayerScopes)
    image: Ints
    layer: Ints
    block: Ints  # of its walk
    rows: Ints
    outputs: Ints
    tokens: Ints  # the inputs of a transposed product, else 0
    is_first: Bools  # of its scope
    per_scope: Ints  # (images, entries), blocks of each scope


class Table(NamedTuple):
    """Hold what is known of a batch; `counted`: what is paid for, `timed` if no rows are gated."""

    constants: Constants
    batch: Batch
    timed: Costed
    counted: Costed
    blocks: Blocks


def make_table(constants: Constants, batch: Batch) -> Table:
    """Lay out and cost the tiles of all images of a batch."""
    timed = _costed(constants, constants.timed, batch)
    counted = timed
    if constants.counted is not None:
        counted = _costed(constants, constants.counted, batch)
    return Table(constants, batch, timed, counted, _blocks(constants, timed.scopes))


def _costed(constants: Constants, plan: ScopePlan, batch: Batch) -> Costed:
    walks = constants.walks
    arrays = constants.plan.architecture.core.arrays
    lists = tuple(list_rows(each, batch.active) for each in plan.lists)
    scopes = make_scopes(plan, walks, len(batch.active), lists)
    layout = lay_out(walks, plan, scopes)
    widest = int(layout.inputs.max(initial=0))
    dtype = np.uint8 if widest < 1 << 8 else np.uint16 if widest < 1 << 16 else np.uint32
    words = count_ones(walks, plan, scopes, batch, dtype)
    table = walks.tables.table[plan.walk]
    number = scopes.block_scope % max(len(plan.walk), 1)
    rows_of = walks.walks

    @cache
    def rows() -> RowLists:
        return RowLists(*block_rows(walks, plan, scopes))

    gather = None
    if any(array.reads_bits for array in arrays.values()):
        gather = BitGather(walks, plan, scopes, batch, layout, BlockRows(*rows()))
    inputs = np.where(plan.product_inputs > 0, plan.product_inputs, scopes.rows)
    integer = np.array([walk.layer.integer_input and not walk.is_columns for walk in rows_of])
    attention = np.array([walk.layer.is_attention for walk in rows_of])
    tiles = Tiles(
        ones=words,
        ptr=layout.ptr,
        block=layout.block,
        chunk=layout.chunk,
        inputs=layout.inputs,
        pool=layout.pool,
        sizes=scopes.sizes,
        planes=np.where(table[:, w.KIND] == w.COLUMNS, 1, table[:, w.PLANES])[number],
        groups=table[:, w.GROUPS][number],
        chunks=scopes.chunks.ravel()[scopes.block_scope],
        product_inputs=inputs.ravel()[scopes.block_scope],
        outputs=scopes.outputs.ravel()[scopes.block_scope],
        integer=integer[plan.walk][number],
        attention=attention[plan.walk][number],
        rows=rows,
        gather=gather,
        sharers=np.array([len(walk.layers) for walk in rows_of], np.int64)[plan.walk][number],
        grids=table[:, [w.OUT_HEIGHT, w.OUT_WIDTH]][number],
    )
    cost = cost_tiles(arrays, tiles, walks.array[plan.walk][number])
    tile_ones = tiles.tile_ones()
    block_scope = scopes.block_scope
    reached = _additions(walks, plan, tiles, number)
    ones = _by_scope(scopes, block_scope[layout.block], reached)
    added, added_pass = (_by_scope(scopes, block_scope, each) for each in additions(cost, arrays))
    # Where an array adds zeros too, what is needed is a value that is not zero: an integer once.
    dense = np.array([array.computes_zeros for array in arrays.values()])[walks.array][plan.walk]
    entire = dense & integer[plan.walk]
    added = np.where(dense, ones, added)
    if entire.any():
        joined = _joined_planes(walks, batch)
        values = count_ones(walks, plan, _only(scopes, entire), joined, dtype)
        values = tiles._replace(ones=values).tile_ones()
        added = np.where(entire, _by_scope(scopes, block_scope[layout.block], values), added)
    cycles, conflicts = _driven(constants, plan, scopes, layout, lists, cost.cycles)
    cost = cost._replace(cycles=cycles)
    return Costed(scopes, layout, cost, conflicts, tile_ones, ones, added, added_pass)


def _by_scope(scopes: Scopes, scope: Ints, values: Ints) -> Ints:
    """Return int64 (images, scopes), sums of values; `scope`: flat (image, scope) of each."""
    total = np.zeros(scopes.blocks.size, np.int64)
    np.add.at(total, scope, values)
    return total.reshape(scopes.blocks.shape)


def _only(scopes: Scopes, chosen: Bools) -> Scopes:
    """Return the scopes with nothing to count in those that are not chosen."""
    return scopes._replace(blocks=np.where(chosen, scopes.blocks, 0))


def _joined_planes(walks: Walks, batch: Batch) -> Batch:
    """Return the batch with one plane of each integer, which tells where it is not zero."""
    arena = batch.arena.copy()
    table = walks.tables.table
    columns = [w.OFFSET, w.TIMESTEPS, w.STORED_PLANES, w.PIXELS, w.ROW_BYTES, w.PLANES]
    shapes = table[table[:, w.PLANES] > 1][:, columns]
    for offset, *shape, planes in np.unique(shapes, axis=0).tolist():
        lower = shape[1] - planes
        begin = offset - lower * math.prod(shape[2:])
        # A view: its planes are changed in the arena.
        stored = arena[:, begin : begin + math.prod(shape)].reshape(-1, *shape)
        stored[:, :, lower] = np.bitwise_or.reduce(stored[:, :, lower:], axis=2)
        stored[:, :, lower + 1 :] = 0
    return batch._replace(arena=arena)


def _additions(walks: Walks, plan: ScopePlan, tiles: Tiles, number: Ints) -> Ints:
    """Return int64 (tiles,), ones times the output positions that each is added to."""
    found = tiles.tile_ones()
    windows = [walk.layer.scattered for walk in walks.walks]
    for walk, window in enumerate(windows):
        if window is None:
            continue
        chosen = np.flatnonzero((plan.walk[number] == walk)[tiles.block])
        rows = tiles.rows()
        sizes = np.diff(tiles.ptr)[chosen]
        tile = np.repeat(chosen, sizes)
        within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        block = tiles.block[tile]
        row = rows.row[rows.ptr[block] + within // tiles.planes[block]]
        added = tiles.ones[tiles.ptr[tile] + within] * reach(window)[row]
        found[chosen] = 0
        np.add.at(found, tile, added)
    return found


def _driven(
    constants: Constants,
    plan: ScopePlan,
    scopes: Scopes,
    layout: TileLayout,
    lists: tuple[RowList, ...],
    cycles: Ints,
) -> tuple[Ints, Ints]:
    """Return the cycles of tiles where the spike buffer feeds the array, and those it loses.

    The words of a chunk lie row after row over the banks. In sequence the buffer is taken to keep
    up. Gathered rows, those that halting has left, meet in its banks, and a tile takes the longer
    of array and buffer.
    """
    conflicts = np.zeros(len(scopes.sizes), np.int64)
    skip = constants.plan.architecture.token_skip
    table = constants.walks.tables.table[plan.walk]
    masks = np.array([each.mask for each in plan.lists], np.int64)[plan.row_list]
    alone = np.array([len(each.timesteps[0]) == 1 for each in plan.lists])[plan.row_list]
    gathered = (masks >= 0) & alone & (table[:, w.KIND] != w.COLUMNS)
    # A product of one timestep that runs all of them together is read in sequence.
    gathered &= ~np.array(_together(constants, plan), np.bool_)
    if not skip.drops_rows or not gathered.any():
        return cycles, conflicts
    spikes = constants.plan.architecture.core.buffers.spikes
    bits_of = constants.walks.chunk_inputs * constants.walks.tables.table[:, w.PLANES, None]
    sizes = np.unique(bits_of[plan.walk[gathered]])
    sizes = sizes[sizes > 0]
    # One walk over the rows of all lists that are gathered, for each size of a row.
    own_lists = np.unique(plan.row_list[gathered]).tolist()
    chosen = [lists[number] for number in own_lists]
    ptr = np.concatenate([np.zeros(1, np.int64), *(each.sizes for each in chosen)]).cumsum()
    rows = np.concatenate([each.row for each in chosen])
    found = [spikes.gather_cycles(rows, ptr, int(bits)) for bits in sizes]
    reads_of = np.stack([busy for busy, _ in found])
    lost_of = np.stack([waited for _, waited in found])
    base = np.zeros(len(lists), np.int64)
    base[own_lists] = np.cumsum([0] + [len(each.sizes) for each in chosen])[:-1]
    first = np.stack(
        [
            lists[number].first_block[:, scope] + base[number]
            for number, scope in zip(plan.row_list, plan.list_scope, strict=True)
        ],
        axis=1,
    )
    flat = scopes.block_scope[layout.block]
    number = flat % len(plan.walk)
    own = np.flatnonzero(gathered[number])
    flat, number, block = flat[own], number[own], layout.block[own]
    place = first.ravel()[flat] + block - scopes.first_block.ravel()[flat]
    size = np.searchsorted(sizes, bits_of[plan.walk[number], layout.chunk[own]])
    cycles = cycles.copy()
    cycles[own] = np.maximum(cycles[own], reads_of[size, place])
    leading = layout.group[own] == 0
    np.add.at(conflicts, block[leading], lost_of[size[leading], place[leading]])
    return cycles, conflicts


def _together(constants: Constants, plan: ScopePlan) -> list[bool]:
    """Say of each scope whether its layer runs all timesteps together."""
    steps = constants.plan.steps
    of_walk = [
        steps[constants.plan.layers[walk.layers[0]].scopes[0]].timestep < 0
        for walk in constants.walks.walks
    ]
    counts = np.bincount(plan.walk, minlength=len(of_walk))
    return [of_walk[walk] and counts[walk] == 1 for walk in plan.walk.tolist()]


def _blocks(constants: Constants, scopes: Scopes) -> Blocks:
    """List the blocks of each layer; layers that share a walk share its blocks."""
    entries = constants.entries
    count = scopes.blocks[:, entries.scope]
    flat = np.repeat(np.arange(count.size), count.ravel())
    image, entry = np.divmod(flat, max(count.shape[1], 1))
    place = np.arange(len(flat)) - np.repeat(starts(count).ravel(), count.ravel())
    scope = entries.scope[entry]
    block = scopes.first_block[image, scope] + place
    columns = constants.walks.tables.table[constants.timed.walk, w.KIND] == w.COLUMNS
    tokens = np.where(columns[scope], scopes.rows[image, scope], 0)
    return Blocks(
        entry=entry,
        image=image,
        layer=entries.layer[entry],
        block=block,
        rows=scopes.sizes[block],
        outputs=scopes.outputs[image, scope],
        tokens=tokens,
        is_first=place == 0,
        per_scope=count,
    )
