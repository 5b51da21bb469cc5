"""Writes a program: the steps of one image, as columns of operations and their predecessors.

A step is a layer at one timestep (or at all of them), a halting decision or a mask scan. A matrix
step is a loop over groups, row blocks and column tiles; each (block, tile) is, for each chunk of
inputs, a fetch of weights from DRAM, their load through the weight port, and the computation, then
the element-wise work on its results. Buffers are edges: whoever needs a place waits for whoever
had it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

Ints = npt.NDArray[np.int64]

UNITS = ("pe_array", "weight_port", "dram", "vector_unit", "token_skip")
PE_ARRAY, WEIGHT_PORT, DRAM, VECTOR_UNIT, TOKEN_SKIP = range(5)

CATEGORIES = (
    "array_latency",
    "weight_port",
    "dram_weights",
    "dram_activations",
    "vector_unit",
    "token_skip",
    "halting",
)
(
    ARRAY_LATENCY,
    PORT_LOAD,
    DRAM_WEIGHTS,
    DRAM_ACTIVATIONS,
    VECTOR_WORK,
    MASK_SCAN,
    HALTING,
) = range(7)

MATRIX, SINGLE = 0, 1
"""Kinds of step: a matrix product, or one operation on one unit."""


class Machine(NamedTuple):
    """What the emission knows of the machine: integers only.

    `columns`: outputs of a column tile; `preloads`: 1 if weights pass the weight port first;
    `port_bits`: bits a cycle through it; `weight_slots`: chunks of weights that the weight buffer
    holds; `local_chunks`, `accumulator_blocks`, `operand_blocks`: places in the array, for partial
    sums, for operand blocks from DRAM; latencies in cycles.
    """

    columns: int
    preloads: int
    port_bits: int
    weight_slots: int
    local_chunks: int
    accumulator_blocks: int
    operand_blocks: int
    array_latency: int
    port_latency: int
    dram_latency: int
    vector_lanes: int
    vector_latency: int


class Steps(NamedTuple):
    """One row a step; offsets point into `Flat`. All int64 (steps,) but `dep` (edges,).

    `kind`, `layer`; `dep_ptr`, `dep`: steps it waits for; `groups`, `blocks`, `chunks`,
    `outputs`: its loops; `weight_bits`; `from_dram`: weights come from DRAM; `rows_outer`: row
    blocks are the outer loop; `cycles_at`, `block_at`, `chunk_at`: offsets; `unit`, `busy`,
    `latency`, `category`: of a single operation.
    """

    kind: Ints
    layer: Ints
    dep_ptr: Ints
    dep: Ints
    groups: Ints
    blocks: Ints
    chunks: Ints
    outputs: Ints
    weight_bits: Ints
    from_dram: Ints
    rows_outer: Ints
    cycles_at: Ints
    block_at: Ints
    chunk_at: Ints
    unit: Ints
    busy: Ints
    latency: Ints
    category: Ints


class Flat(NamedTuple):
    """Tables that the steps point into, int64.

    `cycles` [cycles_at + (group * blocks + block) * chunks + chunk]: of the array, a column tile;
    `vector` [block_at + block]: element-cycles for each column of a block; `operand_busy`: DRAM
    cycles to read a block's operand, 0 = on chip; `spill_busy`, `state_busy` [.., 2]: DRAM cycles
    to write a tile's results and to move its membranes, for full and for ragged column tiles;
    `state_reads`, `state_writes`: 1 where membranes come from and go to DRAM; `inputs`,
    `fetch_busy` [chunk_at + chunk, 2]: inputs of a chunk, DRAM cycles to fetch its weights.
    """

    cycles: Ints
    vector: Ints
    operand_busy: Ints
    spill_busy: Ints
    state_busy: Ints
    state_reads: Ints
    state_writes: Ints
    inputs: Ints
    fetch_busy: Ints


class Columns(NamedTuple):
    """The program under construction: ops with step and category, and edges."""

    unit: npt.NDArray[np.int32]
    busy: Ints
    latency: Ints
    step: npt.NDArray[np.int32]
    category: npt.NDArray[np.int32]
    pred_ptr: Ints
    pred: npt.NDArray[np.int32]


def emit(machine: Machine, steps: Steps, flat: Flat) -> Columns:
    """The operations of all steps, in an order in which each follows its predecessors."""
    tiles = steps.groups * steps.blocks * -(-steps.outputs // machine.columns)
    pieces = int((tiles * steps.chunks).sum())
    ops = 3 * pieces + 5 * int(tiles.sum()) + 3 * len(steps.kind)
    edges = 8 * pieces + 10 * int(tiles.sum()) + 2 * len(steps.dep) + 3 * len(steps.kind)
    columns = Columns(
        unit=np.empty(ops, np.int32),
        busy=np.zeros(ops, np.int64),
        latency=np.zeros(ops, np.int64),
        step=np.empty(ops, np.int32),
        category=np.zeros(ops, np.int32),
        pred_ptr=np.zeros(ops + 1, np.int64),
        pred=np.empty(edges, np.int32),
    )
    widest = int((steps.chunks * -(-steps.outputs // machine.columns)).max(initial=1))
    used = _emit(machine, steps, flat, columns, widest)
    last = int(columns.pred_ptr[used])
    return Columns(
        unit=columns.unit[:used],
        busy=columns.busy[:used],
        latency=columns.latency[:used],
        step=columns.step[:used],
        category=columns.category[:used],
        pred_ptr=columns.pred_ptr[: used + 1],
        pred=columns.pred[:last],
    )


@njit(cache=True, nogil=True)
def _op(c: Columns, op: int, unit: int, busy: int, latency: int, step: int, category: int) -> None:
    """Writes an op; its predecessors have been written behind those of the op before."""
    c.unit[op] = unit
    c.busy[op] = busy
    c.latency[op] = latency
    c.step[op] = step
    c.category[op] = category


@njit(cache=True, nogil=True)
def _emit(machine: Machine, steps: Steps, flat: Flat, c: Columns, widest: int) -> int:
    """Fills the columns; returns the number of ops.

    `edge` counts written predecessors; an op ends with c.pred_ptr[op + 1] = edge. `fetched` holds
    the fetch of each (tile, chunk) that is still in the weight buffer; the rings hold who last used
    each place.
    """
    op, edge = 0, 0
    end_of = np.full(len(steps.kind), -1, np.int64)
    slot_user = np.full(machine.weight_slots, -1, np.int64)
    local_user = np.full(machine.local_chunks, -1, np.int64)
    sums_user = np.full(machine.accumulator_blocks, -1, np.int64)
    operand_user = np.full(machine.operand_blocks, -1, np.int64)
    fetched = np.full(widest, -1, np.int64)
    fetched_slot = np.zeros(widest, np.int64)
    loaded = np.full(max(widest, 1), -1, np.int64)
    fetches, loads, tiles, operands = 0, 0, 0, 0
    tails = np.empty(
        1
        + int(
            (
                steps.groups
                * steps.blocks
                * ((steps.outputs + machine.columns - 1) // machine.columns)
            ).max()
        ),
        np.int64,
    )
    for step in range(len(steps.kind)):
        for dep in range(steps.dep_ptr[step], steps.dep_ptr[step + 1]):
            if end_of[steps.dep[dep]] >= 0:
                c.pred[edge] = end_of[steps.dep[dep]]
                edge += 1
        if steps.kind[step] == SINGLE and steps.busy[step] > 0:
            if steps.from_dram[step]:
                # Weights of a single operation: fetched before it, whenever DRAM is free.
                waiting = edge - c.pred_ptr[op]
                for place in range(waiting):
                    tails[place] = c.pred[c.pred_ptr[op] + place]
                edge = c.pred_ptr[op]
                c.pred_ptr[op + 1] = edge
                _op(
                    c,
                    op,
                    DRAM,
                    flat.fetch_busy[steps.chunk_at[step], 0],
                    machine.dram_latency,
                    step,
                    DRAM_WEIGHTS,
                )
                for place in range(waiting):
                    c.pred[edge] = tails[place]
                    edge += 1
                c.pred[edge] = op
                edge += 1
                op += 1
            c.pred_ptr[op + 1] = edge
            _op(
                c,
                op,
                steps.unit[step],
                steps.busy[step],
                steps.latency[step],
                step,
                steps.category[step],
            )
            end_of[step] = op
            op += 1
            continue
        c.pred_ptr[op + 1] = edge
        _op(c, op, -1, 0, 0, step, 0)
        begin = op
        op += 1
        if steps.kind[step] == SINGLE or steps.outputs[step] == 0 or steps.blocks[step] == 0:
            end_of[step] = begin
            continue
        blocks, chunks, outputs = steps.blocks[step], steps.chunks[step], steps.outputs[step]
        width = (outputs + machine.columns - 1) // machine.columns
        at_block, at_chunk = steps.block_at[step], steps.chunk_at[step]
        rows_outer = steps.rows_outer[step] == 1
        kept = (width * chunks if rows_outer else chunks) <= machine.weight_slots
        kept_local = not rows_outer and chunks <= machine.local_chunks
        ended = 0
        operand = -1
        for group in range(steps.groups[step]):
            for turn in range(blocks * width):
                if rows_outer:
                    block, tile = turn // width, turn % width
                else:
                    tile, block = turn // blocks, turn % blocks
                ragged = 1 if (tile + 1) * machine.columns > outputs else 0
                size = outputs - tile * machine.columns if ragged else machine.columns
                first_use = tile == 0 or not rows_outer
                if first_use:
                    operand = -1
                if flat.operand_busy[at_block + block] > 0 and first_use:
                    c.pred[edge] = begin
                    edge += 1
                    if operand_user[operands % machine.operand_blocks] >= 0:
                        c.pred[edge] = operand_user[operands % machine.operand_blocks]
                        edge += 1
                    c.pred_ptr[op + 1] = edge
                    _op(
                        c,
                        op,
                        DRAM,
                        flat.operand_busy[at_block + block],
                        machine.dram_latency,
                        step,
                        DRAM_ACTIVATIONS,
                    )
                    operand = op
                    op += 1
                last = -1
                for chunk in range(chunks):
                    piece = (tile * chunks if rows_outer else 0) + chunk
                    if steps.from_dram[step] == 1 and (block == 0 or not kept):
                        slot = fetches % machine.weight_slots
                        if slot_user[slot] >= 0:
                            c.pred[edge] = slot_user[slot]
                            edge += 1
                        c.pred_ptr[op + 1] = edge
                        _op(
                            c,
                            op,
                            DRAM,
                            flat.fetch_busy[at_chunk + chunk, ragged],
                            machine.dram_latency,
                            step,
                            DRAM_WEIGHTS,
                        )
                        fetched[piece] = op
                        fetched_slot[piece] = slot
                        fetches += 1
                        op += 1
                    if machine.preloads == 1 and (block == 0 or not kept_local):
                        if steps.from_dram[step] == 1:
                            c.pred[edge] = fetched[piece]
                        else:
                            c.pred[edge] = begin
                        edge += 1
                        user = local_user[loads % machine.local_chunks]
                        if user >= 0:
                            c.pred[edge] = user
                            edge += 1
                        c.pred_ptr[op + 1] = edge
                        bits = flat.inputs[at_chunk + chunk] * size * steps.weight_bits[step]
                        _op(
                            c,
                            op,
                            WEIGHT_PORT,
                            (bits + machine.port_bits - 1) // machine.port_bits,
                            machine.port_latency,
                            step,
                            PORT_LOAD,
                        )
                        loaded[chunk] = op
                        loads += 1
                        op += 1
                    if machine.preloads == 1:
                        c.pred[edge] = loaded[chunk]
                        edge += 1
                    elif steps.from_dram[step] == 1:
                        c.pred[edge] = fetched[piece]
                        edge += 1
                    c.pred[edge] = begin
                    edge += 1
                    if operand >= 0:
                        c.pred[edge] = operand
                        edge += 1
                    if sums_user[tiles % machine.accumulator_blocks] >= 0:
                        c.pred[edge] = sums_user[tiles % machine.accumulator_blocks]
                        edge += 1
                    c.pred_ptr[op + 1] = edge
                    where = steps.cycles_at[step] + (group * blocks + block) * chunks + chunk
                    _op(
                        c,
                        op,
                        PE_ARRAY,
                        flat.cycles[where],
                        machine.array_latency,
                        step,
                        ARRAY_LATENCY,
                    )
                    if steps.from_dram[step] == 1:
                        slot_user[fetched_slot[piece]] = op
                    if machine.preloads == 1:
                        # The place of the load that this computation read from.
                        if kept_local and block > 0:
                            local_user[(loads - chunks + chunk) % machine.local_chunks] = op
                        else:
                            local_user[(loads - 1) % machine.local_chunks] = op
                    last = op
                    op += 1
                if operand >= 0:
                    operand_user[operands % machine.operand_blocks] = last
                    if tile == width - 1 or not rows_outer:
                        operands += 1
                end = last
                if flat.vector[at_block + block] > 0:
                    state = -1
                    if flat.state_reads[at_block + block] == 1:
                        if sums_user[tiles % machine.accumulator_blocks] >= 0:
                            c.pred[edge] = sums_user[tiles % machine.accumulator_blocks]
                            edge += 1
                        c.pred_ptr[op + 1] = edge
                        _op(
                            c,
                            op,
                            DRAM,
                            flat.state_busy[at_block + block, ragged],
                            machine.dram_latency,
                            step,
                            DRAM_ACTIVATIONS,
                        )
                        state = op
                        op += 1
                    c.pred[edge] = last
                    edge += 1
                    if state >= 0:
                        c.pred[edge] = state
                        edge += 1
                    c.pred_ptr[op + 1] = edge
                    work = flat.vector[at_block + block] * size
                    _op(
                        c,
                        op,
                        VECTOR_UNIT,
                        (work + machine.vector_lanes - 1) // machine.vector_lanes,
                        machine.vector_latency,
                        step,
                        VECTOR_WORK,
                    )
                    end = op
                    op += 1
                sums_user[tiles % machine.accumulator_blocks] = end
                tiles += 1
                tails[ended] = end
                ended += 1
                if flat.state_writes[at_block + block] == 1:
                    c.pred[edge] = end
                    edge += 1
                    c.pred_ptr[op + 1] = edge
                    _op(
                        c,
                        op,
                        DRAM,
                        flat.state_busy[at_block + block, ragged],
                        machine.dram_latency,
                        step,
                        DRAM_ACTIVATIONS,
                    )
                    op += 1
                if flat.spill_busy[at_block + block, ragged] > 0:
                    c.pred[edge] = end
                    edge += 1
                    c.pred_ptr[op + 1] = edge
                    _op(
                        c,
                        op,
                        DRAM,
                        flat.spill_busy[at_block + block, ragged],
                        machine.dram_latency,
                        step,
                        DRAM_ACTIVATIONS,
                    )
                    tails[ended - 1] = op
                    op += 1
        for tail in range(ended):
            c.pred[edge] = tails[tail]
            edge += 1
        c.pred_ptr[op + 1] = edge
        _op(c, op, -1, 0, 0, step, 0)
        end_of[step] = op
        op += 1
    return op
