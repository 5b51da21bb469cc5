"""What every part of the slot pe_arrays offers: pieces of a layer in, cycles and counts out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from simulator.components.base import Component, Primitive

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]


class Gather(Protocol):
    """What gives the bits of one chunk of one group, uint64 (row, plane, word)."""

    def __call__(self, group: int, chunk: int, /) -> Words: ...


class Work(NamedTuple):
    """The pieces of one layer: what each row asks for in each chunk of inputs.

    `ones`: int32 (group, row, plane, chunk), set bits; `block_ptr` (blocks + 1,): rows of each
    block; `chunk_inputs` (chunk,): inputs of each chunk; `integer`: the planes are digits of one
    number, which an array with multipliers may take at once; `timestep`, `row`: int32 (row,), what
    each row is: rows of one `row` are the timesteps of one token or pixel; `outputs` (block,): of
    the product that a block belongs to; `attention`: the other operand is activations too;
    `gather`: of a group and a chunk, the bits behind `ones`, only for an array that `reads_bits`.
    """

    ones: npt.NDArray[np.int32]
    block_ptr: Ints
    chunk_inputs: Ints
    integer: bool
    timestep: npt.NDArray[np.int32]
    row: npt.NDArray[np.int32]
    outputs: Ints
    attention: bool = False
    gather: Gather | None = None

    def bits(self, group: int, chunk: int) -> Words:
        """uint64 (row, plane, word): the inputs of a chunk, input i is bit i % 64 of word i // 64.

        Gathered anew at each call, so that no more than one chunk is held.
        """
        if self.gather is None:
            raise ValueError("the bits of the rows were not offered: the array must say reads_bits")
        return self.gather(group, chunk)

    def piece_ones(self) -> Ints:
        """int64 (group, block, chunk): set bits of each piece, over its rows and planes."""
        by_row = self.ones.sum(axis=2, dtype=np.int64)
        total = np.zeros((by_row.shape[0], by_row.shape[1] + 1, by_row.shape[2]), np.int64)
        np.cumsum(by_row, axis=1, out=total[:, 1:])
        pieces: Ints = total[:, self.block_ptr[1:]] - total[:, self.block_ptr[:-1]]
        return pieces

    def block_ones(self) -> Ints:
        """int64 (block,): set bits of each block, over groups, planes and chunks."""
        ones: Ints = self.piece_ones().sum(axis=(0, 2))
        return ones


class ArrayCost(NamedTuple):
    """What a layer costs on an array; every count is int64 (block,), summed over the groups.

    `cycles`: int64 (group, block, chunk), for one column tile. `per_output`: counts to be
    multiplied by the outputs of the layer, `per_pass`: by its column tiles. The other fields are
    buffer traffic for one column tile (`..._vectors`: an accumulator for each column;
    `spike_bits`: operand bits) or one output (`weights_per_output`: weights streamed by an array
    that does not preload them).
    """

    cycles: Ints
    per_output: Mapping[str, Ints]
    per_pass: Mapping[str, Ints]
    partial_sum_read_vectors: Ints
    partial_sum_write_vectors: Ints
    spike_bits: Ints
    weights_per_output: Ints


class PEArray(Component, slot="pe_arrays"):
    """An array of processing elements."""

    monotone: ClassVar[bool] = True
    """Whether a piece with more spikes never takes less time; false where rows share results."""
    reads_bits: ClassVar[bool] = False
    """Whether `cost` looks at the bits of the rows, not only at how many are set."""
    across_taps: ClassVar[bool] = False
    """Whether a chunk may end in the middle of a kernel's tap."""
    preloads_weights: ClassVar[bool] = False
    """Whether a chunk's weights are copied into the array, through the weight port, first."""

    @property
    @abstractmethod
    def tile_columns(self) -> int:
        """Outputs that a column tile holds."""

    @property
    def tile_inputs(self) -> int:
        """Inputs of one chunk at most; 0, where a subclass says nothing: all are one chunk."""
        return 0

    @property
    @abstractmethod
    def accumulator_bits(self) -> int:
        """Width of a partial sum."""

    @property
    @abstractmethod
    def pipeline_latency_cycles(self) -> int:
        """Cycles from the end of a tile until its results can be used."""

    @property
    @abstractmethod
    def peak_accumulations_per_cycle(self) -> int:
        """Accumulations a cycle if every PE is busy with useful work."""

    @property
    def adders(self) -> int:
        """Adders that the PEs have: fewer than its peak where sums are reused or skipped."""
        return self.peak_accumulations_per_cycle

    def logic(self) -> tuple[Primitive, ...]:
        """Adders, a sum register for each, and as many multipliers if it multiplies at all."""
        count, bits = self.adders, self.accumulator_bits
        found = [Primitive("add", bits=bits, times=count)]
        found.append(Primitive("register", bits=bits, times=count))
        primitives = [piece for action in self.actions().values() for piece in action.primitives]
        multiplied = max((p.bits for p in primitives if p.operation == "multiply"), default=0)
        if multiplied:
            found.append(Primitive("multiply", bits=multiplied, times=count))
        return tuple(found)

    def stored_weight_bits(self, inputs: int, outputs: int, weight_bits: int) -> int:
        """Bits that the weights of a piece take in memory, as the array stores them."""
        return inputs * outputs * weight_bits

    @abstractmethod
    def cost(self, work: Work) -> ArrayCost:
        """Cycles and counts of the pieces of a layer."""


class AccumulatorArray(PEArray, base=True):
    """What all arrays of this library state: their weights, their accumulators, their pipeline."""

    weight_bits: int = Field(default=8, gt=0, le=32, description="bits of a weight")
    sum_bits: int = Field(default=16, ge=8, le=32, description="bits of an accumulator")
    latency_cycles: int = Field(default=3, ge=0, description="from a tile's end to its results")

    @property
    def accumulator_bits(self) -> int:
        return self.sum_bits

    @property
    def pipeline_latency_cycles(self) -> int:
        return self.latency_cycles
