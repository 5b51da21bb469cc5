"""What the products of a layer exchange with memories outside the core, and when it waits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simulator.lowering.filling import Filling, unit_of
from simulator.lowering.pieces import Part, Pieces
from simulator.lowering.places import CORE, GLOBAL, OUTSIDE
from simulator.lowering.plan import LayerPlan
from simulator.lowering.tables import TILES, shares

Ints = npt.NDArray[np.int64]


def read_operands(filling: Filling, layer_plan: LayerPlan, part: Part) -> Ints:
    """Cycles to read each block's operand of one group from outside; counts the reads."""
    layer, machine = layer_plan.layer, filling.plan.machine
    busy = np.zeros(len(part.rows), np.int64)
    added = sum(bits for bits, place in layer_plan.reads if place != CORE)
    places = [layer_plan.operand_place, layer_plan.second_place]
    places = [*places, *(place for _, place in layer_plan.reads)]
    if not {GLOBAL, OUTSIDE} & set(places):
        return busy
    place = OUTSIDE if OUTSIDE in places else GLOBAL
    filling.table["operand_unit"][list(layer_plan.scopes)] = unit_of(place)
    scope_of = np.repeat(np.arange(len(part.blocks)), part.blocks)
    first = np.cumsum(part.blocks) - part.blocks
    for block, rows in enumerate(part.rows.tolist()):
        scope = int(scope_of[block])
        outputs = int(part.outputs[scope])
        bits = 0
        if layer_plan.operand_place != CORE:
            tokens = part.input_totals[scope] if layer.transposed else 0
            bits = layer.operand_bits(rows, tokens)
        if block == first[scope] and layer_plan.second_place not in ("", CORE):
            bits += layer.inputs * outputs  # the keys, or the values, of a head
        tiles = -(-outputs // machine.columns)
        if added:
            # What residuals add: once, or a tile's columns with each tile.
            each = tiles if not layer_plan.rows_outer else 1
            bits += -(-rows * added // (layer.rows * layer.timesteps * each))
        if bits == 0:
            continue
        own = shares(tiles, machine.cores) if layer_plan.share == TILES else np.array([tiles])
        times = int((own > 0).sum() if layer_plan.rows_outer else own.sum()) * layer.groups
        busy[block] = filling.move(layer.index, place, bits, times, write=False)
        filling.counter.access(layer.index, "spikes", bits, write=True, times=times)
    return busy


def move_states_and_spills(
    filling: Filling, layer_plan: LayerPlan, pieces: Pieces, full: int
) -> None:
    """Membranes and results that are not in the core."""
    layer, part = layer_plan.layer, pieces.timed
    blocks = len(part.rows)
    spill = np.zeros((blocks, 2), np.int64)
    state = np.zeros((blocks, 2), np.int64)
    reads, writes = np.zeros(blocks, np.int64), np.zeros(blocks, np.int64)
    away = layer_plan.membrane_place not in ("", CORE)
    if layer_plan.spilled_bits or away:
        scope_of = np.repeat(np.arange(len(part.blocks)), part.blocks)
        lif = (op for op in layer_plan.fused if op.kind == "lif")
        neurons = sum(op.rows * op.channels * op.timesteps for op in lif)
        state_bits = neurons * filling.plan.architecture.core.vector_unit.membrane_bits
        if away:
            reads[:], writes[:] = scope_of > 0, scope_of < len(part.blocks) - 1
        # Most blocks are of one size: each size is moved once, times how often it is there.
        alike: dict[tuple[int, int], list[int]] = {}
        outputs_of = part.outputs[scope_of].tolist()
        for block, key in enumerate(zip(part.rows.tolist(), outputs_of, strict=True)):
            alike.setdefault(key, []).append(block)
        for (rows, outputs), own in alike.items():
            sizes = _tile_sizes(filling, outputs)
            place, share = layer_plan.spill_place, (rows * layer_plan.spilled_bits, full)
            times = len(own) * layer.groups
            spill[own] = _tiles(filling, layer.index, place, share, sizes, times)
            if away:
                times = int(reads[own].sum() + writes[own].sum()) * layer.groups
                place, share = layer_plan.membrane_place, (rows * state_bits, full)
                state[own] = _tiles(filling, layer.index, place, share, sizes, times)
    filling.append("spill_busy", spill)
    filling.append("state_busy", state)
    filling.append("state_reads", reads)
    filling.append("state_writes", writes)


def _tile_sizes(filling: Filling, outputs: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """(columns, how many) of the full and of the ragged column tiles."""
    columns = filling.plan.machine.columns
    ragged = outputs % columns
    return (columns, outputs // columns), (ragged, int(ragged > 0))


def _tiles(
    filling: Filling,
    layer: int,
    place: str,
    bits_per_column: tuple[int, int],
    sizes: tuple[tuple[int, int], tuple[int, int]],
    times: int,
) -> list[int]:
    """Cycles to move a tile of full and of ragged width; counts all. Bits are a fraction."""
    busy = []
    for columns, tiles in sizes:
        bits = -(-columns * bits_per_column[0] // bits_per_column[1])
        move = bits > 0 and times > 0
        busy.append(filling.move(layer, place, bits, tiles * times, write=True) if move else 0)
    return busy
