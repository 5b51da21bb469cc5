"""Causes and tasks of a program, and what the lowering knows of a machine: integers only."""

from __future__ import annotations

from typing import NamedTuple

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
    "interconnect",
    "other_arrays",
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
    INTERCONNECT,
    OTHER_ARRAYS,
) = range(12)

MATRIX, SINGLE = 0, 1
"""Kinds of task: a matrix product, or one operation on one unit."""

ON_CHIP, FROM_DRAM, FROM_GLOBAL = range(3)
"""Where a task's weights come from: they are activations; DRAM; the global buffer, which fetches
each chunk from DRAM once. Pinned chunks are fetched from DRAM once."""

UNDIVIDED, BLOCKS, TILES, GROUPS = range(4)
"""What a task's share of its step is cut from: nothing, row blocks, column tiles, or groups."""


class Machine(NamedTuple):
    """Hold what loops follow from of the machine: integers only."""

    cores: int
    weight_slots: int  # chunks of weights that the weight buffer holds besides pinned ones
    prefetch_chunks: int  # fetched before their use at most, 0 = as many as the buffer holds
    demand_first: int  # 1: their fetches yield to activations
    local_chunks: int  # places in an array, for partial sums, for operand blocks from outside
    sum_blocks: int
    operand_blocks: int
