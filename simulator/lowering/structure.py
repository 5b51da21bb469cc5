"""Writes the structure of a program: operations, their units and predecessors, without cycles.

A task is a layer at one timestep (or at all of them), a halting decision or a mask scan, on one
core. A matrix task is a loop over groups, row blocks and column tiles; each (block, tile) is, for
each chunk of inputs, a fetch of weights, their load through the weight port, and the computation,
then the element-wise work on its results. Buffers are edges: an op that needs a place waits for the
op that had it before. An op says where its busy cycles are found in the busy row of an image, so
that images with equal loops share a structure.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Bools, Bytes, Int32s, Ints
from simulator.config.kernels import kernel, kernel_part
from simulator.lowering import tables as t
from simulator.lowering.units import FROM_DRAM as ROUTE_FROM_DRAM
from simulator.lowering.units import ROUTES_A_CORE, RouteTable
from simulator.program import JOIN

(
    T_KIND,
    T_CORE,
    T_FIRST_DEP,
    T_LAST_DEP,
    T_GROUPS,
    T_BLOCKS,
    T_CHUNKS,
    T_COLUMN_TILES,
    T_RAGGED,
    T_SHARE,
    T_SOURCE,
    T_KEPT_AT,
    T_PINNED,
    T_PRESENT,
    T_ROWS_OUTER,
    T_OPERAND_UNIT,
    T_SPILL_UNIT,
    T_STATE_UNIT,
    T_BLOCK_AT,
    T_FETCH_AT,
    T_GLOBAL_AT,
    T_LOAD_AT,
    T_UNIT,
    T_BUSY_AT,
    T_LATENCY,
    T_CATEGORY,
    T_RUNS,
    T_PRELOADS,
    T_ENGINE,
    T_FILL_CHUNKS,
    T_FETCH_WAITS,
    T_NEURONS_LAST,
    T_RESTART,
    TASK_COLUMNS,
) = range(34)
"""Columns of the table of tasks.

T_KIND: MATRIX or SINGLE. T_FIRST_DEP, T_LAST_DEP: tasks it waits for, in `dep`. T_GROUPS, T_BLOCKS,
T_CHUNKS, T_COLUMN_TILES: loops of the step. T_RAGGED: its last column tile is not full. T_SHARE:
what the part of a core is cut from. T_SOURCE: of the weights. T_KEPT_AT: place of the first chunk
of the step among those that are kept. T_PINNED: chunks of a core's part, from its first column tile
of its first group on, that stay in its weight buffer. T_PRESENT: what stays is there from an image
before. T_ROWS_OUTER: row blocks are the outer loop. T_..._UNIT: where operands, results and
membranes are that are not in the core. T_FETCH_AT, T_GLOBAL_AT, T_LOAD_AT, T_BUSY_AT: places in the
busy row. T_BLOCK_AT: first block of the step in the list of blocks. T_UNIT, T_LATENCY: of a single
operation, or of the array. T_CATEGORY, T_RUNS: of a single operation; it is left out where it does
not run. T_PRELOADS: weights are loaded into the array first. T_ENGINE: number of the array in the
machine. T_FILL_CHUNKS: chunks that a fetch brings, 0 = one. T_FETCH_WAITS: fetches wait for what
the task waits for. T_NEURONS_LAST: element-wise work of all tiles comes after the last of them.
T_RESTART: cycles from the end of its element-wise work to what waits for it, beyond their latency.
"""

(
    M_CORES,
    M_WEIGHT_SLOTS,
    M_PREFETCH,
    M_DEMAND_FIRST,
    M_LOCAL_CHUNKS,
    M_SUM_BLOCKS,
    M_OPERAND_BLOCKS,
    M_PORT_LATENCY,
    M_DRAM_LATENCY,
    M_GLOBAL_LATENCY,
    M_VECTOR_LATENCY,
    M_DRAM,
    M_GLOBAL,
    M_VECTOR_AT,
    M_OPERAND_AT,
    M_SPILL_AT,
    M_STATE_AT,
    M_LINKS_AT,
    MACHINE_COLUMNS,
) = range(19)
"""Entries of the machine's row: loops and places, latencies, units that all cores share, and where
the sections of the busy row begin that hold an entry (or two: full and ragged column tiles) a
block: element-wise work, operands, results, membranes. M_LINKS_AT: how much further on in the row
a transfer finds its cycles on a link."""

F_VECTOR, F_OPERAND, F_SPILL, F_SPILL_RAGGED, F_STATE_READ, F_STATE_WRITE = (
    1 << bit for bit in range(6)
)
"""Flags of a block: what it does besides the product."""

B_BLOCK, B_TILE, B_STRIDE, BLOCK_COLUMNS = range(4)
"""Columns of the list of blocks: a block's number, its first tile in the busy row (of the first
group), and tiles from group to group."""

O_UNIT, O_LATENCY, O_YIELDS, O_TASK, O_CATEGORY, O_BUSY_AT, O_LAST_EDGE, OP_COLUMNS = range(8)
"""Columns of the table of operations that is written; O_LAST_EDGE: where its predecessors end."""


def _typed(value: int) -> int:
    return np.int64(value)  # type: ignore[return-value]


# Numba would compile what takes a plain number of the source again for each number.
_NONE, _ONE, _NOWHERE, _JOIN = _typed(0), _typed(1), _typed(-1), _typed(JOIN)
_WEIGHTS, _ACTIVATIONS = _typed(t.DRAM_WEIGHTS), _typed(t.DRAM_ACTIVATIONS)
_ARRAY, _LINK = _typed(t.ARRAY_LATENCY), _typed(t.INTERCONNECT)
_LOAD, _VECTOR = _typed(t.PORT_LOAD), _typed(t.VECTOR_WORK)


class Tasks(NamedTuple):
    """What the emission reads.

    machine: int64 (MACHINE_COLUMNS,). table: int64 (tasks, TASK_COLUMNS). dep: int64, tasks.
    flags: uint8 (blocks,), of each block. blocks: int64 (blocks, BLOCK_COLUMNS), list that tasks
    run through. core_units: int64 (cores, 2), weight port and vector unit of each core.
    kept_chunks: chunks of weights that stay. routes: links that transfers take.
    """

    machine: Ints
    table: Ints
    dep: Ints
    flags: Bytes
    blocks: Ints
    core_units: Ints
    kept_chunks: int
    routes: RouteTable

    @property
    def key(self) -> tuple[bytes, ...]:
        """What a structure follows from."""
        columns = (*self[:6], np.int64(self.kept_chunks), *self.routes[:3])
        return tuple(each.tobytes() for each in columns)


class Columns(NamedTuple):
    """The structure: ops with unit, latency, rank, task, category and place in the busy row."""

    unit: Int32s
    latency: Ints
    yields: Bools
    task: Int32s
    category: Int32s
    busy_at: Int32s
    pred_ptr: Ints
    pred: Int32s


C_PORT, C_VECTOR, C_FILL, C_FILL_SLOT, C_SLOTS, C_SUMS, C_OPERANDS, C_AHEAD, C_PLACES = range(9)
"""Columns of the table of cores: weight port and vector unit; the last fetch and the place that it
filled; how often a place was taken for a chunk in the weight buffer, a block of partial sums, one
of operands, a first use of a chunk; then who used each of these places last, as an op, or -1. Of
the first uses the oldest makes room for the next fetch."""

M_SUMS_AT, M_OPERANDS_AT, M_AHEAD_AT = range(MACHINE_COLUMNS, MACHINE_COLUMNS + 3)
"""Further entries of the machine's row: where those places begin in the table of cores."""

E_LOADS, E_CHUNKS = range(2)
"""Columns of the table of arrays: how often a chunk was loaded; the last users of its places."""

H_FETCHED, H_SLOT, H_LOADED, CHUNK_COLUMNS = range(4)
"""Columns of the table of the running task's chunks: fetch, place in the weight buffer, load."""


class _Output(NamedTuple):
    """The operations, the predecessors, and where the next of each is written."""

    ops: Ints
    pred: Ints
    cursor: Ints


class _Writer(NamedTuple):
    """All that is read and written while a structure is emitted.

    routes: int64 (routes, 3), first and last link, excluded, and latency. kept: the fetch of each
    chunk that stays. ends: of the running task's turns. end_of: op that ends each task.
    """

    machine: Ints
    table: Ints
    dep: Ints
    flags: Bytes
    blocks: Ints
    routes: Ints
    links: Ints
    cores: Ints
    arrays: Ints
    chunks: Ints
    kept: Ints
    ends: Ints
    end_of: Ints
    out: _Output


class _Turn(NamedTuple):
    """One (group, row block, column tile) of a core's part of a task; `sums`: its place.

    part_tile: number of the (group, column tile) in the core's part.
    """

    task: int
    core: int
    begin: int
    group: int
    block: int
    tile: int
    ragged: int
    sums: int
    first_block: int
    first_tile: int
    part_tile: int
    kept: bool
    kept_local: bool


def emit(tasks: Tasks) -> Columns:
    """Return the operations of all tasks, in an order in which each follows its predecessors."""
    table = tasks.table
    column_tiles = table[:, T_COLUMN_TILES]
    turns = table[:, T_GROUPS] * table[:, T_BLOCKS] * column_tiles
    # The loops know shares apart; here each task is taken for the full step.
    pieces = int((turns * table[:, T_CHUNKS]).sum())
    count, all_turns = len(table), int(turns.sum())
    ops = 4 * pieces + 5 * all_turns + 3 * count
    edges = 12 * pieces + 10 * all_turns + 2 * len(tasks.dep) + 3 * count
    routes = tasks.routes
    if routes.longest:
        # A transfer over links is an op a link and a join; all wait for what the memory does.
        transfers = 2 * pieces + 4 * all_turns + 3 * count
        ops += transfers * (routes.longest + 1)
        edges += transfers * (4 * routes.longest + 1) + len(tasks.dep) * routes.longest
    widest = int((table[:, T_CHUNKS] * column_tiles).max(initial=1))
    engines = int(table[:, T_ENGINE].max(initial=0)) + 1
    out = _Output(
        np.empty((ops, OP_COLUMNS), np.int64), np.empty(edges, np.int64), np.zeros(2, np.int64)
    )
    _emit(_writer(tasks, engines, widest, int(turns.max(initial=1)), out))
    used, last = out.cursor.tolist()
    written = out.ops[:used].T
    return Columns(
        unit=written[O_UNIT].astype(np.int32),
        latency=written[O_LATENCY].copy(),
        yields=written[O_YIELDS].astype(np.bool_),
        task=written[O_TASK].astype(np.int32),
        category=written[O_CATEGORY].astype(np.int32),
        busy_at=written[O_BUSY_AT].astype(np.int32),
        pred_ptr=np.concatenate([np.zeros(1, np.int64), written[O_LAST_EDGE]]),
        pred=out.pred[:last].astype(np.int32),
    )


def _writer(tasks: Tasks, arrays: int, widest: int, turns: int, out: _Output) -> _Writer:
    """Return what the emission starts from: no place was used."""
    machine, routes = tasks.machine, tasks.routes
    depths = [M_WEIGHT_SLOTS, M_SUM_BLOCKS, M_OPERAND_BLOCKS, M_PREFETCH]
    places = C_PLACES + np.concatenate([[0], np.cumsum(machine[depths])])
    cores = np.full((int(machine[M_CORES]), int(places[-1])), -1, np.int64)
    cores[:, [C_PORT, C_VECTOR]] = tasks.core_units
    cores[:, C_SLOTS : C_AHEAD + 1] = 0
    of_arrays = np.full((arrays, E_CHUNKS + int(machine[M_LOCAL_CHUNKS])), -1, np.int64)
    of_arrays[:, E_LOADS] = 0
    return _Writer(
        machine=np.concatenate([machine, places[1:4]]),
        table=tasks.table,
        dep=tasks.dep,
        flags=tasks.flags,
        blocks=tasks.blocks,
        routes=np.stack([routes.ptr[:-1], routes.ptr[1:], routes.latency], axis=1),
        links=routes.links,
        cores=cores,
        arrays=of_arrays,
        chunks=np.full((widest, CHUNK_COLUMNS), -1, np.int64),
        kept=np.full(tasks.kept_chunks, -1, np.int64),
        ends=np.full(turns, -1, np.int64),
        end_of=np.full(len(tasks.table), -1, np.int64),
        out=out,
    )


@kernel
def _emit(w: _Writer) -> None:
    """Emit task after task; the op that ends each is what later tasks wait for."""
    out, end_of = w.out, w.end_of
    for task in range(w.table.shape[0]):
        row = w.table[task]
        single = row[T_KIND] != t.MATRIX
        runs = single and row[T_RUNS] == 1
        fetch = -1
        if runs and row[T_SOURCE] == t.FROM_DRAM:
            # Weights of a single operation: fetched before it, whenever DRAM is free.
            dram = w.machine[M_DRAM]
            fetch = _read(w, dram, row[T_CORE], row[T_FETCH_AT], task, _WEIGHTS)
        for dep in range(row[T_FIRST_DEP], row[T_LAST_DEP]):
            _wait(out, end_of[w.dep[dep]])
        if runs:
            end_of[task] = _single(w, row, task, fetch)
            continue
        begin = _add(out, _JOIN, _NOWHERE, _NONE, task, _NONE)
        turns = 0 if single else _product(w, row, task, begin)
        for turn in range(turns):
            _wait(out, w.ends[turn])
        end_of[task] = _add(out, _JOIN, _NOWHERE, _NONE, task, _NONE) if turns > 0 else begin


@kernel_part
def _single(w: _Writer, row: Ints, task: int, fetch: int) -> int:
    """Emit one operation on one unit, its operand read before and its result written after it."""
    at, flags = 0, np.uint8(0)
    if row[T_BLOCKS] > 0:
        at = w.blocks[row[T_BLOCK_AT], B_BLOCK]
        flags = w.flags[at]
    if flags & F_OPERAND:
        # The operand waits for what the operation waits for.
        busy_at = w.machine[M_OPERAND_AT] + at
        unit = row[T_OPERAND_UNIT]
        _wait(w.out, _read(w, unit, row[T_CORE], busy_at, task, _ACTIVATIONS))
    _wait(w.out, fetch)
    end = _add(w.out, row[T_UNIT], row[T_BUSY_AT], row[T_LATENCY], task, row[T_CATEGORY])
    if flags & F_SPILL:
        _wait(w.out, end)
        busy_at = w.machine[M_SPILL_AT] + 2 * at
        return _write(w, row[T_SPILL_UNIT], row[T_CORE], busy_at, task)
    return end


@kernel_part
def _wait(out: _Output, op: int) -> None:
    """Make the op written next wait for this one, if there is one."""
    if op >= 0:
        edge = out.cursor[1]
        out.pred[edge] = op
        out.cursor[1] = edge + 1


@kernel_part
def _add(out: _Output, unit: int, busy_at: int, latency: int, task: int, category: int) -> int:
    """Write an op behind the predecessors that were written for it; return its number."""
    op: int = out.cursor[0]
    out.ops[op, O_UNIT] = unit
    out.ops[op, O_BUSY_AT] = busy_at
    out.ops[op, O_LATENCY] = latency
    out.ops[op, O_YIELDS] = 0
    out.ops[op, O_TASK] = task
    out.ops[op, O_CATEGORY] = category
    out.ops[op, O_LAST_EDGE] = out.cursor[1]
    out.cursor[0] = op + 1
    return op


@kernel_part
def _read(w: _Writer, unit: int, core: int, busy_at: int, task: int, category: int) -> int:
    """Emit a transfer from DRAM or the global buffer to a core."""
    route = ROUTES_A_CORE * core + (unit != w.machine[M_DRAM])
    return _move(w.machine, w.routes, w.links, w.out, unit, route, busy_at, task, category)


@kernel_part
def _write(w: _Writer, unit: int, core: int, busy_at: int, task: int) -> int:
    """Emit a transfer of activations from a core to DRAM or the global buffer."""
    route = ROUTES_A_CORE * core + 2 + (unit != w.machine[M_DRAM])
    return _move(w.machine, w.routes, w.links, w.out, unit, route, busy_at, task, _ACTIVATIONS)


@kernel_part
def _move(
    machine: Ints,
    routes: Ints,
    links: Ints,
    out: _Output,
    unit: int,
    route: int,
    busy_at: int,
    task: int,
    category: int,
) -> int:
    """Emit a transfer over a route: it has ended when the memory and all links have.

    Weights are fetched ahead of their use: where demand goes first, they yield to activations.
    """
    yields = 1 if category == _WEIGHTS and machine[M_DEMAND_FIRST] == 1 else 0
    op = out.cursor[0]
    first, last = out.ops[op - 1, O_LAST_EDGE] if op > 0 else 0, out.cursor[1]
    latency = machine[M_DRAM_LATENCY]
    if unit != machine[M_DRAM]:
        latency, category = machine[M_GLOBAL_LATENCY], t.GLOBAL_TRAFFIC
    memory = _add(out, unit, busy_at, latency, task, category)
    end = memory
    for link in range(routes[route, 0], routes[route, 1]):
        for edge in range(first, last):
            _wait(out, out.pred[edge])
        held_at = busy_at + machine[M_LINKS_AT]
        end = _add(out, links[link], held_at, routes[route, 2], task, _LINK)
    for each in range(memory, end + 1):
        out.ops[each, O_YIELDS] = yields
    if end == memory:
        return memory
    for each in range(memory, end + 1):
        _wait(out, each)
    return _add(out, _JOIN, _NOWHERE, _NONE, task, _LINK)


@kernel_part
def _part(total: int, is_shared: bool, core: int, cores: int) -> tuple[int, int]:
    """Return first and last, excluded, of what a core takes."""
    if is_shared:
        return core * total // cores, (core + 1) * total // cores
    return 0, total


@kernel_part
def _product(w: _Writer, row: Ints, task: int, begin: int) -> int:
    """Emit a core's share of a product; return how many turns, whose ends are in `ends`."""
    core, share, cores = row[T_CORE], row[T_SHARE], w.machine[M_CORES]
    chunks, column_tiles = row[T_CHUNKS], row[T_COLUMN_TILES]
    rows_outer = row[T_ROWS_OUTER] == 1
    first_block, last_block = _part(row[T_BLOCKS], share == t.BLOCKS, core, cores)
    first_tile, last_tile = _part(column_tiles, share == t.TILES, core, cores)
    first_group, last_group = _part(row[T_GROUPS], share == t.GROUPS, core, cores)
    blocks, width = last_block - first_block, last_tile - first_tile
    passing = width * chunks - row[T_PINNED] if rows_outer else chunks
    kept = passing <= w.machine[M_WEIGHT_SLOTS]
    kept_local = not rows_outer and chunks <= w.machine[M_LOCAL_CHUNKS]
    ended, operand = _NONE, _NOWHERE
    for group in range(first_group, last_group):
        for count in range(blocks * width):
            if rows_outer:
                block, tile = first_block + count // width, first_tile + count % width
            else:
                tile, block = first_tile + count // blocks, first_block + count % blocks
            sums = w.cores[core, C_SUMS] % w.machine[M_SUM_BLOCKS] + w.machine[M_SUMS_AT]
            ragged = row[T_RAGGED] if tile == column_tiles - 1 else 0
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
                    w.cores[core, C_OPERANDS] += 1
            if row[T_NEURONS_LAST] == 0:
                w.ends[ended] = _finish(w, row, turn, last)
                ended += 1
            elif tile == last_tile - 1:
                ended = _finish_all(w, row, turn, last, ended)
    return ended


@kernel_part
def _read_operand(w: _Writer, row: Ints, turn: _Turn) -> int:
    """Bring a block's operand into the core; return the op, or -1 if it is there."""
    at = w.blocks[row[T_BLOCK_AT] + turn.block, B_BLOCK]
    if not w.flags[at] & F_OPERAND:
        return -1
    _wait(w.out, turn.begin)
    _wait(w.out, w.cores[turn.core, _operand_place(w, turn.core)])
    unit, busy_at = row[T_OPERAND_UNIT], w.machine[M_OPERAND_AT] + at
    return _read(w, unit, turn.core, busy_at, turn.task, _ACTIVATIONS)


@kernel_part
def _operand_place(w: _Writer, core: int) -> int:
    """Return where the table of cores has the next place for a block of operands."""
    begin, taken = w.machine[M_OPERANDS_AT], w.cores[core, C_OPERANDS]
    place: int = begin + taken % w.machine[M_OPERAND_BLOCKS]
    return place


@kernel_part
def _tile(w: _Writer, row: Ints, turn: _Turn, operand: int) -> int:
    """Emit all chunks of a row block and column tile; return the last computation."""
    task, core = turn.task, turn.core
    chunks, preloads = row[T_CHUNKS], row[T_PRELOADS] == 1
    entry = row[T_BLOCK_AT] + turn.block
    where = w.blocks[entry, B_TILE] + turn.group * w.blocks[entry, B_STRIDE]
    first_piece = (turn.tile - turn.first_tile) * chunks if row[T_ROWS_OUTER] == 1 else 0
    last = -1
    for chunk in range(chunks):
        piece = first_piece + chunk
        fetches = w.cores[core, C_AHEAD]
        _bring_weights(w, row, turn, chunk, piece)
        if preloads:
            _wait(w.out, w.chunks[chunk, H_LOADED])
        elif row[T_SOURCE] != t.ON_CHIP:
            _wait(w.out, w.chunks[piece, H_FETCHED])
        _wait(w.out, turn.begin)
        _wait(w.out, operand)
        _wait(w.out, w.cores[core, turn.sums])
        last = _add(w.out, row[T_UNIT], where + chunk, row[T_LATENCY], task, _ARRAY)
        slot = w.chunks[piece, H_SLOT]
        if slot >= 0:
            w.cores[core, C_PLACES + slot] = last
        if w.cores[core, C_AHEAD] > fetches:
            w.cores[core, w.machine[M_AHEAD_AT] + fetches % w.machine[M_PREFETCH]] = last
        if preloads:
            # The place of the load that this computation read from.
            again = turn.kept_local and turn.block > turn.first_block
            back = chunks - chunk if again else 1
            w.arrays[row[T_ENGINE], _load_place(w, row[T_ENGINE], back)] = last
    return last


@kernel_part
def _load_place(w: _Writer, engine: int, back: int) -> int:
    """Return where the table of arrays has the place of the load so many loads ago; 0: the next."""
    load = w.arrays[engine, E_LOADS] - back
    place: int = E_CHUNKS + load % w.machine[M_LOCAL_CHUNKS]
    return place


@kernel_part
def _bring_weights(w: _Writer, row: Ints, turn: _Turn, chunk: int, piece: int) -> None:
    """Fetch a chunk's weights unless they are there, and load them into the array."""
    on_chip = row[T_SOURCE] == t.ON_CHIP
    first = turn.block == turn.first_block
    if on_chip:
        w.chunks[piece, H_SLOT] = -1
    elif first or not turn.kept:
        _fetch(w, row, turn, chunk, piece)
    if row[T_PRELOADS] == 1 and (first or not turn.kept_local):
        _wait(w.out, turn.begin if on_chip else w.chunks[piece, H_FETCHED])
        engine = row[T_ENGINE]
        _wait(w.out, w.arrays[engine, _load_place(w, engine, _NONE)])
        unit, latency = w.cores[turn.core, C_PORT], w.machine[M_PORT_LATENCY]
        load = _add(w.out, unit, row[T_LOAD_AT] + chunk, latency, turn.task, _LOAD)
        w.chunks[chunk, H_LOADED] = load
        w.arrays[engine, E_LOADS] += 1


@kernel_part
def _wait_for_use(w: _Writer, core: int, counted: int) -> None:
    """Make a fetch wait until enough chunks that were fetched before it have been used."""
    depth, taken = w.machine[M_PREFETCH], w.cores[core, C_AHEAD]
    if depth > 0:
        _wait(w.out, w.cores[core, w.machine[M_AHEAD_AT] + taken % depth])
        w.cores[core, C_AHEAD] = taken + counted


@kernel_part
def _fetch(w: _Writer, row: Ints, turn: _Turn, chunk: int, piece: int) -> None:
    """Bring a chunk's weights from DRAM or the global buffer into the weight buffer."""
    task, core, cores, chunks = turn.task, turn.core, w.cores, w.chunks
    source, busy_at = row[T_SOURCE], row[T_FETCH_AT] + 2 * chunk + turn.ragged
    home, number = -1, turn.part_tile * row[T_CHUNKS] + chunk
    filled = row[T_FILL_CHUNKS]
    if filled > 0 and number % filled > 0:
        chunks[piece, H_FETCHED] = cores[core, C_FILL]
        chunks[piece, H_SLOT] = cores[core, C_FILL_SLOT]
        return
    pinned = number < row[T_PINNED]
    if (pinned or source == t.FROM_GLOBAL) and row[T_PRESENT] == 0:
        tile = turn.group * row[T_COLUMN_TILES] + turn.tile
        kept = row[T_KEPT_AT] + tile * row[T_CHUNKS] + chunk
        if w.kept[kept] < 0:
            _wait_for_use(w, core, _ONE if pinned else _NONE)
            route = ROUTES_A_CORE * core + ROUTE_FROM_DRAM
            if not pinned:
                route = len(w.routes) - 1  # to the global buffer
            w.kept[kept] = _move(
                w.machine, w.routes, w.links, w.out, w.machine[M_DRAM], route, busy_at, task,
                _WEIGHTS,
            )  # fmt: skip
        home = w.kept[kept]
    if pinned:
        chunks[piece, H_FETCHED], chunks[piece, H_SLOT] = home, -1
        return
    slot = cores[core, C_SLOTS] % w.machine[M_WEIGHT_SLOTS]
    cores[core, C_SLOTS] += 1
    _wait_for_use(w, core, _ONE)
    _wait(w.out, cores[core, C_PLACES + slot])
    _wait(w.out, home)
    if row[T_FETCH_WAITS] == 1:
        _wait(w.out, turn.begin)
    if filled > 0:
        _wait(w.out, cores[core, C_FILL])  # parts are filled in the order of their use
    unit = w.machine[M_DRAM]
    if source == t.FROM_GLOBAL:
        unit = w.machine[M_GLOBAL]
        busy_at = row[T_GLOBAL_AT] + 2 * chunk + turn.ragged
    fetch = _read(w, unit, core, busy_at, task, _WEIGHTS)
    chunks[piece, H_FETCHED] = cores[core, C_FILL] = fetch
    chunks[piece, H_SLOT] = cores[core, C_FILL_SLOT] = slot


@kernel_part
def _finish_all(w: _Writer, row: Ints, turn: _Turn, last: int, ended: int) -> int:
    """Emit what follows the product of all column tiles of a block; return the ends so far."""
    for tile in range(turn.first_tile, turn.tile + 1):
        ragged = row[T_RAGGED] if tile == row[T_COLUMN_TILES] - 1 else 0
        own = _Turn(
            turn.task, turn.core, turn.begin, turn.group, turn.block, tile, ragged, turn.sums,
            turn.first_block, turn.first_tile, turn.part_tile, turn.kept, turn.kept_local,
        )  # fmt: skip
        w.ends[ended] = _finish(w, row, own, last)
        ended += 1
    # All of these sums were in one place.
    w.cores[turn.core, C_SUMS] -= turn.tile - turn.first_tile
    return ended


@kernel_part
def _finish(w: _Writer, row: Ints, turn: _Turn, last: int) -> int:
    """Emit membranes in, element-wise work, membranes and results out; return the last op."""
    task, core = turn.task, turn.core
    at = w.blocks[row[T_BLOCK_AT] + turn.block, B_BLOCK]
    flags = w.flags[at]
    entry = 2 * at + turn.ragged
    end = last
    if flags & F_VECTOR:
        state = -1
        if flags & F_STATE_READ:
            _wait(w.out, w.cores[core, turn.sums])
            busy_at = w.machine[M_STATE_AT] + entry
            state = _read(w, row[T_STATE_UNIT], core, busy_at, task, _ACTIVATIONS)
        _wait(w.out, last)
        _wait(w.out, state)
        latency = w.machine[M_VECTOR_LATENCY] + row[T_RESTART]
        busy_at = w.machine[M_VECTOR_AT] + entry
        end = _add(w.out, w.cores[core, C_VECTOR], busy_at, latency, task, _VECTOR)
    w.cores[core, turn.sums] = end
    w.cores[core, C_SUMS] += 1
    if flags & F_STATE_WRITE:
        _wait(w.out, end)
        _write(w, row[T_STATE_UNIT], core, w.machine[M_STATE_AT] + entry, task)
    spilled = flags & F_SPILL_RAGGED if turn.ragged else flags & F_SPILL
    if spilled:
        _wait(w.out, end)
        return _write(w, row[T_SPILL_UNIT], core, w.machine[M_SPILL_AT] + entry, task)
    return end
