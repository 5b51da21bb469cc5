"""Units and causes of a program, and what the lowering knows of a machine: integers only."""

from __future__ import annotations

from typing import NamedTuple

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
    "other_images",
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
    OTHER_IMAGES,
) = range(10)

MATRIX, SINGLE = 0, 1
"""Kinds of task: a matrix product, or one operation on one unit."""

ON_CHIP, FROM_DRAM, FROM_GLOBAL = range(3)
"""Where a task's weights come from: they are activations; DRAM; the global buffer, which fetches
each chunk from DRAM once. Pinned chunks are fetched from DRAM once."""

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


class Machine(NamedTuple):
    """What the emission knows of the machine: integers only.

    `cores`: equal cores; `columns`: outputs of a column tile; `preloads`: 1 if weights pass the
    weight port first; `port_bits`: bits a cycle through it; `weight_slots`: chunks of weights that
    the weight buffer holds besides pinned ones; `prefetch_chunks`: chunks that are fetched before
    their use at most, 0 = as many as the weight buffer holds; `local_chunks`, `accumulator_blocks`,
    `operand_blocks`: places in the array, for partial sums, for operand blocks from outside;
    latencies in cycles.
    """

    cores: int
    columns: int
    preloads: int
    port_bits: int
    weight_slots: int
    prefetch_chunks: int
    local_chunks: int
    accumulator_blocks: int
    operand_blocks: int
    array_latency: int
    port_latency: int
    dram_latency: int
    global_latency: int
    vector_lanes: int
    vector_latency: int
