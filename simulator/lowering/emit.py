"""Writes a program: the tasks of one image, as columns of operations and their predecessors.

A task is a layer at one timestep (or at all of them), a halting decision or a mask scan, on one
core. A matrix task is a loop over groups, row blocks and column tiles; each (block, tile) is, for
each chunk of inputs, a fetch of weights, their load through the weight port, and the computation,
then the element-wise work on its results. Buffers are edges: whoever needs a place waits for
whoever had it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from numba import njit

from simulator.lowering.tables import (
    ARRAY_LATENCY,
    BLOCKS,
    DRAM,
    DRAM_ACTIVATIONS,
    DRAM_WEIGHTS,
    FROM_DRAM,
    FURTHER_CORES,
    GLOBAL_BUFFER,
    GLOBAL_TRAFFIC,
    GROUPS,
    ON_CHIP,
    PE_ARRAY,
    PORT_LOAD,
    RESIDENT,
    SINGLE,
    TILES,
    VECTOR_UNIT,
    VECTOR_WORK,
    WEIGHT_PORT,
    Columns,
    Flat,
    Ints,
    Machine,
    Tasks,
)
from simulator.program import JOIN

Function = TypeVar("Function", bound=Callable[..., Any])


def _kernel(function: Function) -> Function:
    """Compiles without Numba's counting of references; so no kernel here allocates anything.

    Each call would count those of all arrays behind `Writer`: ten times the work itself.
    """
    compiled: Function = njit(cache=True, nogil=True, _nrt=False)(function)
    return compiled


class Places(NamedTuple):
    """Who used each place last, as an op, or -1.

    `slots`, `local`, `sums`, `operands` (core, place): chunks in the weight buffer and in the
    array, blocks of partial sums and of operands; `taken` (core, 4): how often a place of each was
    taken; `kept`: the fetch of each chunk that stays; of the running task `fetched`, `slot_of`
    (tile, chunk), `loaded` (chunk) and `ends` (turn); `end_of`: of each task the op that ends it;
    `cursor`: the next op and edge.
    """

    slots: Ints
    local: Ints
    sums: Ints
    operands: Ints
    taken: Ints
    kept: Ints
    fetched: Ints
    slot_of: Ints
    loaded: Ints
    ends: Ints
    end_of: Ints
    cursor: Ints


_SLOTS, _LOCAL, _SUMS, _OPERANDS = range(4)


class Writer(NamedTuple):
    """All that is read and written while a program is emitted."""

    machine: Machine
    tasks: Tasks
    flat: Flat
    columns: Columns
    places: Places


class Loops(NamedTuple):
    """A core's part of a task's loops.

    `begin`: the op that all of it waits for; `first`, `last`: of (block, tile, group), the last
    excluded; `kept`: the weights of a tile (of all tiles, if rows are outer) stay in the weight
    buffer from block to block; `kept_local`: in the array.
    """

    task: int
    core: int
    begin: int
    rows_outer: int
    first: tuple[int, int, int]
    last: tuple[int, int, int]
    kept: bool
    kept_local: bool


class Turn(NamedTuple):
    """One (group, row block, column tile): `size`: its columns; `sums`: its place among sums."""

    group: int
    block: int
    tile: int
    size: int
    ragged: int
    sums: int


def emit(machine: Machine, tasks: Tasks, flat: Flat, kept_chunks: int) -> Columns:
    """The operations of all tasks, in an order in which each follows its predecessors."""
    tiles = tasks.groups * tasks.blocks * -(-tasks.outputs // machine.columns)
    # Shares are told apart in the loops; here each task is taken for the whole of its step.
    pieces = int((tiles * tasks.chunks).sum())
    ops = 4 * pieces + 5 * int(tiles.sum()) + 3 * len(tasks.kind)
    edges = 10 * pieces + 10 * int(tiles.sum()) + 2 * len(tasks.dep) + 3 * len(tasks.kind)
    columns = Columns(
        unit=np.empty(ops, np.int32),
        busy=np.zeros(ops, np.int64),
        latency=np.zeros(ops, np.int64),
        task=np.empty(ops, np.int32),
        category=np.zeros(ops, np.int32),
        pred_ptr=np.zeros(ops + 1, np.int64),
        pred=np.empty(edges, np.int32),
    )
    widest = int((tasks.chunks * -(-tasks.outputs // machine.columns)).max(initial=1))
    places = _places(machine, widest, int(tiles.max(initial=1)), kept_chunks, len(tasks.kind))
    _emit(Writer(machine, tasks, flat, columns, places))
    used, last = places.cursor.tolist()
    return Columns(
        unit=columns.unit[:used],
        busy=columns.busy[:used],
        latency=columns.latency[:used],
        task=columns.task[:used],
        category=columns.category[:used],
        pred_ptr=columns.pred_ptr[: used + 1],
        pred=columns.pred[:last],
    )


def _places(machine: Machine, widest: int, turns: int, kept: int, tasks: int) -> Places:
    def nobody(*shape: int) -> npt.NDArray[np.int64]:
        return np.full(shape, -1, np.int64)

    return Places(
        slots=nobody(machine.cores, machine.weight_slots),
        local=nobody(machine.cores, machine.local_chunks),
        sums=nobody(machine.cores, machine.accumulator_blocks),
        operands=nobody(machine.cores, machine.operand_blocks),
        taken=np.zeros((machine.cores, 4), np.int64),
        kept=nobody(kept),
        fetched=nobody(widest),
        slot_of=nobody(widest),
        loaded=nobody(widest),
        ends=nobody(turns),
        end_of=nobody(tasks),
        cursor=np.zeros(2, np.int64),
    )


@_kernel
def _emit(w: Writer) -> None:
    """Task after task; the op that ends each is what later tasks wait for."""
    tasks, ends = w.tasks, w.places.ends
    end_of = w.places.end_of
    for task in range(len(tasks.kind)):
        single = tasks.kind[task] == SINGLE and tasks.busy[task] > 0
        fetch = -1
        if single and tasks.source[task] == FROM_DRAM:
            # Weights of a single operation: fetched before it, whenever DRAM is free.
            busy = w.flat.fetch_busy[tasks.chunk_at[task], 0]
            fetch = _add(w, DRAM, busy, w.machine.dram_latency, task, DRAM_WEIGHTS)
        for dep in range(tasks.dep_ptr[task], tasks.dep_ptr[task + 1]):
            _wait(w, end_of[tasks.dep[dep]])
        if single:
            end_of[task] = _single(w, task, fetch)
            continue
        begin = _add(w, JOIN, 0, 0, task, 0)
        turns = 0 if tasks.kind[task] == SINGLE else _product(w, task, begin)
        for turn in range(turns):
            _wait(w, ends[turn])
        end_of[task] = _add(w, JOIN, 0, 0, task, 0) if turns > 0 else begin


@_kernel
def _single(w: Writer, task: int, fetch: int) -> int:
    """One operation on one unit, its operand read before and its result written after it."""
    tasks, at = w.tasks, w.tasks.block_at[task]
    has_block = tasks.blocks[task] > 0
    if has_block and w.flat.operand_busy[at] > 0:
        # The operand waits for what the operation waits for.
        busy = w.flat.operand_busy[at]
        _wait(w, _move(w, tasks.operand_unit[task], busy, task))
    _wait(w, fetch)
    unit = _unit(tasks.unit[task], tasks.core[task])
    end = _add(w, unit, tasks.busy[task], tasks.latency[task], task, tasks.category[task])
    if has_block and w.flat.spill_busy[at, 0] > 0:
        _wait(w, end)
        return _move(w, tasks.spill_unit[task], w.flat.spill_busy[at, 0], task)
    return end


@_kernel
def _wait(w: Writer, op: int) -> None:
    """The op written next waits for this one, if there is one."""
    if op >= 0:
        w.columns.pred[w.places.cursor[1]] = op
        w.places.cursor[1] += 1


@_kernel
def _add(w: Writer, unit: int, busy: int, latency: int, task: int, category: int) -> int:
    """Writes an op behind the predecessors that were written for it; returns its number."""
    op: int = w.places.cursor[0]
    w.columns.unit[op] = unit
    w.columns.busy[op] = busy
    w.columns.latency[op] = latency
    w.columns.task[op] = task
    w.columns.category[op] = category
    w.columns.pred_ptr[op + 1] = w.places.cursor[1]
    w.places.cursor[0] = op + 1
    return op


@_kernel
def _unit(kind: int, core: int) -> int:
    """The unit of this kind that a core uses: its own, or the one that all share."""
    if core == 0 or kind not in (PE_ARRAY, WEIGHT_PORT, VECTOR_UNIT):
        return kind
    place = 0 if kind == PE_ARRAY else 1 if kind == WEIGHT_PORT else 2
    return FURTHER_CORES + 3 * (core - 1) + place


@_kernel
def _part(whole: int, is_shared: bool, core: int, cores: int) -> tuple[int, int]:
    """First and last, excluded, of what a core takes."""
    if is_shared:
        return core * whole // cores, (core + 1) * whole // cores
    return 0, whole


@_kernel
def _loops(w: Writer, task: int, begin: int) -> Loops:
    """The core's part of the loops: an equal share of blocks, tiles or groups, or all of them."""
    tasks, core = w.tasks, w.tasks.core[task]
    tiles = (tasks.outputs[task] + w.machine.columns - 1) // w.machine.columns
    share, cores = tasks.share[task], w.machine.cores
    blocks = _part(tasks.blocks[task], share == BLOCKS, core, cores)
    tiles = _part(tiles, share == TILES, core, cores)
    groups = _part(tasks.groups[task], share == GROUPS, core, cores)
    rows_outer, chunks = tasks.rows_outer[task], tasks.chunks[task]
    width = tiles[1] - tiles[0]
    return Loops(
        task=task,
        core=core,
        begin=begin,
        rows_outer=rows_outer,
        first=(blocks[0], tiles[0], groups[0]),
        last=(blocks[1], tiles[1], groups[1]),
        kept=(width * chunks if rows_outer else chunks) <= w.machine.weight_slots,
        kept_local=not rows_outer and chunks <= w.machine.local_chunks,
    )


@_kernel
def _product(w: Writer, task: int, begin: int) -> int:
    """A core's share of a matrix product; returns how many turns, whose ends are in `ends`."""
    loops = _loops(w, task, begin)
    columns, outputs = w.machine.columns, w.tasks.outputs[task]
    first_block, first_tile, first_group = loops.first
    last_block, last_tile, last_group = loops.last
    blocks, width = last_block - first_block, last_tile - first_tile
    ended, operand = 0, -1
    for group in range(first_group, last_group):
        for count in range(blocks * width):
            if loops.rows_outer:
                block, tile = first_block + count // width, first_tile + count % width
            else:
                tile, block = first_tile + count // blocks, first_block + count % blocks
            if tile == first_tile or not loops.rows_outer:
                operand = _read_operand(w, loops, block)
            ragged = 1 if (tile + 1) * columns > outputs else 0
            size = outputs - tile * columns if ragged else columns
            sums = w.places.taken[loops.core, _SUMS] % w.machine.accumulator_blocks
            turn = Turn(group, block, tile, size, ragged, sums)
            last = _tile(w, loops, turn, operand)
            w.places.ends[ended] = _finish(w, loops, turn, last)
            ended += 1
    return ended


@_kernel
def _read_operand(w: Writer, loops: Loops, block: int) -> int:
    """Brings a block's operand into the core; returns the op, or -1 if it is there."""
    busy = w.flat.operand_busy[w.tasks.block_at[loops.task] + block]
    if busy == 0:
        return -1
    _wait(w, loops.begin)
    place = w.places.taken[loops.core, _OPERANDS] % w.machine.operand_blocks
    _wait(w, w.places.operands[loops.core, place])
    return _move(w, w.tasks.operand_unit[loops.task], busy, loops.task)


@_kernel
def _move(w: Writer, unit: int, busy: int, task: int) -> int:
    """Activations on their way between a core and DRAM or the global buffer."""
    if unit == DRAM:
        return _add(w, DRAM, busy, w.machine.dram_latency, task, DRAM_ACTIVATIONS)
    return _add(w, GLOBAL_BUFFER, busy, w.machine.global_latency, task, GLOBAL_TRAFFIC)


@_kernel
def _tile(w: Writer, loops: Loops, turn: Turn, operand: int) -> int:
    """All chunks of a row block and column tile; returns the last computation."""
    task, core, tasks, p = loops.task, loops.core, w.tasks, w.places
    chunks = tasks.chunks[task]
    where = tasks.cycles_at[task] + (turn.group * tasks.blocks[task] + turn.block) * chunks
    first_piece = (turn.tile - loops.first[1]) * chunks if loops.rows_outer else 0
    last = -1
    for chunk in range(chunks):
        piece = first_piece + chunk
        _bring_weights(w, loops, turn, chunk, piece)
        if w.machine.preloads == 1:
            _wait(w, p.loaded[chunk])
        elif tasks.source[task] != ON_CHIP:
            _wait(w, p.fetched[piece])
        _wait(w, loops.begin)
        _wait(w, operand)
        _wait(w, p.sums[core, turn.sums])
        unit, busy = _unit(PE_ARRAY, core), w.flat.cycles[where + chunk]
        last = _add(w, unit, busy, w.machine.array_latency, task, ARRAY_LATENCY)
        if p.slot_of[piece] >= 0:
            p.slots[core, p.slot_of[piece]] = last
        if w.machine.preloads == 1:
            # The place of the load that this computation read from.
            again = loops.kept_local and turn.block > loops.first[0]
            back = chunks - chunk if again else 1
            p.local[core, (p.taken[core, _LOCAL] - back) % w.machine.local_chunks] = last
    if operand >= 0:
        p.operands[core, p.taken[core, _OPERANDS] % w.machine.operand_blocks] = last
        if turn.tile == loops.last[1] - 1 or not loops.rows_outer:
            p.taken[core, _OPERANDS] += 1
    return last


@_kernel
def _bring_weights(w: Writer, loops: Loops, turn: Turn, chunk: int, piece: int) -> None:
    """Fetches a chunk's weights unless they are there, and loads them into the array."""
    task, core, p = loops.task, loops.core, w.places
    on_chip = w.tasks.source[task] == ON_CHIP
    first = turn.block == loops.first[0]
    if on_chip:
        p.slot_of[piece] = -1
    elif first or not loops.kept:
        _fetch(w, loops, turn, chunk, piece)
    if w.machine.preloads == 1 and (first or not loops.kept_local):
        _wait(w, loops.begin if on_chip else p.fetched[piece])
        place = p.taken[core, _LOCAL] % w.machine.local_chunks
        _wait(w, p.local[core, place])
        inputs = w.flat.inputs[w.tasks.chunk_at[task] + chunk]
        # Whole vectors of weights pass the port, also those of a ragged tile.
        bits = inputs * w.machine.columns * w.tasks.weight_bits[task]
        busy = (bits + w.machine.port_bits - 1) // w.machine.port_bits
        unit = _unit(WEIGHT_PORT, core)
        p.loaded[chunk] = _add(w, unit, busy, w.machine.port_latency, task, PORT_LOAD)
        p.taken[core, _LOCAL] += 1


@_kernel
def _fetch(w: Writer, loops: Loops, turn: Turn, chunk: int, piece: int) -> None:
    """Brings a chunk's weights from DRAM or the global buffer into the weight buffer."""
    task, core, p = loops.task, loops.core, w.places
    source, at = w.tasks.source[task], w.tasks.chunk_at[task] + chunk
    busy, latency = w.flat.fetch_busy[at, turn.ragged], w.machine.dram_latency
    home = -1
    if source != FROM_DRAM:
        kept = w.tasks.kept_at[task] + turn.tile * w.tasks.chunks[task] + chunk
        if p.kept[kept] < 0:
            p.kept[kept] = _add(w, DRAM, busy, latency, task, DRAM_WEIGHTS)
        home = p.kept[kept]
    if source == RESIDENT:
        p.fetched[piece], p.slot_of[piece] = home, -1
        return
    slot = p.taken[core, _SLOTS] % w.machine.weight_slots
    p.taken[core, _SLOTS] += 1
    _wait(w, p.slots[core, slot])
    _wait(w, home)
    if source == FROM_DRAM:
        p.fetched[piece] = _add(w, DRAM, busy, latency, task, DRAM_WEIGHTS)
    else:
        busy, latency = w.flat.global_busy[at, turn.ragged], w.machine.global_latency
        p.fetched[piece] = _add(w, GLOBAL_BUFFER, busy, latency, task, GLOBAL_TRAFFIC)
    p.slot_of[piece] = slot


@_kernel
def _finish(w: Writer, loops: Loops, turn: Turn, last: int) -> int:
    """Membranes in, element-wise work, membranes and results out; returns the op that ends it."""
    task, core, p, flat = loops.task, loops.core, w.places, w.flat
    at = w.tasks.block_at[task] + turn.block
    moved = flat.state_busy[at, turn.ragged]
    end = last
    if flat.vector[at] > 0:
        state = -1
        if flat.state_reads[at] == 1:
            _wait(w, p.sums[core, turn.sums])
            state = _move(w, w.tasks.state_unit[task], moved, task)
        _wait(w, last)
        _wait(w, state)
        # Sums are drained a row's vector after the other: what is left of its lanes stays idle.
        lanes = w.machine.vector_lanes
        at_once = min(lanes, w.machine.columns)
        size = (turn.size + at_once - 1) // at_once * at_once
        busy = (flat.vector[at] * size + lanes - 1) // lanes
        end = _add(w, _unit(VECTOR_UNIT, core), busy, w.machine.vector_latency, task, VECTOR_WORK)
    p.sums[core, turn.sums] = end
    p.taken[core, _SUMS] += 1
    if flat.state_writes[at] == 1:
        _wait(w, end)
        _move(w, w.tasks.state_unit[task], moved, task)
    spilled = flat.spill_busy[at, turn.ragged]
    if spilled > 0:
        _wait(w, end)
        return _move(w, w.tasks.spill_unit[task], spilled, task)
    return end
