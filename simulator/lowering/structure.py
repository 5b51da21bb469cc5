"""Writes the structure of a program: operations, their units and predecessors, without cycles.

For each row block and column tile of a matrix task, and each chunk of inputs, there is a fetch of
weights, their load through the weight port, and the computation, then the element-wise work on the
results. An op says where its busy cycles are found in the busy row of an image, so that images with
equal loops share a structure.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Bools, Int32s, Ints
from simulator.config.kernels import kernel, kernel_part
from simulator.lowering import emission as e
from simulator.lowering import tables as t
from simulator.lowering import task_table as s
from simulator.lowering import units as u
from simulator.lowering.emission import Emission
from simulator.lowering.task_table import Tasks


class Columns(NamedTuple):
    """Hold ops with unit, latency, rank, task, category and place in the busy row."""

    unit: Int32s
    latency: Ints
    yields: Bools
    task: Int32s
    category: Int32s
    busy_at: Int32s
    pred_ptr: Ints
    pred: Int32s


class _Turn(NamedTuple):
    """One (group, row block, column tile) of a core's part of a task."""

    task: int
    core: int
    begin: int
    group: int
    block: int
    tile: int
    ragged: int
    sums: int  # its place
    first_block: int
    first_tile: int
    part_tile: int  # number of the (group, column tile) in the core's part
    kept: bool
    kept_local: bool


def emit(tasks: Tasks) -> Columns:
    """Return the operations of all tasks, in an order in which each follows its predecessors."""
    emission = e.new_emission(tasks)
    loops = tasks.table[:, [s.T_GROUPS, s.T_BLOCKS, s.T_COLUMN_TILES]]
    ends = np.full(int(loops.prod(axis=1).max(initial=1)), -1, np.int64)
    _emit(emission, tasks.table, tasks.dep, ends, np.full(len(tasks.table), -1, np.int64))
    out = emission.out
    used, last = out.cursor.tolist()
    written = out.ops[:used].T
    return Columns(
        unit=written[e.O_UNIT].astype(np.int32),
        latency=written[e.O_LATENCY].copy(),
        yields=written[e.O_YIELDS].astype(np.bool_),
        task=written[e.O_TASK].astype(np.int32),
        category=written[e.O_CATEGORY].astype(np.int32),
        busy_at=written[e.O_BUSY_AT].astype(np.int32),
        pred_ptr=np.concatenate([np.zeros(1, np.int64), written[e.O_LAST_EDGE]]),
        pred=out.pred[:last].astype(np.int32),
    )


@kernel
def _emit(w: Emission, table: Ints, dep: Ints, ends: Ints, end_of: Ints) -> None:
    """Emit task after task; the op that ends each is what later tasks wait for.

    `ends`: room for the ops that end the running task's turns. `end_of`: op that ends each task.
    """
    out = w.out
    for task in range(table.shape[0]):
        row = table[task]
        single = row[s.T_KIND] != t.MATRIX
        runs = single and row[s.T_RUNS] == 1
        fetch = -1
        if runs and row[s.T_SOURCE] == t.FROM_DRAM:
            # Weights of a single operation: fetched before it, whenever DRAM is free.
            fetch = e.emit_read(w, w.units.dram, row[s.T_CORE], row[s.T_FETCH_AT], task, e.WEIGHTS)
        for place in range(row[s.T_FIRST_DEP], row[s.T_LAST_DEP]):
            e.wait_for(out, end_of[dep[place]])
        if runs:
            end_of[task] = _single(w, row, task, fetch)
            continue
        begin = e.emit_join(out, task, e.NONE)
        turns = 0 if single else _product(w, row, task, begin, ends)
        for turn in range(turns):
            e.wait_for(out, ends[turn])
        end_of[task] = e.emit_join(out, task, e.NONE) if turns > 0 else begin


@kernel_part
def _single(w: Emission, row: Ints, task: int, fetch: int) -> int:
    """Emit one operation on one unit, its operand read before and its result written after it."""
    at, flags = 0, np.uint8(0)
    if row[s.T_BLOCKS] > 0:
        at = w.blocks[row[s.T_BLOCK_AT], s.B_BLOCK]
        flags = w.flags[at]
    if flags & s.F_OPERAND:
        # The operand waits for what the operation waits for.
        busy_at = w.at.operand + at
        unit = row[s.T_OPERAND_UNIT]
        e.wait_for(w.out, e.emit_read(w, unit, row[s.T_CORE], busy_at, task, e.ACTIVATIONS))
    e.wait_for(w.out, fetch)
    end = e.emit_op(
        w.out, row[s.T_UNIT], row[s.T_BUSY_AT], row[s.T_LATENCY], task, row[s.T_CATEGORY]
    )
    if flags & s.F_SPILL:
        e.wait_for(w.out, end)
        busy_at = w.at.spill + 2 * at
        return e.emit_write(w, row[s.T_SPILL_UNIT], row[s.T_CORE], busy_at, task)
    return end


@kernel_part
def _part(total: int, is_shared: bool, core: int, cores: int) -> tuple[int, int]:
    """Return first and last, excluded, of what a core takes."""
    if is_shared:
        return core * total // cores, (core + 1) * total // cores
    return 0, total


@kernel_part
def _product(w: Emission, row: Ints, task: int, begin: int, ends: Ints) -> int:
    """Emit a core's share of a product; return how many turns, whose ends are in `ends`."""
    core, share, cores = row[s.T_CORE], row[s.T_SHARE], w.machine.cores
    chunks, column_tiles = row[s.T_CHUNKS], row[s.T_COLUMN_TILES]
    rows_outer, apart = row[s.T_ROWS_OUTER] == 1, row[s.T_NEURONS_LAST] == 0
    first_block, last_block = _part(row[s.T_BLOCKS], share == t.BLOCKS, core, cores)
    first_tile, last_tile = _part(column_tiles, share == t.TILES, core, cores)
    first_group, last_group = _part(row[s.T_GROUPS], share == t.GROUPS, core, cores)
    blocks, width = last_block - first_block, last_tile - first_tile
    passing = width * chunks - row[s.T_PINNED] if rows_outer else chunks
    kept = passing <= w.machine.weight_slots
    kept_local = not rows_outer and chunks <= w.machine.local_chunks
    ended, operand = e.NONE, e.NOWHERE
    for group in range(first_group, last_group):
        for count in range(blocks * width):
            if rows_outer:
                block, tile = first_block + count // width, first_tile + count % width
            else:
                tile, block = first_tile + count // blocks, first_block + count % blocks
            sums = w.cores[core, e.C_SUMS] % w.machine.sum_blocks + w.places.sums
            ragged = row[s.T_RAGGED] if tile == column_tiles - 1 else 0
            part_tile = (group - first_group) * width + tile - first_tile
            turn = _Turn(
                task, core, begin, group, block, tile, ragged, sums, first_block, first_tile,
                part_tile, kept, kept_local,
            )  # fmt: skip
            if tile == first_tile or not rows_outer:
                operand = _read_operand(w, row, turn)
            last = _tile(w, row, turn, operand)
            if operand >= 0:
                w.cores[core, _operand_place(w, core)] = last
                if tile == last_tile - 1 or not rows_outer:
                    w.cores[core, e.C_OPERANDS] += 1
            if apart or tile == last_tile - 1:
                first = tile if apart else first_tile
                for own in range(first, tile + 1):
                    ragged = row[s.T_RAGGED] if own == column_tiles - 1 else 0
                    ends[ended] = _finish(w, row, turn, ragged, last)
                    ended += 1
                # Sums of all these tiles were in one place.
                w.cores[core, e.C_SUMS] -= tile - first
    return ended


@kernel_part
def _read_operand(w: Emission, row: Ints, turn: _Turn) -> int:
    """Bring a block's operand into the core; return the op, or -1 if it is there."""
    at = w.blocks[row[s.T_BLOCK_AT] + turn.block, s.B_BLOCK]
    if not w.flags[at] & s.F_OPERAND:
        return -1
    e.wait_for(w.out, turn.begin)
    e.wait_for(w.out, w.cores[turn.core, _operand_place(w, turn.core)])
    unit, busy_at = row[s.T_OPERAND_UNIT], w.at.operand + at
    return e.emit_read(w, unit, turn.core, busy_at, turn.task, e.ACTIVATIONS)


@kernel_part
def _operand_place(w: Emission, core: int) -> int:
    """Return where the table of cores has the next place for a block of operands."""
    begin, taken = w.places.operands, w.cores[core, e.C_OPERANDS]
    place: int = begin + taken % w.machine.operand_blocks
    return place


@kernel_part
def _tile(w: Emission, row: Ints, turn: _Turn, operand: int) -> int:
    """Emit all chunks of a row block and column tile; return the last computation."""
    task, core = turn.task, turn.core
    chunks, preloads = row[s.T_CHUNKS], row[s.T_PRELOADS] == 1
    entry = row[s.T_BLOCK_AT] + turn.block
    where = w.blocks[entry, s.B_TILE] + turn.group * w.blocks[entry, s.B_STRIDE]
    first_piece = (turn.tile - turn.first_tile) * chunks if row[s.T_ROWS_OUTER] == 1 else 0
    last = -1
    for chunk in range(chunks):
        piece = first_piece + chunk
        fetches = w.cores[core, e.C_AHEAD]
        _bring_weights(w, row, turn, chunk, piece)
        if preloads:
            e.wait_for(w.out, w.chunks[chunk, e.H_LOADED])
        elif row[s.T_SOURCE] != t.ON_CHIP:
            e.wait_for(w.out, w.chunks[piece, e.H_FETCHED])
        e.wait_for(w.out, turn.begin)
        e.wait_for(w.out, operand)
        e.wait_for(w.out, w.cores[core, turn.sums])
        last = e.emit_op(w.out, row[s.T_UNIT], where + chunk, row[s.T_LATENCY], task, e.ARRAY)
        slot = w.chunks[piece, e.H_SLOT]
        if slot >= 0:
            w.cores[core, e.C_PLACES + slot] = last
        if w.cores[core, e.C_AHEAD] > fetches:
            w.cores[core, w.places.ahead + fetches % w.machine.prefetch_chunks] = last
        if preloads:
            # The place of the load that this computation read from.
            again = turn.kept_local and turn.block > turn.first_block
            back = chunks - chunk if again else 1
            w.arrays[row[s.T_ENGINE], _load_place(w, row[s.T_ENGINE], back)] = last
    return last


@kernel_part
def _load_place(w: Emission, engine: int, back: int) -> int:
    """Return where the table of arrays has the place of the load so many loads ago; 0: the next."""
    load = w.arrays[engine, e.E_LOADS] - back
    place: int = e.E_CHUNKS + load % w.machine.local_chunks
    return place


@kernel_part
def _bring_weights(w: Emission, row: Ints, turn: _Turn, chunk: int, piece: int) -> None:
    """Fetch a chunk's weights unless they are there, and load them into the array."""
    on_chip = row[s.T_SOURCE] == t.ON_CHIP
    first = turn.block == turn.first_block
    if on_chip:
        w.chunks[piece, e.H_SLOT] = -1
    elif first or not turn.kept:
        _fetch(w, row, turn, chunk, piece)
    if row[s.T_PRELOADS] == 1 and (first or not turn.kept_local):
        e.wait_for(w.out, turn.begin if on_chip else w.chunks[piece, e.H_FETCHED])
        engine = row[s.T_ENGINE]
        e.wait_for(w.out, w.arrays[engine, _load_place(w, engine, e.NONE)])
        unit, latency = w.cores[turn.core, e.C_PORT], w.units.port_latency
        load = e.emit_op(w.out, unit, row[s.T_LOAD_AT] + chunk, latency, turn.task, e.LOAD)
        w.chunks[chunk, e.H_LOADED] = load
        w.arrays[engine, e.E_LOADS] += 1


@kernel_part
def _wait_for_use(w: Emission, core: int, counted: int) -> None:
    """Make a fetch wait until enough chunks that were fetched before it have been used."""
    depth, taken = w.machine.prefetch_chunks, w.cores[core, e.C_AHEAD]
    if depth > 0:
        e.wait_for(w.out, w.cores[core, w.places.ahead + taken % depth])
        w.cores[core, e.C_AHEAD] = taken + counted


@kernel_part
def _fetch(w: Emission, row: Ints, turn: _Turn, chunk: int, piece: int) -> None:
    """Bring a chunk's weights from DRAM or the global buffer into the weight buffer."""
    task, core, cores, chunks = turn.task, turn.core, w.cores, w.chunks
    source, busy_at = row[s.T_SOURCE], row[s.T_FETCH_AT] + 2 * chunk + turn.ragged
    home, number = -1, turn.part_tile * row[s.T_CHUNKS] + chunk
    filled = row[s.T_FILL_CHUNKS]
    if filled > 0 and number % filled > 0:
        chunks[piece, e.H_FETCHED] = cores[core, e.C_FILL]
        chunks[piece, e.H_SLOT] = cores[core, e.C_FILL_SLOT]
        return
    pinned = number < row[s.T_PINNED]
    if (pinned or source == t.FROM_GLOBAL) and row[s.T_PRESENT] == 0:
        tile = turn.group * row[s.T_COLUMN_TILES] + turn.tile
        kept = row[s.T_KEPT_AT] + tile * row[s.T_CHUNKS] + chunk
        if w.kept[kept] < 0:
            _wait_for_use(w, core, e.ONE if pinned else e.NONE)
            route = u.ROUTES_A_CORE * core + u.FROM_DRAM
            if not pinned:
                route = len(w.routes) - 1  # to the global buffer
            dram = w.units.dram
            w.kept[kept] = e.emit_transfer(w, dram, route, busy_at, task, e.WEIGHTS)
        home = w.kept[kept]
    if pinned:
        chunks[piece, e.H_FETCHED], chunks[piece, e.H_SLOT] = home, -1
        return
    slot = cores[core, e.C_SLOTS] % w.machine.weight_slots
    cores[core, e.C_SLOTS] += 1
    _wait_for_use(w, core, e.ONE)
    e.wait_for(w.out, cores[core, e.C_PLACES + slot])
    e.wait_for(w.out, home)
    if row[s.T_FETCH_WAITS] == 1:
        e.wait_for(w.out, turn.begin)
    if filled > 0:
        e.wait_for(w.out, cores[core, e.C_FILL])  # parts are filled in the order of their use
    unit = w.units.dram
    if source == t.FROM_GLOBAL:
        unit = w.units.global_buffer
        busy_at = row[s.T_GLOBAL_AT] + 2 * chunk + turn.ragged
    fetch = e.emit_read(w, unit, core, busy_at, task, e.WEIGHTS)
    chunks[piece, e.H_FETCHED] = cores[core, e.C_FILL] = fetch
    chunks[piece, e.H_SLOT] = cores[core, e.C_FILL_SLOT] = slot


@kernel_part
def _finish(w: Emission, row: Ints, turn: _Turn, ragged: int, last: int) -> int:
    """Emit membranes in, element-wise work, membranes and results out; return the last op."""
    task, core = turn.task, turn.core
    at = w.blocks[row[s.T_BLOCK_AT] + turn.block, s.B_BLOCK]
    flags = w.flags[at]
    entry = 2 * at + ragged
    end = last
    if flags & s.F_VECTOR:
        state = -1
        if flags & s.F_STATE_READ:
            e.wait_for(w.out, w.cores[core, turn.sums])
            busy_at = w.at.state + entry
            state = e.emit_read(w, row[s.T_STATE_UNIT], core, busy_at, task, e.ACTIVATIONS)
        e.wait_for(w.out, last)
        e.wait_for(w.out, state)
        latency = w.units.vector_latency + row[s.T_RESTART]
        busy_at = w.at.vector + entry
        end = e.emit_op(w.out, w.cores[core, e.C_VECTOR], busy_at, latency, task, e.VECTOR)
    w.cores[core, turn.sums] = end
    w.cores[core, e.C_SUMS] += 1
    if flags & s.F_STATE_WRITE:
        e.wait_for(w.out, end)
        e.emit_write(w, row[s.T_STATE_UNIT], core, w.at.state + entry, task)
    if flags & (s.F_SPILL_RAGGED if ragged else s.F_SPILL):
        e.wait_for(w.out, end)
        return e.emit_write(w, row[s.T_SPILL_UNIT], core, w.at.spill + entry, task)
    return end
