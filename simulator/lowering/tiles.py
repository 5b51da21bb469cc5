"""The tiles of a batch: where each is, in the order (image, walk, scope, group, block, chunk)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Bools, Bytes, Ints
from simulator.lowering import walks as w
from simulator.lowering.scopes import ScopePlan, Scopes
from simulator.lowering.walks import Walks


class Batch(NamedTuple):
    """Hold the data of some images."""

    arena: Bytes  # (images, bytes), each tensor at its offset (walks.arena_layout)
    active: Bools  # (images, blocks, timesteps, tokens)


class TileLayout(NamedTuple):
    """Say where each tile is; int64 (tiles,)."""

    ptr: Ints  # (tiles + 1,), words of each tile
    block: Ints
    group: Ints
    chunk: Ints
    inputs: Ints
    pool: Ints  # equal where tiles of an image and product meet the same chunk of weights


def lay_out(walks: Walks, plan: ScopePlan, scopes: Scopes) -> TileLayout:
    """Number the tiles and say where their words are."""
    table = walks.tables.table[plan.walk]
    columns = table[:, w.KIND] == w.COLUMNS
    planes = np.where(columns, 1, table[:, w.PLANES])
    scope = np.repeat(np.arange(scopes.tiles.size), scopes.tiles.ravel())
    number = scope % max(len(plan.walk), 1)
    place = np.arange(len(scope)) - scopes.first_tile.ravel()[scope]
    chunks = scopes.chunks.ravel()[scope]
    blocks = scopes.blocks.ravel()[scope]
    chunk, group = place % chunks, place // (chunks * blocks)
    block = scopes.first_block.ravel()[scope] + place // chunks % blocks
    size = table[number, w.CHUNK_TOKENS]
    tokens = np.minimum(scopes.rows.ravel()[scope] - chunk * size, size)
    own = np.where(columns[number], 0, chunk)
    inputs = np.where(columns[number], tokens, walks.chunk_inputs[plan.walk[number], own])
    return TileLayout(
        ptr=np.concatenate([[0], np.cumsum(scopes.sizes[block] * planes[number])]),
        block=block,
        group=group,
        chunk=chunk,
        inputs=inputs,
        pool=_pools(plan, scopes, columns)[scope] + group * chunks + chunk,
    )


def _pools(plan: ScopePlan, scopes: Scopes, columns: Bools) -> Ints:
    """Return the pool of the first tile of each scope; scopes of a walk meet the same weights."""
    first = np.ones(len(plan.walk), np.bool_)
    first[1:] = columns[1:] | (plan.walk[1:] != plan.walk[:-1])
    pools = np.where(first, plan.groups * scopes.chunks, 0).ravel()
    begins = np.cumsum(pools) - pools
    begun = np.where(np.tile(first, len(scopes.chunks)), np.arange(len(pools)), 0)
    of_scope: Ints = begins[np.maximum.accumulate(begun)]
    return of_scope
