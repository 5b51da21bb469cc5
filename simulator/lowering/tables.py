"""What the emission of a program reads and writes: units, causes, and tables of integers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

UNITS = ("pe_array", "weight_port", "dram", "vector_unit", "token_skip", "global_buffer")
PE_ARRAY, WEIGHT_PORT, DRAM, VECTOR_UNIT, TOKEN_SKIP, GLOBAL_BUFFER = range(6)
FURTHER_CORES = len(UNITS)
"""From here on stand the array, weight port and vector unit of cores 1, 2, ..., three a core."""

CATEGORIES = (
    "array_latency",
    "weight_port",
    "dram_weights",
    "dram_activations",
    "vector_unit",
    "token_skip",
    "halting",
    "global_buffer",
    "other_cores",
)
(
    ARRAY_LATENCY,
    PORT_LOAD,
    DRAM_WEIGHTS,
    DRAM_ACTIVATIONS,
    VECTOR_WORK,
    MASK_SCAN,
    HALTING,
    GLOBAL_TRAFFIC,
    OTHER_CORES,
) = range(9)

MATRIX, SINGLE = 0, 1
"""Kinds of task: a matrix product, or one operation on one unit."""

ON_CHIP, FROM_DRAM, FROM_GLOBAL, RESIDENT = range(4)
"""Where a task's weights come from: they are activations; DRAM; the global buffer, which fetches
each chunk from DRAM once; DRAM once, and then they stay in the weight buffer."""

WHOLE, BLOCKS, TILES, GROUPS = range(4)
"""What a task's share of its step is cut from: nothing, row blocks, column tiles, or groups."""


def unit_names(cores: int, has_global_buffer: bool) -> tuple[str, ...]:
    """The units of a machine in order of their index; with several cores each names its own."""
    shared = UNITS if has_global_buffer else UNITS[:GLOBAL_BUFFER]
    if cores == 1:
        return shared
    own = (UNITS[PE_ARRAY], UNITS[WEIGHT_PORT], UNITS[VECTOR_UNIT])
    first = tuple(f"cores.0.{name}" if name in own else name for name in shared)
    return first + tuple(f"cores.{core}.{name}" for core in range(1, cores) for name in own)


def units_of(kind: int, cores: int) -> tuple[int, ...]:
    """The unit of this kind of each core: `PE_ARRAY`, `WEIGHT_PORT` or `VECTOR_UNIT`."""
    place = {PE_ARRAY: 0, WEIGHT_PORT: 1, VECTOR_UNIT: 2}[kind]
    return (kind, *(FURTHER_CORES + 3 * (core - 1) + place for core in range(1, cores)))


def shares(total: int, cores: int) -> Ints:
    """How many of `total` blocks, tiles or groups each core takes."""
    return np.diff(np.arange(cores + 1, dtype=np.int64) * total // cores)


class Machine(NamedTuple):
    """What the emission knows of the machine: integers only.

    `cores`: equal cores; `columns`: outputs of a column tile; `preloads`: 1 if weights pass the
    weight port first; `port_bits`: bits a cycle through it; `weight_slots`: chunks of weights that
    the weight buffer holds besides resident ones; `local_chunks`, `accumulator_blocks`,
    `operand_blocks`: places in the array, for partial sums, for operand blocks from outside;
    latencies in cycles.
    """

    cores: int
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
    global_latency: int
    vector_lanes: int
    vector_latency: int


class Tasks(NamedTuple):
    """A step on a core is a task, one a row; offsets point into `Flat`. All int64 (tasks,).

    `kind`; `core`; `dep_ptr`, `dep` (edges,): tasks it waits for; `groups`, `blocks`,
    `chunks`, `outputs`: loops of the step; `share`: what the core's part of them is cut from;
    `weight_bits`; `source` of the weights; `kept_at`: place of the step's first chunk among those
    that are kept; `rows_outer`: row blocks are the outer loop; `operand_unit`, `spill_unit`,
    `state_unit`: where operands, results and membranes are that are not in the core's own buffers;
    `cycles_at`, `block_at`, `chunk_at`: offsets; `unit`, `busy`, `latency`, `category`: of a
    single operation.
    """

    kind: Ints
    core: Ints
    dep_ptr: Ints
    dep: Ints
    groups: Ints
    blocks: Ints
    chunks: Ints
    outputs: Ints
    share: Ints
    weight_bits: Ints
    source: Ints
    kept_at: Ints
    rows_outer: Ints
    operand_unit: Ints
    spill_unit: Ints
    state_unit: Ints
    cycles_at: Ints
    block_at: Ints
    chunk_at: Ints
    unit: Ints
    busy: Ints
    latency: Ints
    category: Ints


class Flat(NamedTuple):
    """Tables that the tasks point into, int64.

    `cycles` [cycles_at + (group * blocks + block) * chunks + chunk]: of the array, a column tile;
    `vector` [block_at + block]: element-cycles for each column of a block; `operand_busy`: cycles
    to read a block's operand, of one group, from outside the core, 0 = it is inside; `spill_busy`,
    `state_busy` [.., 2]: cycles to write a tile's results and to move its membranes, for full and
    for ragged column tiles; `state_reads`, `state_writes`: 1 where membranes come from and go to a
    memory outside; `inputs`, `fetch_busy`, `global_busy` [chunk_at + chunk, 2]: inputs of a chunk,
    cycles to fetch its weights from DRAM and from the global buffer.
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
    global_busy: Ints


PAIRS = ("spill_busy", "state_busy", "fetch_busy", "global_busy")
"""The tables of `Flat` with two columns."""


class Columns(NamedTuple):
    """The program under construction: ops with task and category, and edges."""

    unit: npt.NDArray[np.int32]
    busy: Ints
    latency: Ints
    task: npt.NDArray[np.int32]
    category: npt.NDArray[np.int32]
    pred_ptr: Ints
    pred: npt.NDArray[np.int32]
