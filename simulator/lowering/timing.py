"""Busy cycles of a batch: a row an image, in sections, from which operations take their cycles.

    tiles | element-wise work (full, ragged) | operands | results (full, ragged) |
    membranes (full, ragged) | port loads of activations | steps of one operation | constants

The sections from element-wise work to membranes have an entry a block of each layer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Bools, Bytes, Ints
from simulator.lowering import task_table as s
from simulator.lowering.constants import IN_DRAM, IN_GLOBAL
from simulator.lowering.requests import Requests, requests
from simulator.lowering.table import Table


class Moves(NamedTuple):
    """Describe transfers of each block of each layer with memories outside its core.

    operand_bits: int64 (blocks,). spill_bits, state_bits: int64 (blocks, 2), of full and ragged
    column tiles. operand, spill, fill, state: requests by place, in the same shapes; fill reads
    membranes, state writes them, and takes as long as state_busy says for both. reads, writes:
    bool (blocks,), membranes come from and go to a memory outside.
    """

    operand_bits: Ints
    spill_bits: Ints
    state_bits: Ints
    operand: dict[int, Requests]
    operand_busy: Ints
    spill: dict[int, Requests]
    spill_busy: Ints
    fill: dict[int, Requests]
    state: dict[int, Requests]
    state_busy: Ints
    reads: Bools
    writes: Bools


def move_blocks(table: Table) -> Moves:
    """Return what the blocks of all layers exchange with memories outside the core."""
    layers, entries, blocks = table.constants.layers, table.constants.entries, table.blocks
    layer, rows = blocks.layer, blocks.rows
    columns = layers.columns[layer]
    column_tiles = -(-blocks.outputs // columns)
    operand = rows * layers.operand_numerator[layer] // layers.operand_denominator[layer]
    operand = np.where(layers.operand_times_tokens[layer], operand * blocks.tokens, operand)
    operand += blocks.is_first * layers.second_bits[layer] * blocks.outputs
    each = np.where(layers.rows_outer[layer], 1, column_tiles)
    added = layers.added[layer]
    operand += -(-rows * added // np.maximum(layers.added_rows[layer] * each, 1))
    operand[layers.operand_place[layer] == 0] = 0
    widths = np.stack([columns, blocks.outputs % columns], axis=1)
    full = np.maximum(layers.full[layer], 1)[:, None]
    spill = -(-widths * (rows * layers.spilled_bits[layer])[:, None] // full)
    state = -(-widths * (rows * layers.state_bits[layer])[:, None] // full)
    away = layers.state_place[layer] > 0
    place = entries.place[blocks.entry]
    reads, writes = away & (place > 0), away & (place < entries.last[blocks.entry])
    state[~away] = 0
    found = [
        _by_place(table, places[layer], bits, write=write)
        for places, bits, write in (
            (layers.operand_place, operand, False),
            (layers.spill_place, spill, True),
            (layers.state_place, state, True),
        )
    ]
    fill, _ = _by_place(table, layers.state_place[layer], state, write=False)
    return Moves(operand, spill, state, *found[0], *found[1], fill, *found[2], reads, writes)


def _by_place(
    table: Table, place: Ints, bits: Ints, *, write: bool
) -> tuple[dict[int, Requests], Ints]:
    """Return requests of bits to each place, in the shape of `bits`, and their busy cycles."""
    architecture = table.constants.plan.architecture
    memories = {IN_GLOBAL: architecture.memories.global_buffer, IN_DRAM: architecture.memories.dram}
    busy = np.zeros(bits.shape, np.int64)
    found = {}
    for where, memory in memories.items():
        own = place == where
        if memory is None or not own.any():
            continue
        asked = np.where(own if bits.ndim == 1 else own[:, None], bits, 0)
        flat = requests(memory, asked.ravel(), architecture.clock_mhz, write=write)
        shaped = {action: count.reshape(bits.shape) for action, count in flat.counts.items()}
        found[where] = Requests(flat.busy.reshape(bits.shape), shaped)
        busy += found[where].busy
    return found, busy


class BlockBusy(NamedTuple):
    """Hold the cycles of each block of each layer, and its flags (task_table.F_...)."""

    vector: Ints
    flags: Bytes


def block_busy(table: Table, moves: Moves) -> BlockBusy:
    """Return the element-wise cycles of full and ragged column tiles, and the flags of blocks."""
    layers = table.constants.layers
    layer, rows = table.blocks.layer, table.blocks.rows
    elements = -(-rows * layers.work[layer] // np.maximum(layers.full[layer], 1))
    lanes = table.constants.plan.vector_lanes
    # Sums are drained a row's vector after the other: what is left of its lanes stays idle.
    columns = layers.columns[layer]
    at_once = np.minimum(lanes, columns)[:, None]
    widths = np.stack([columns, table.blocks.outputs % columns], axis=1)
    widths = -(-widths // at_once) * at_once
    vector = -(-elements[:, None] * widths // lanes)
    flags = (elements > 0) * s.F_VECTOR
    flags |= (moves.operand_busy > 0) * s.F_OPERAND
    flags |= (moves.spill_busy[:, 0] > 0) * s.F_SPILL
    flags |= (moves.spill_busy[:, 1] > 0) * s.F_SPILL_RAGGED
    flags |= moves.reads * s.F_STATE_READ
    flags |= moves.writes * s.F_STATE_WRITE
    return BlockBusy(vector, flags.astype(np.uint8))
