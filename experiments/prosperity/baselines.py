"""PTB, SATO, MINT and Eyeriss as Prosperity's simulator models them.

PTB, SATO and MINT have no attention there, Eyeriss has it only as `Eyeriss_linear`: what a design
leaves out yields no cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import log2

import numpy as np

from experiments.prosperity.cost import OperationCost, memory_stall, tiles
from experiments.prosperity.workload import Neurons, Operation, Product
from simulator.components.pe_arrays.sorted_rows import fullest_load
from simulator.components.pe_arrays.time_batched import window_slots
from simulator.config.arrays import Words

PES = 128
PTB_ROWS, PTB_COLUMNS, PTB_WINDOW = 16, 8, 4
EYERISS_ROWS, EYERISS_COLUMNS = 14, 12


def eyeriss(operations: Iterable[Operation], *, attention: bool) -> Iterator[OperationCost]:
    """Weight-stationary on 14 x 12 PEs, from shapes alone; `attention`: as dense products."""
    for operation in operations:
        if isinstance(operation, Product):
            moved = operation.inputs * operation.row_count // EYERISS_ROWS
            yield OperationCost(operation.name, tiles(operation.outputs, EYERISS_COLUMNS) * moved)
        elif isinstance(operation, Neurons):
            cycles = operation.timesteps // EYERISS_COLUMNS * operation.count // EYERISS_ROWS
            yield OperationCost(operation.name, cycles)
        elif attention:
            size = operation.tokens * operation.head_dim * operation.heads * operation.timesteps
            operations_done = size * (4 if operation.kind == "sdt" else 2 * operation.tokens)
            yield OperationCost(operation.name, operations_done // (EYERISS_ROWS * EYERISS_COLUMNS))


def mint(operations: Iterable[Operation]) -> Iterator[OperationCost]:
    """A spike a cycle on 128 outputs."""
    for operation in operations:
        if isinstance(operation, Product):
            spikes = int(np.bitwise_count(operation.words()).sum(dtype=np.int64))
            yield OperationCost(operation.name, spikes * tiles(operation.outputs, PES))
        elif isinstance(operation, Neurons):
            yield OperationCost(operation.name, _systolic_neurons(operation))


def sato(operations: Iterable[Operation]) -> Iterator[OperationCost]:
    """Rows dealt to the least loaded of 128 PEs, an output after the other."""
    for operation in operations:
        if isinstance(operation, Product):
            words = operation.words()
            spikes = np.bitwise_count(words).sum(axis=2, dtype=np.int64).ravel()
            yield OperationCost(operation.name, int(fullest_load(spikes, PES)) * operation.outputs)
        elif isinstance(operation, Neurons):
            yield OperationCost(operation.name, operation.count * (log2(operation.timesteps) + 1))


def ptb(operations: Iterable[Operation]) -> Iterator[OperationCost]:
    """Windows of 4 timesteps on 16 x 8 PEs, with StSAP."""
    for operation in operations:
        if isinstance(operation, Product):
            yield _windowed(operation)
        elif isinstance(operation, Neurons):
            yield OperationCost(operation.name, _systolic_neurons(operation))


def _systolic_neurons(operation: Neurons) -> int:
    return operation.count * operation.timesteps * 3 // PTB_ROWS


def _windowed(operation: Product) -> OperationCost:
    """A product with its timesteps summed over windows; T is padded to a power of two."""
    joined = windows_of(operation.words())
    found = np.zeros(3, np.int64)
    if operation.positions > 1:
        slots = window_slots(joined, operation.inputs, PTB_COLUMNS, found)
    else:
        # The peer looks for partners among the inputs here, and finds none: each input takes its
        # own slot unless it is silent in all windows.
        slots = int(np.bitwise_count(np.bitwise_or.reduce(joined)).sum())
    compute = slots * tiles(operation.outputs, PTB_ROWS) * PTB_WINDOW
    compute += operation.positions * PTB_ROWS * 2
    rows, inputs, outputs = operation.row_count, operation.inputs, operation.outputs
    read, written = rows * inputs + inputs * outputs * 8, rows * outputs
    first = PTB_ROWS * PTB_COLUMNS * (8 + PTB_WINDOW)
    stall = memory_stall(first, read + written, compute)
    return OperationCost(operation.name, compute, stall, read, written)


def windows_of(words: Words) -> Words:
    """uint64 (window x position, word), window-major: inputs that spike within each window.

    Windows are of 4 timesteps of a number padded to a power of two; of fewer than 4 timesteps,
    one window.
    """
    timesteps, positions, width = words.shape
    padded = 1 << (timesteps - 1).bit_length()
    count = max(1, padded // PTB_WINDOW)
    joined = np.zeros((count, positions, width), np.uint64)
    for step in range(timesteps):
        joined[step // PTB_WINDOW] |= words[step]
    return joined.reshape(count * positions, width)
