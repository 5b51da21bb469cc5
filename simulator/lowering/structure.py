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
from simulator.lowering.tables import (
    ARRAY_LATENCY,
    BLOCKS,
    DRAM_ACTIVATIONS,
    DRAM_WEIGHTS,
    FROM_DRAM,
    FROM_GLOBAL,
    GLOBAL_TRAFFIC,
    GROUPS,
    INTERCONNECT,
    MATRIX,
    ON_CHIP,
    PORT_LOAD,
    TILES,
    VECTOR_WORK,
)
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

_SLOTS, _SUMS, _OPERANDS, _AHEAD = range(4)


def _typed(value: int) -> int:
    return np.int64(value)  # type: ignore[return-value]


# Numba would compile what takes a plain number of the source again for each number.
_NONE, _ONE, _NOWHERE, _JOIN = _typed(0), _typed(1), _typed(-1), _typed(JOIN)
_WEIGHTS, _ACTIVATIONS = _typed(DRAM_WEIGHTS), _typed(DRAM_ACTIVATIONS)
_ARRAY, _LINK = _typed(ARRAY_LATENCY), _typed(INTERCONNECT)
_LOAD, _VECTOR = _typed(PORT_LOAD), _typed(VECTOR_WORK)


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


class _Places(NamedTuple):
    """Who used each place last, as an op, or -1.

    slots, sums, operands (core, place): chunks in the weight buffer, blocks of partial sums and of
    operands. ahead (core, place): first uses of chunks, of which the oldest makes room for the next
    fetch. taken (core, 4): how often a place of each was taken. local (engine, place), loads
    (engine): chunks in an array, and how often one was loaded. fill (core, 2): the last fetch, and
    the place that it filled. kept: the fetch of each chunk that stays. fetched, slot_of (tile,
    chunk), loaded (chunk), ends (turn): of the running task. end_of: op that ends each task.
    cursor: next op and edge.
    """

    slots: Ints
    local: Ints
    sums: Ints
    operands: Ints
    ahead: Ints
    taken: Ints
    loads: Ints
    fill: Ints
    kept: Ints
    fetched: Ints
    slot_of: Ints
    loaded: Ints
    ends: Ints
    end_of: Ints
    cursor: Ints


class _Writer(NamedTuple):
    """All that is read and written while a structure is emitted."""

    machine: Ints
    table: Ints
    dep: Ints
    flags: Bytes
    blocks: Ints
    core_units: Ints
    route_ptr: Ints
    route_links: Ints
    route_latency: Ints
    ops: Ints
    pred: Ints
    places: _Places


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
    table, machine = tasks.table, tasks.machine
    column_tiles = table[:, T_COLUMN_TILES]
    turns = table[:, T_GROUPS] * table[:, T_BLOCKS] * column_tiles
    # Shares are told apart in the loops; here each task is taken for the full step.
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
    most_turns = int(turns.max(initial=1))
    places = _no_places(machine, engines, widest, most_turns, tasks.kept_chunks, count)
    table_of_ops, pred = np.empty((ops, OP_COLUMNS), np.int64), np.empty(edges, np.int64)
    _emit(
        _Writer(
            machine, table, tasks.dep, tasks.flags, tasks.blocks, tasks.core_units,
            routes.ptr, routes.links, routes.latency, table_of_ops, pred, places,
        )
    )  # fmt: skip
    used, last = places.cursor.tolist()
    written = table_of_ops[:used].T
    return Columns(
        unit=written[O_UNIT].astype(np.int32),
        latency=written[O_LATENCY].copy(),
        yields=written[O_YIELDS].astype(np.bool_),
        task=written[O_TASK].astype(np.int32),
        category=written[O_CATEGORY].astype(np.int32),
        busy_at=written[O_BUSY_AT].astype(np.int32),
        pred_ptr=np.concatenate([np.zeros(1, np.int64), written[O_LAST_EDGE]]),
        pred=pred[:last].astype(np.int32),
    )


def _no_places(
    machine: Ints, engines: int, widest: int, turns: int, kept: int, tasks: int
) -> _Places:
    def nobody(*shape: int) -> Ints:
        return np.full(shape, -1, np.int64)

    cores = int(machine[M_CORES])
    return _Places(
        slots=nobody(cores, int(machine[M_WEIGHT_SLOTS])),
        local=nobody(engines, int(machine[M_LOCAL_CHUNKS])),
        sums=nobody(cores, int(machine[M_SUM_BLOCKS])),
        operands=nobody(cores, int(machine[M_OPERAND_BLOCKS])),
        ahead=nobody(cores, max(1, int(machine[M_PREFETCH]))),
        taken=np.zeros((cores, 4), np.int64),
        loads=np.zeros(engines, np.int64),
        fill=nobody(cores, 2),
        kept=nobody(kept),
        fetched=nobody(widest),
        slot_of=nobody(widest),
        loaded=nobody(widest),
        ends=nobody(turns),
        end_of=nobody(tasks),
        cursor=np.zeros(2, np.int64),
    )


@kernel
def _emit(w: _Writer) -> None:
    """Emit task after task; the op that ends each is what later tasks wait for."""
    end_of = w.places.end_of
    for task in range(w.table.shape[0]):
        row = w.table[task]
        single = row[T_KIND] != MATRIX
        runs = single and row[T_RUNS] == 1
        fetch = -1
        if runs and row[T_SOURCE] == FROM_DRAM:
            # Weights of a single operation: fetched before it, whenever DRAM is free.
            dram = w.machine[M_DRAM]
            fetch = _read(w, dram, row[T_CORE], row[T_FETCH_AT], task, _WEIGHTS)
        for dep in range(row[T_FIRST_DEP], row[T_LAST_DEP]):
            _wait(w, end_of[w.dep[dep]])
        if runs:
            end_of[task] = _single(w, task, fetch)
            continue
        begin = _add(w, _JOIN, _NOWHERE, _NONE, task, _NONE)
        turns = 0 if single else _product(w, task, begin)
        for turn in range(turns):
            _wait(w, w.places.ends[turn])
        end_of[task] = _add(w, _JOIN, _NOWHERE, _NONE, task, _NONE) if turns > 0 else begin


@kernel_part
def _single(w: _Writer, task: int, fetch: int) -> int:
    """Emit one operation on one unit, its operand read before and its result written after it."""
    row = w.table[task]
    at, flags = 0, np.uint8(0)
    if row[T_BLOCKS] > 0:
        at = w.blocks[row[T_BLOCK_AT], B_BLOCK]
        flags = w.flags[at]
    if flags & F_OPERAND:
        # The operand waits for what the operation waits for.
        busy_at = w.machine[M_OPERAND_AT] + at
        unit = row[T_OPERAND_UNIT]
        _wait(w, _read(w, unit, row[T_CORE], busy_at, task, _ACTIVATIONS))
    _wait(w, fetch)
    end = _add(w, row[T_UNIT], row[T_BUSY_AT], row[T_LATENCY], task, row[T_CATEGORY])
    if flags & F_SPILL:
        _wait(w, end)
        busy_at = w.machine[M_SPILL_AT] + 2 * at
        return _write(w, row[T_SPILL_UNIT], row[T_CORE], busy_at, task)
    return end


@kernel_part
def _wait(w: _Writer, op: int) -> None:
    """Make the op written next wait for this one, if there is one."""
    if op >= 0:
        w.pred[w.places.cursor[1]] = op
        w.places.cursor[1] += 1


@kernel_part
def _add(w: _Writer, unit: int, busy_at: int, latency: int, task: int, category: int) -> int:
    """Write an op behind the predecessors that were written for it; return its number."""
    op: int = w.places.cursor[0]
    row = w.ops[op]
    row[O_UNIT] = unit
    row[O_BUSY_AT] = busy_at
    row[O_LATENCY] = latency
    row[O_YIELDS] = 0
    row[O_TASK] = task
    row[O_CATEGORY] = category
    row[O_LAST_EDGE] = w.places.cursor[1]
    w.places.cursor[0] = op + 1
    return op


@kernel_part
def _read(w: _Writer, unit: int, core: int, busy_at: int, task: int, category: int) -> int:
    """Emit a transfer from DRAM or the global buffer to a core."""
    route = ROUTES_A_CORE * core + (unit != w.machine[M_DRAM])
    return _move(w, unit, route, busy_at, task, category)


@kernel_part
def _write(w: _Writer, unit: int, core: int, busy_at: int, task: int) -> int:
    """Emit a transfer of activations from a core to DRAM or the global buffer."""
    route = ROUTES_A_CORE * core + 2 + (unit != w.machine[M_DRAM])
    return _move(w, unit, route, busy_at, task, _ACTIVATIONS)


@kernel_part
def _move(w: _Writer, unit: int, route: int, busy_at: int, task: int, category: int) -> int:
    """Emit a transfer over a route: it has ended when the memory and all links have.

    Weights are fetched ahead of their use: where demand goes first, they yield to activations.
    """
    yields = category == _WEIGHTS and w.machine[M_DEMAND_FIRST] == 1
    op = w.places.cursor[0]
    first, last = w.ops[op - 1, O_LAST_EDGE] if op > 0 else 0, w.places.cursor[1]
    latency = w.machine[M_DRAM_LATENCY]
    if unit != w.machine[M_DRAM]:
        latency, category = w.machine[M_GLOBAL_LATENCY], GLOBAL_TRAFFIC
    memory = _add(w, unit, busy_at, latency, task, category)
    end = memory
    for link in range(w.route_ptr[route], w.route_ptr[route + 1]):
        for edge in range(first, last):
            _wait(w, w.pred[edge])
        held_at, latency = busy_at + w.machine[M_LINKS_AT], w.route_latency[route]
        end = _add(w, w.route_links[link], held_at, latency, task, _LINK)
    for each in range(memory, end + 1):
        w.ops[each, O_YIELDS] = int(yields)
    if end == memory:
        return memory
    for each in range(memory, end + 1):
        _wait(w, each)
    return _add(w, _JOIN, _NOWHERE, _NONE, task, _LINK)


@kernel_part
def _part(total: int, is_shared: bool, core: int, cores: int) -> tuple[int, int]:
    """Return first and last, excluded, of what a core takes."""
    if is_shared:
        return core * total // cores, (core + 1) * total // cores
    return 0, total


@kernel_part
def _product(w: _Writer, task: int, begin: int) -> int:
    """Emit a core's share of a product; return how many turns, whose ends are in `ends`."""
    row = w.table[task]
    core, share, cores = row[T_CORE], row[T_SHARE], w.machine[M_CORES]
    chunks, column_tiles = row[T_CHUNKS], row[T_COLUMN_TILES]
    rows_outer = row[T_ROWS_OUTER] == 1
    first_block, last_block = _part(row[T_BLOCKS], share == BLOCKS, core, cores)
    first_tile, last_tile = _part(column_tiles, share == TILES, core, cores)
    first_group, last_group = _part(row[T_GROUPS], share == GROUPS, core, cores)
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
            sums = w.places.taken[core, _SUMS] % w.machine[M_SUM_BLOCKS]
            ragged = row[T_RAGGED] if tile == column_tiles - 1 else 0
            part_tile = (group - first_group) * width + tile - first_tile
            turn = _Turn(
                task, core, begin, group, block, tile, ragged, sums, first_block, first_tile,
                part_tile, kept, kept_local,
            )  # fmt: skip
            if tile == first_tile or not rows_outer:
                operand = _read_operand(w, turn)
            last = _tile(w, turn, operand)
            if operand >= 0:
                place = w.places.taken[core, _OPERANDS] % w.machine[M_OPERAND_BLOCKS]
                w.places.operands[core, place] = last
                if tile == last_tile - 1 or not rows_outer:
                    w.places.taken[core, _OPERANDS] += 1
            if row[T_NEURONS_LAST] == 0:
                w.places.ends[ended] = _finish(w, turn, last)
                ended += 1
            elif tile == last_tile - 1:
                ended = _finish_all(w, turn, last, ended)
    return ended


@kernel_part
def _read_operand(w: _Writer, turn: _Turn) -> int:
    """Bring a block's operand into the core; return the op, or -1 if it is there."""
    row = w.table[turn.task]
    at = w.blocks[row[T_BLOCK_AT] + turn.block, B_BLOCK]
    if not w.flags[at] & F_OPERAND:
        return -1
    _wait(w, turn.begin)
    place = w.places.taken[turn.core, _OPERANDS] % w.machine[M_OPERAND_BLOCKS]
    _wait(w, w.places.operands[turn.core, place])
    unit, busy_at = row[T_OPERAND_UNIT], w.machine[M_OPERAND_AT] + at
    return _read(w, unit, turn.core, busy_at, turn.task, _ACTIVATIONS)


@kernel_part
def _tile(w: _Writer, turn: _Turn, operand: int) -> int:
    """Emit all chunks of a row block and column tile; return the last computation."""
    task, core, p = turn.task, turn.core, w.places
    row = w.table[task]
    chunks = row[T_CHUNKS]
    entry = row[T_BLOCK_AT] + turn.block
    where = w.blocks[entry, B_TILE] + turn.group * w.blocks[entry, B_STRIDE]
    first_piece = (turn.tile - turn.first_tile) * chunks if row[T_ROWS_OUTER] == 1 else 0
    last = -1
    for chunk in range(chunks):
        piece = first_piece + chunk
        fetches = p.taken[core, _AHEAD]
        _bring_weights(w, turn, chunk, piece)
        if row[T_PRELOADS] == 1:
            _wait(w, p.loaded[chunk])
        elif row[T_SOURCE] != ON_CHIP:
            _wait(w, p.fetched[piece])
        _wait(w, turn.begin)
        _wait(w, operand)
        _wait(w, p.sums[core, turn.sums])
        last = _add(w, row[T_UNIT], where + chunk, row[T_LATENCY], task, _ARRAY)
        if p.slot_of[piece] >= 0:
            p.slots[core, p.slot_of[piece]] = last
        if p.taken[core, _AHEAD] > fetches:
            p.ahead[core, fetches % w.machine[M_PREFETCH]] = last
        if row[T_PRELOADS] == 1:
            # The place of the load that this computation read from.
            again = turn.kept_local and turn.block > turn.first_block
            back = chunks - chunk if again else 1
            engine = row[T_ENGINE]
            p.local[engine, (p.loads[engine] - back) % w.machine[M_LOCAL_CHUNKS]] = last
    return last


@kernel_part
def _bring_weights(w: _Writer, turn: _Turn, chunk: int, piece: int) -> None:
    """Fetch a chunk's weights unless they are there, and load them into the array."""
    core, p = turn.core, w.places
    row = w.table[turn.task]
    on_chip = row[T_SOURCE] == ON_CHIP
    first = turn.block == turn.first_block
    if on_chip:
        p.slot_of[piece] = -1
    elif first or not turn.kept:
        _fetch(w, turn, chunk, piece)
    if row[T_PRELOADS] == 1 and (first or not turn.kept_local):
        _wait(w, turn.begin if on_chip else p.fetched[piece])
        engine = row[T_ENGINE]
        _wait(w, p.local[engine, p.loads[engine] % w.machine[M_LOCAL_CHUNKS]])
        latency = w.machine[M_PORT_LATENCY]
        busy_at = row[T_LOAD_AT] + chunk
        unit = w.core_units[core, 0]
        p.loaded[chunk] = _add(w, unit, busy_at, latency, turn.task, _LOAD)
        p.loads[engine] += 1


@kernel_part
def _wait_for_use(w: _Writer, core: int, counted: int) -> None:
    """Make a fetch wait until enough chunks that were fetched before it have been used."""
    depth = w.machine[M_PREFETCH]
    if depth > 0:
        _wait(w, w.places.ahead[core, w.places.taken[core, _AHEAD] % depth])
        w.places.taken[core, _AHEAD] += counted


@kernel_part
def _fetch(w: _Writer, turn: _Turn, chunk: int, piece: int) -> None:
    """Bring a chunk's weights from DRAM or the global buffer into the weight buffer."""
    task, core, p = turn.task, turn.core, w.places
    row = w.table[task]
    source, busy_at = row[T_SOURCE], row[T_FETCH_AT] + 2 * chunk + turn.ragged
    home, number = -1, turn.part_tile * row[T_CHUNKS] + chunk
    if row[T_FILL_CHUNKS] > 0 and number % row[T_FILL_CHUNKS] > 0:
        p.fetched[piece], p.slot_of[piece] = p.fill[core, 0], p.fill[core, 1]
        return
    pinned = number < row[T_PINNED]
    if (pinned or source == FROM_GLOBAL) and row[T_PRESENT] == 0:
        tile = turn.group * row[T_COLUMN_TILES] + turn.tile
        kept = row[T_KEPT_AT] + tile * row[T_CHUNKS] + chunk
        if p.kept[kept] < 0:
            _wait_for_use(w, core, int(pinned))
            route = ROUTES_A_CORE * core + ROUTE_FROM_DRAM
            if not pinned:
                route = len(w.route_latency) - 1  # to the global buffer
            p.kept[kept] = _move(w, w.machine[M_DRAM], route, busy_at, task, _WEIGHTS)
        home = p.kept[kept]
    if pinned:
        p.fetched[piece], p.slot_of[piece] = home, -1
        return
    slot = p.taken[core, _SLOTS] % w.machine[M_WEIGHT_SLOTS]
    p.taken[core, _SLOTS] += 1
    _wait_for_use(w, core, _ONE)
    _wait(w, p.slots[core, slot])
    _wait(w, home)
    if row[T_FETCH_WAITS] == 1:
        _wait(w, turn.begin)
    if row[T_FILL_CHUNKS] > 0:
        _wait(w, p.fill[core, 0])  # parts are filled in the order of their use
    unit = w.machine[M_DRAM]
    if source == FROM_GLOBAL:
        unit = w.machine[M_GLOBAL]
        busy_at = row[T_GLOBAL_AT] + 2 * chunk + turn.ragged
    p.fetched[piece] = _read(w, unit, core, busy_at, task, _WEIGHTS)
    p.slot_of[piece] = slot
    p.fill[core, 0], p.fill[core, 1] = p.fetched[piece], slot


@kernel_part
def _finish_all(w: _Writer, turn: _Turn, last: int, ended: int) -> int:
    """Emit what follows the product of all column tiles of a block; return the ends so far."""
    row, p = w.table[turn.task], w.places
    for tile in range(turn.first_tile, turn.tile + 1):
        ragged = row[T_RAGGED] if tile == row[T_COLUMN_TILES] - 1 else 0
        own = _Turn(
            turn.task, turn.core, turn.begin, turn.group, turn.block, tile, ragged, turn.sums,
            turn.first_block, turn.first_tile, turn.part_tile, turn.kept, turn.kept_local,
        )  # fmt: skip
        p.ends[ended] = _finish(w, own, last)
        ended += 1
    # All of these sums were in one place.
    p.taken[turn.core, _SUMS] -= turn.tile - turn.first_tile
    return ended


@kernel_part
def _finish(w: _Writer, turn: _Turn, last: int) -> int:
    """Emit membranes in, element-wise work, membranes and results out; return the last op."""
    task, core, p = turn.task, turn.core, w.places
    row = w.table[task]
    at = w.blocks[row[T_BLOCK_AT] + turn.block, B_BLOCK]
    flags = w.flags[at]
    moved = w.machine[M_STATE_AT] + 2 * at + turn.ragged
    end = last
    if flags & F_VECTOR:
        state = -1
        if flags & F_STATE_READ:
            _wait(w, p.sums[core, turn.sums])
            state = _read(w, row[T_STATE_UNIT], core, moved, task, _ACTIVATIONS)
        _wait(w, last)
        _wait(w, state)
        busy_at = w.machine[M_VECTOR_AT] + 2 * at + turn.ragged
        latency = w.machine[M_VECTOR_LATENCY] + row[T_RESTART]
        end = _add(w, w.core_units[core, 1], busy_at, latency, task, _VECTOR)
    p.sums[core, turn.sums] = end
    p.taken[core, _SUMS] += 1
    if flags & F_STATE_WRITE:
        _wait(w, end)
        _write(w, row[T_STATE_UNIT], core, moved, task)
    spilled = flags & F_SPILL_RAGGED if turn.ragged else flags & F_SPILL
    if spilled:
        _wait(w, end)
        busy_at = w.machine[M_SPILL_AT] + 2 * at + turn.ragged
        return _write(w, row[T_SPILL_UNIT], core, busy_at, task)
    return end
