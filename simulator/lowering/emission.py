"""Writes operations and their predecessors one by one: what a structure is emitted with.

Buffers are edges: an op that needs a place waits for the op that had it before.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Bytes, Ints
from simulator.config.kernels import kernel_part
from simulator.lowering import tables as t
from simulator.lowering import task_table as s
from simulator.lowering import units as u
from simulator.program import JOIN


def _typed(value: int) -> int:
    return np.int64(value)  # type: ignore[return-value]


# Numba would compile what takes a plain number of the source again for each number.
NONE, ONE, NOWHERE = _typed(0), _typed(1), _typed(-1)
WEIGHTS, ACTIVATIONS = _typed(t.DRAM_WEIGHTS), _typed(t.DRAM_ACTIVATIONS)
ARRAY, LINK = _typed(t.ARRAY_LATENCY), _typed(t.INTERCONNECT)
LOAD, VECTOR = _typed(t.PORT_LOAD), _typed(t.VECTOR_WORK)
_JOIN = _typed(JOIN)

O_UNIT, O_LATENCY, O_YIELDS, O_TASK, O_CATEGORY, O_BUSY_AT, O_LAST_EDGE, OP_COLUMNS = range(8)
"""Columns of the table of operations; O_LAST_EDGE: where its predecessors end."""

(
    C_PORT,  # weight port and vector unit
    C_VECTOR,
    C_FILL,  # the last fetch, and the place that it filled
    C_FILL_SLOT,
    C_SLOTS,  # how often a place was taken: for a chunk in the weight buffer, ...
    C_SUMS,  # ... a block of partial sums, ...
    C_OPERANDS,  # ... one of operands, ...
    C_AHEAD,  # ... a first use of a chunk, of which the oldest makes room for the next fetch
    C_PLACES,  # from here on, who used each of these places last, as an op, or -1
) = range(9)
"""Columns of the table of cores."""

E_LOADS, E_CHUNKS = range(2)
"""Columns of the table of arrays: how often a chunk was loaded; the last users of its places."""

H_FETCHED, H_SLOT, H_LOADED, CHUNK_COLUMNS = range(4)
"""Columns of the table of the running task's chunks: fetch, place in the weight buffer, load."""


class WrittenOps(NamedTuple):
    """Hold the operations, the predecessors, and where the next of each is written."""

    ops: Ints
    pred: Ints
    cursor: Ints


class PlacesAt(NamedTuple):
    """Say where the places for sums, operands and first uses begin in the table of cores."""

    sums: int
    operands: int
    ahead: int


class Emission(NamedTuple):
    """Hold what all parts of the emission read and write; few columns: each call passes them."""

    machine: t.Machine
    units: s.SharedUnits
    at: s.BusySections
    places: PlacesAt
    flags: Bytes
    blocks: Ints
    routes: Ints  # int64 (routes, 3), first and last link, excluded, and latency
    links: Ints
    cores: Ints
    arrays: Ints
    chunks: Ints
    kept: Ints  # the fetch of each chunk that stays
    out: WrittenOps


def new_emission(tasks: s.Tasks) -> Emission:
    """Return what the emission starts from, with room for all ops: no place was used."""
    machine, table, routes = tasks.machine, tasks.table, tasks.routes
    pass_chunks = table[:, s.T_CHUNKS] * table[:, s.T_COLUMN_TILES]
    turns = table[:, s.T_GROUPS] * table[:, s.T_BLOCKS] * table[:, s.T_COLUMN_TILES]
    # The loops know shares apart; here each task is taken for the full step.
    pieces, all_turns = int((turns * table[:, s.T_CHUNKS]).sum()), int(turns.sum())
    count = len(table)
    ops = 4 * pieces + 5 * all_turns + 3 * count
    edges = 12 * pieces + 10 * all_turns + 2 * len(tasks.dep) + 3 * count
    if routes.longest:
        # A transfer over links is an op a link and a join; all wait for what the memory does.
        transfers = 2 * pieces + 4 * all_turns + 3 * count
        ops += transfers * (routes.longest + 1)
        edges += transfers * (4 * routes.longest + 1) + len(tasks.dep) * routes.longest
    depths = [machine.weight_slots, machine.sum_blocks, machine.operand_blocks]
    _, *begins, end = np.cumsum([C_PLACES, *depths, machine.prefetch_chunks]).tolist()
    cores = np.full((machine.cores, end), -1, np.int64)
    cores[:, [C_PORT, C_VECTOR]] = tasks.core_units
    cores[:, C_SLOTS : C_AHEAD + 1] = 0
    engines = int(table[:, s.T_ENGINE].max(initial=0)) + 1
    arrays = np.full((engines, E_CHUNKS + machine.local_chunks), -1, np.int64)
    arrays[:, E_LOADS] = 0
    return Emission(
        *tasks[:3],
        PlacesAt(*begins),
        tasks.flags,
        tasks.blocks,
        np.stack([routes.ptr[:-1], routes.ptr[1:], routes.latency], axis=1),
        routes.links,
        cores,
        arrays,
        chunks=np.full((int(pass_chunks.max(initial=1)), CHUNK_COLUMNS), -1, np.int64),
        kept=np.full(tasks.kept_chunks, -1, np.int64),
        out=WrittenOps(
            np.empty((ops, OP_COLUMNS), np.int64),
            np.empty(edges, np.int64),
            np.zeros(2, np.int64),
        ),
    )


@kernel_part
def wait_for(out: WrittenOps, op: int) -> None:
    """Make the op written next wait for this one, if there is one."""
    if op >= 0:
        edge = out.cursor[1]
        out.pred[edge] = op
        out.cursor[1] = edge + 1


@kernel_part
def emit_op(
    out: WrittenOps, unit: int, busy_at: int, latency: int, task: int, category: int
) -> int:
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
def emit_join(out: WrittenOps, task: int, category: int) -> int:
    """Write an op without a unit, which ends when its predecessors have; return its number."""
    return emit_op(out, _JOIN, NOWHERE, NONE, task, category)


@kernel_part
def emit_read(w: Emission, unit: int, core: int, busy_at: int, task: int, category: int) -> int:
    """Emit a transfer from DRAM or the global buffer to a core."""
    route = u.ROUTES_A_CORE * core + (unit != w.units.dram)
    return emit_transfer(w, unit, route, busy_at, task, category)


@kernel_part
def emit_write(w: Emission, unit: int, core: int, busy_at: int, task: int) -> int:
    """Emit a transfer of activations from a core to DRAM or the global buffer."""
    route = u.ROUTES_A_CORE * core + u.TO_DRAM + (unit != w.units.dram)
    return emit_transfer(w, unit, route, busy_at, task, ACTIVATIONS)


@kernel_part
def emit_transfer(
    w: Emission, unit: int, route: int, busy_at: int, task: int, category: int
) -> int:
    """Emit a transfer over a route: it has ended when the memory and all links have.

    Weights are fetched ahead of their use: where demand goes first, they yield to activations.
    """
    out, units = w.out, w.units
    yields = 1 if category == WEIGHTS and w.machine.demand_first == 1 else 0
    op = out.cursor[0]
    first, last = out.ops[op - 1, O_LAST_EDGE] if op > 0 else 0, out.cursor[1]
    latency = units.dram_latency
    if unit != units.dram:
        latency, category = units.global_latency, t.GLOBAL_TRAFFIC
    memory = emit_op(out, unit, busy_at, latency, task, category)
    end = memory
    for link in range(w.routes[route, 0], w.routes[route, 1]):
        for edge in range(first, last):
            wait_for(out, out.pred[edge])
        end = emit_op(out, w.links[link], busy_at + w.at.links, w.routes[route, 2], task, LINK)
    for each in range(memory, end + 1):
        out.ops[each, O_YIELDS] = yields
        if end > memory:
            wait_for(out, each)
    return emit_join(out, task, LINK) if end > memory else end
