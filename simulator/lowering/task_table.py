"""What the emission of a structure reads: tasks, blocks and units, as integers.

A task is a layer at one timestep (or at all of them), a halting decision or a mask scan, on one
core. A matrix task is a loop over groups, row blocks and column tiles.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Bytes, Ints
from simulator.lowering.tables import Machine
from simulator.lowering.units import RouteTable

(
    T_KIND,  # MATRIX or SINGLE
    T_CORE,
    T_FIRST_DEP,  # tasks that it waits for, in `dep`
    T_LAST_DEP,
    T_GROUPS,  # loops of the step, to T_COLUMN_TILES
    T_BLOCKS,
    T_CHUNKS,
    T_COLUMN_TILES,
    T_RAGGED,  # 1: the last column tile is not full
    T_SHARE,  # what the part of a core is cut from
    T_SOURCE,  # of the weights
    T_KEPT_AT,  # place of the step's first chunk among those that are kept
    T_PINNED,  # chunks of a core's part, from its first on, that stay in its weight buffer
    T_PRESENT,  # 1: what stays is there from an image before
    T_ROWS_OUTER,  # 1: row blocks are the outer loop
    T_OPERAND_UNIT,  # where operands, results and membranes are that are not in the core
    T_SPILL_UNIT,
    T_STATE_UNIT,
    T_BLOCK_AT,  # first block of the step in the list of blocks
    T_FETCH_AT,  # places in the busy row: fetches from DRAM and from the global buffer, loads
    T_GLOBAL_AT,
    T_LOAD_AT,
    T_UNIT,  # of a single operation, or the array
    T_BUSY_AT,  # place in the busy row, of a single operation
    T_LATENCY,
    T_CATEGORY,  # of a single operation
    T_RUNS,  # 0: a single operation is left out
    T_PRELOADS,  # 1: weights are loaded into the array first
    T_ENGINE,  # number of the array in the machine
    T_FILL_CHUNKS,  # chunks that a fetch brings, 0 = one
    T_FETCH_WAITS,  # 1: fetches wait for what the task waits for
    T_NEURONS_LAST,  # 1: element-wise work of all tiles comes after the last of them
    T_RESTART,  # cycles from the end of element-wise work to what waits, beyond their latency
    TASK_COLUMNS,
) = range(34)
"""Columns of the table of tasks."""

F_VECTOR, F_OPERAND, F_SPILL, F_SPILL_RAGGED, F_STATE_READ, F_STATE_WRITE = (
    1 << bit for bit in range(6)
)
"""Flags of a block: what it does besides the product."""

B_BLOCK, B_TILE, B_STRIDE, BLOCK_COLUMNS = range(4)
"""Columns of the list of blocks: a block's number, its first tile in the busy row (of the first
group), and tiles from group to group."""


class SharedUnits(NamedTuple):
    """Number the memories that all cores share, -1 = none, and hold the latencies of units."""

    dram: int
    global_buffer: int
    port_latency: int
    dram_latency: int
    global_latency: int
    vector_latency: int


class BusySections(NamedTuple):
    """Say where sections of the busy row begin.

    They hold an entry a block (operand), or two, of full and ragged column tiles. `links`: how much
    further on in the row a transfer finds its cycles on a link.
    """

    vector: int
    operand: int
    spill: int
    state: int
    links: int


class Tasks(NamedTuple):
    """Hold what the emission reads."""

    machine: Machine
    units: SharedUnits
    at: BusySections
    kept_chunks: int  # chunks of weights that stay
    table: Ints  # int64 (tasks, TASK_COLUMNS)
    dep: Ints  # int64, tasks
    flags: Bytes  # uint8 (blocks,)
    blocks: Ints  # int64 (blocks, BLOCK_COLUMNS), the list that tasks run through
    core_units: Ints  # int64 (cores, 2), weight port and vector unit
    routes: RouteTable  # links that transfers take

    @property
    def key(self) -> tuple[bytes, ...]:
        """Return what a structure follows from."""
        numbers = np.array([*self.machine, *self.units, *self.at, self.kept_chunks], np.int64)
        return tuple(each.tobytes() for each in (numbers, *self[4:9], *self.routes[:3]))
