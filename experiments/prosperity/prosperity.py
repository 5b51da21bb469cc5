"""Prosperity's own design, with product sparsity or with bit sparsity only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from experiments.prosperity.cost import OperationCost, memory_stall, tiles
from experiments.prosperity.workload import Attention, Neurons, Operation, Product, pack_rows
from simulator.components.pe_arrays.product_sparse import (
    EMPTIED,
    REMAINING,
    SEARCHED,
    SPIKES,
    product_matrix,
)
from simulator.config.arrays import Words

TILE_ROWS, TILE_INPUTS, TILE_OUTPUTS = 256, 16, 128
WEIGHT_BITS = 8
POPCOUNTS_PER_CYCLE = 8
LIF_LANES = 32
SPIKE_BUFFER_BITS = TILE_ROWS * TILE_INPUTS
WEIGHT_BUFFER_BITS = TILE_INPUTS * TILE_OUTPUTS * WEIGHT_BITS
"""Buffers hold one tile each; the paper's 8, 32 and 96 KB are not in the simulator."""


class _OnChip(NamedTuple):
    """What need not come from DRAM."""

    spikes: bool
    weights: bool


class _Shape(NamedTuple):
    """Rows, inputs and outputs of one product, and its tiles."""

    rows: int
    inputs: int
    outputs: int

    @property
    def row_tiles(self) -> int:
        return tiles(self.rows, TILE_ROWS)

    @property
    def input_tiles(self) -> int:
        return tiles(self.inputs, TILE_INPUTS)

    @property
    def output_tiles(self) -> int:
        return tiles(self.outputs, TILE_OUTPUTS)

    def first_bits(self, on_chip: _OnChip) -> int:
        """Bits that must arrive before the first tile can start."""
        inputs = min(TILE_INPUTS, self.inputs)
        weights = inputs * min(TILE_OUTPUTS, self.outputs) * WEIGHT_BITS
        spikes = inputs * min(TILE_ROWS, self.rows)
        return weights * (not on_chip.weights) + spikes * (not on_chip.spikes)


def prosperity(operations: Iterable[Operation], *, bit_sparse: bool) -> Iterator[OperationCost]:
    """The cost of each operation; `bit_sparse`: every spike is added, nothing is searched.

    Neurons hide behind a product but for its last tile; behind attention as far as it is longer.
    """
    on_chip, before, cost = False, None, None
    for operation in operations:
        if isinstance(operation, Neurons):
            cost, on_chip = _neurons(operation, before, cost)
        elif isinstance(operation, Product):
            cost = _product(operation, on_chip, bit_sparse)
        elif operation.kind == "sdt":
            cost, on_chip = _column_attention(operation, on_chip)
        else:
            cost, on_chip = _attention(operation, on_chip, bit_sparse), False
        before = operation
        yield cost


def _product(operation: Product, on_chip: bool, bit_sparse: bool) -> OperationCost:
    """A linear layer or a convolution; rows are token-major, a token's timesteps neighbours."""
    shape = _Shape(operation.row_count, operation.inputs, operation.outputs)
    words = operation.words().transpose(1, 0, 2).reshape(shape.rows, -1)
    if bit_sparse:
        return _tiled(operation, shape, words, _OnChip(on_chip, False), bit_sparse)
    found = product_matrix(np.ascontiguousarray(words), shape.inputs, TILE_ROWS, TILE_INPUTS)
    compute = int(found[REMAINING] + found[EMPTIED]) * shape.output_tiles
    search = (int(found[SEARCHED]) + shape.rows // POPCOUNTS_PER_CYCLE) * shape.output_tiles
    bits = product_bits(operation)
    first = shape.first_bits(_OnChip(on_chip, False))
    return _cost(operation.name, shape, found, max(compute, search), first, bits)


def product_bits(operation: Product) -> int:
    """DRAM bits that a linear layer or a convolution reads."""
    shape = _Shape(operation.row_count, operation.inputs, operation.outputs)
    weights = shape.inputs * shape.outputs * WEIGHT_BITS * shape.row_tiles
    return weights + shape.rows * shape.inputs * shape.output_tiles // operation.taps


def _tiled(
    operation: Product | Attention,
    shape: _Shape,
    words: Words,
    on_chip: _OnChip,
    bit_sparse: bool,
) -> OperationCost:
    """A product by the per-tile form of the rules: every division is one of a tile."""
    found = product_matrix(np.ascontiguousarray(words), shape.inputs, TILE_ROWS, TILE_INPUTS)
    if bit_sparse:
        found[[REMAINING, EMPTIED, SEARCHED]] = found[SPIKES], 0, 0
    compute = int(found[REMAINING] + found[EMPTIED]) * shape.output_tiles
    sort = sum(rows // POPCOUNTS_PER_CYCLE for rows in _cut(shape.rows, TILE_ROWS))
    search = 0 if bit_sparse else int(found[SEARCHED]) + sort * shape.input_tiles
    bits = _tiled_bits(shape, operation.taps if isinstance(operation, Product) else 1, on_chip)
    cycles = max(compute, search * shape.output_tiles)
    return _cost(operation.name, shape, found, cycles, shape.first_bits(on_chip), bits)


def _tiled_bits(shape: _Shape, taps: int, on_chip: _OnChip) -> int:
    """DRAM bits read tile by tile: an operand that fits its buffer is read once."""
    spikes = sum(
        rows * inputs // taps
        for rows in _cut(shape.rows, TILE_ROWS)
        for inputs in _cut(shape.inputs, TILE_INPUTS)
    )
    if shape.rows * shape.inputs > SPIKE_BUFFER_BITS:
        spikes *= shape.output_tiles
    weights = shape.inputs * shape.outputs * WEIGHT_BITS
    if weights > WEIGHT_BUFFER_BITS and shape.input_tiles > 1:
        weights *= shape.row_tiles
    return spikes * (not on_chip.spikes) + weights * (not on_chip.weights)


def _cut(size: int, tile: int) -> list[int]:
    return [min(tile, size - first) for first in range(0, size, tile)]


def _cost(
    name: str, shape: _Shape, found: np.ndarray, compute: int, first_bits: int, bits: int
) -> OperationCost:
    passes = shape.output_tiles
    return OperationCost(
        name,
        compute_cycles=compute,
        stall_cycles=memory_stall(first_bits, bits, compute),
        dram_read_bits=bits,
        spikes=int(found[SPIKES]) * passes,
        remaining=int(found[REMAINING]) * passes,
        elements=shape.rows * shape.inputs * passes,
    )


def _neurons(
    operation: Neurons, before: Operation | None, cost: OperationCost | None
) -> tuple[OperationCost, bool]:
    """Neurons, and whether their spikes stay on chip."""
    update = 2 * operation.timesteps
    compute = tiles(operation.count, LIF_LANES) * update
    bits = operation.count * operation.timesteps
    stays = bits < SPIKE_BUFFER_BITS
    written = 0 if stays else bits
    found = OperationCost(
        operation.name, compute, memory_stall(0, written, compute), dram_write_bits=written
    )
    last_tile = TILE_ROWS * TILE_OUTPUTS // operation.timesteps
    visible = min(tiles(last_tile, LIF_LANES) * update, compute)
    if isinstance(before, Product):
        return found._replace(hidden_cycles=found.standalone_cycles - visible), stays
    if isinstance(before, Attention) and cost is not None:
        left = max(visible, found.standalone_cycles - cost.standalone_cycles)
        return found._replace(hidden_cycles=found.standalone_cycles - left), stays
    return found, stays


def _attention(operation: Attention, on_chip: bool, bit_sparse: bool) -> OperationCost:
    """Two products a timestep and head: K^T V, then Q with it; with fewer tokens than channels, of
    the same memory with tokens and channels in each other's place, K^T Q, then V with it.
    """
    long, short = _attention_sizes(operation)
    q, k, v = (
        each.reshape(operation.timesteps, long, operation.heads, short).transpose(0, 2, 1, 3)
        for each in operation.bits()
    )
    second = q if operation.tokens > operation.head_dim else v
    inner, outer = _Shape(short, long, short), _Shape(long, short, short)
    both, held = _OnChip(on_chip, on_chip), _OnChip(on_chip, _inner_held(short))
    total = OperationCost(operation.name, 0, dram_write_bits=_attention_writes(operation))
    for step in range(operation.timesteps):
        for head in range(operation.heads):
            first_rows = pack_rows(np.ascontiguousarray(k[step, head].T))
            second_rows = pack_rows(np.ascontiguousarray(second[step, head]))
            for cost in (
                _tiled(operation, inner, first_rows, both, bit_sparse),
                _tiled(operation, outer, second_rows, held, bit_sparse),
            ):
                total = total._replace(
                    compute_cycles=total.compute_cycles + cost.compute_cycles,
                    stall_cycles=total.stall_cycles + cost.stall_cycles,
                    dram_read_bits=total.dram_read_bits + cost.dram_read_bits,
                    spikes=total.spikes + cost.spikes,
                    remaining=total.remaining + cost.remaining,
                    elements=total.elements + cost.elements,
                )
    return total


def _attention_sizes(operation: Attention) -> tuple[int, int]:
    """The larger and the smaller of tokens and channels of a head."""
    sizes = (operation.tokens, operation.head_dim)
    return max(sizes), min(sizes)


def _inner_held(short: int) -> bool:
    """Whether the first product's result stays on chip as the weights of the second."""
    return short * short * WEIGHT_BITS < WEIGHT_BUFFER_BITS


def _attention_writes(operation: Attention) -> int:
    """DRAM bits that the first products write, where they do not stay on chip."""
    long, short = _attention_sizes(operation)
    return 0 if _inner_held(short) else operation.timesteps * operation.heads * long * short


def _attention_bits(operation: Attention, on_chip: bool) -> int:
    """DRAM bits that attention reads, from shapes alone."""
    long, short = _attention_sizes(operation)
    inner, outer = _Shape(short, long, short), _Shape(long, short, short)
    one = _tiled_bits(inner, 1, _OnChip(on_chip, on_chip))
    one += _tiled_bits(outer, 1, _OnChip(on_chip, _inner_held(short)))
    return one * operation.timesteps * operation.heads


def _column_attention(operation: Attention, on_chip: bool) -> tuple[OperationCost, bool]:
    """Mask and column sum, neurons of the columns between the two passes; needs shapes only."""
    size = operation.timesteps * operation.heads * operation.head_dim * operation.tokens
    one_pass = size // TILE_OUTPUTS
    columns = Neurons("", operation.heads * operation.head_dim, operation.timesteps)
    update, _ = _neurons(columns, None, None)
    compute = max(one_pass, update.standalone_cycles) + one_pass
    stays = size < SPIKE_BUFFER_BITS
    read, written = (0 if on_chip else 3 * size), (0 if stays else size)
    first = 0 if on_chip else 3 * operation.tokens * operation.head_dim
    cost = OperationCost(
        operation.name,
        compute_cycles=compute,
        stall_cycles=memory_stall(first, read + written, compute),
        dram_read_bits=read,
        dram_write_bits=written,
    )
    return cost, stays


def dram_bits(operations: Iterable[Operation]) -> int:
    """DRAM bits of a whole network, reads and writes, from shapes alone."""
    on_chip, total = False, 0
    for operation in operations:
        if isinstance(operation, Product):
            total += product_bits(operation)
        elif isinstance(operation, Neurons):
            cost, on_chip = _neurons(operation, None, None)
            total += cost.dram_write_bits
        elif operation.kind == "sdt":
            cost, on_chip = _column_attention(operation, on_chip)
            total += cost.dram_read_bits + cost.dram_write_bits
        else:
            total += _attention_bits(operation, on_chip) + _attention_writes(operation)
            on_chip = False
    return total
