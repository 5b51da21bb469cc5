"""What every part of the slot pe_arrays offers: tiles of layers in, cycles and counts out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from simulator.components.base import Action, Component, Primitive
from simulator.config.arrays import Bools, Int32s, Ints, Words
from simulator.config.kernels import kernel


class Gather(Protocol):
    """Give the bits behind a run of tiles."""

    def __call__(self, first: int, last: int, /) -> tuple[Words, Ints]: ...


class RowLists(NamedTuple):
    """Hold the operand rows of all blocks.

    ptr: int64 (blocks + 1,), rows of each block.
    timestep, row: int32 (rows,), rows of one `row` are the timesteps of one token or pixel.
    """

    ptr: Ints
    timestep: Int32s
    row: Int32s


class Tiles(NamedTuple):
    """Hold the tiles of some layers of some images: what each operand row asks for in its chunk.

    A block is a run of operand rows that run together; a tile is one chunk of the inputs of one
    group of a block. Tiles come in the order (product, group, block, chunk).

    ones: unsigned (words,), set bits of each (row, plane) of a tile, tile after tile.
    ptr: int64 (tiles + 1,), words of each tile.
    block, chunk, inputs: int64 (tiles,), block of the tile, number of its chunk, inputs of it.
    pool: int64 (tiles,), equal where tiles of an image meet the same chunk of weights.
    sizes, planes, groups, chunks, product_inputs, outputs: int64 (blocks,), operand rows of a
        block, and loops of the product that it belongs to.
    integer: bool (blocks,), planes are digits of one number, which a multiplier may take at once.
    attention: bool (blocks,), the other operand is activations too.
    rows: gives the operand rows, where an array looks at their timesteps.
    sharers: int64 (blocks,), layers that read the same operand in the same way, q, k and v.
    grids: int64 (blocks, 2), height and width of the map whose positions the rows are.
    gather: gives bits, only for an array that `reads_bits`.
    """

    ones: npt.NDArray[Any]
    ptr: Ints
    block: Ints
    chunk: Ints
    inputs: Ints
    pool: Ints
    sizes: Ints
    planes: Ints
    groups: Ints
    chunks: Ints
    product_inputs: Ints
    outputs: Ints
    integer: Bools
    attention: Bools
    rows: Callable[[], RowLists]
    gather: Gather | None = None
    sharers: Ints | None = None
    grids: Ints | None = None

    def word_runs(self, most_bytes: int = 1 << 23) -> Iterator[tuple[int, int, Words, Ints]]:
        """Yield (first tile, last tile, words, ptr) of runs of tiles, bounded in memory.

        words: uint64, of tile k (row, plane, 64 inputs) at ptr[k - first] : ptr[k - first + 1];
        input i of the chunk is bit i % 64 of word i // 64.
        Raises ValueError for an array that does not say `reads_bits`.
        """
        if self.gather is None:
            raise ValueError("the bits of the rows were not offered: the array must say reads_bits")
        words = np.diff(self.ptr) * -(-self.inputs // 64)
        run = np.cumsum(words) // (most_bytes // 8)
        ends = np.append(np.flatnonzero(np.diff(run)) + 1, len(words)).tolist()
        first = 0
        for last in ends:
            if last > first:
                yield (first, last, *self.gather(first, last))
            first = last

    def tile_ones(self) -> Ints:
        """Return int64 (tiles,), set bits of each tile over its rows and planes."""
        total = np.zeros(len(self.ptr), np.int64)
        sum_words(self.ones, self.ptr, total)
        return total[:-1]

    def by_block(self, of_tile: Ints) -> Ints:
        """Return int64 (blocks,), sums over the tiles of each block."""
        total = np.zeros(len(self.sizes), np.int64)
        np.add.at(total, self.block, of_tile)
        return total

    @property
    def tile_rows(self) -> Ints:
        """int64 (tiles,), operand rows of each tile."""
        return self.sizes[self.block]

    @property
    def map_sizes(self) -> Ints:
        """int64 (blocks, 2), height and width of the map; a line where none is known."""
        if self.grids is not None:
            return self.grids
        return np.stack([np.ones_like(self.sizes), np.maximum(self.sizes, 1)], axis=1)

    @property
    def operand_bits(self) -> Ints:
        """int64 (blocks,), bits of all rows, planes, groups and inputs of each block."""
        return self.groups * self.planes * self.sizes * self.product_inputs


class ArrayCost(NamedTuple):
    """Hold what tiles cost on an array.

    cycles: int64 (tiles,), for one column tile.
    The rest is int64 (blocks,), summed over the groups and chunks of a block:
    per_output: counts that are multiplied by the outputs of the product.
    per_pass: counts that are multiplied by its column tiles.
    partial_sum_read_vectors, partial_sum_write_vectors: an accumulator a column, a pass.
    spike_bits: operand bits read, a pass.
    weights_per_output: weights streamed by an array that does not preload them, an output.
    """

    cycles: Ints
    per_output: Mapping[str, Ints]
    per_pass: Mapping[str, Ints]
    partial_sum_read_vectors: Ints
    partial_sum_write_vectors: Ints
    spike_bits: Ints
    weights_per_output: Ints


@kernel
def sum_words(ones: npt.NDArray[Any], ptr: Ints, total: Ints) -> None:
    """Add up the words of each tile."""
    for tile in range(len(ptr) - 1):
        found = np.int64(0)
        for word in range(ptr[tile], ptr[tile + 1]):
            found += np.int64(ones[word])
        total[tile] = found


class PEArray(Component, slot="pe_arrays"):
    """Describe an array of processing elements."""

    monotone: ClassVar[bool] = True
    """Whether a piece with more spikes never takes less time; false where rows share results."""
    reads_bits: ClassVar[bool] = False
    """Whether `cost` looks at the bits of the rows, not only at how many are set."""
    across_taps: ClassVar[bool] = False
    """Whether a chunk may end in the middle of a kernel's tap."""
    in_lockstep: ClassVar[bool] = False
    """Whether all PEs move at once, so without queues and with few flip-flops."""
    entire_maps: ClassVar[bool] = False
    """Whether all rows of a layer must be one block: its cycles follow from the map's shape."""
    fires: ClassVar[bool] = False
    """Whether neurons are in its read-out, so that spikes leave it, or scores go where they go."""
    streams_weights: ClassVar[bool] = False
    """Whether weights come to it over a port of its own, whose time is part of its cycles."""
    walks_inputs: ClassVar[bool] = False
    """Whether the rows of a convolution are input positions, each of which meets all taps."""
    preloads_weights: ClassVar[bool] = False
    """Whether a chunk's weights are copied into the array, through the weight port, first."""
    adds: ClassVar[tuple[str, ...]] = ("accumulate",)
    """Actions in each of which one of the `adders` adds something that is needed: no zero."""
    computes_zeros: ClassVar[bool] = False
    """Whether its adders add zeros too and take an integer at once, so that `adds` says less."""

    @property
    @abstractmethod
    def tile_columns(self) -> int:
        """Outputs that a column tile holds."""

    def held_columns(self, outputs: int) -> int:
        """Return the columns for which a row of sums, or of weights, of a layer takes place."""
        return self.tile_columns

    @property
    def fold_rows(self) -> int:
        """Operand rows of a fold: a block that begins another for fewer takes as long for them."""
        return 1

    @property
    def tile_inputs(self) -> int:
        """Inputs of one chunk at most; 0, where a subclass says nothing: all are one chunk."""
        return 0

    @property
    def stream_rows(self) -> int:
        """Operand rows that share a pass of streamed weights; 0: all that run together."""
        return 0

    @property
    def holds_weights(self) -> bool:
        """Whether all weights lie in the array, so that none are fetched."""
        return False

    @property
    def sum_bits(self) -> int:
        """Width of a partial sum."""
        return self.precision.partial_sums_bits

    @property
    def weight_bits(self) -> int:
        """Width of a weight."""
        return self.precision.weights_bits

    @property
    @abstractmethod
    def pipeline_latency_cycles(self) -> int:
        """Cycles from the end of a tile until its results can be used."""

    @property
    @abstractmethod
    def adders(self) -> int:
        """Adders that the PEs have, each of which adds once a cycle."""

    @property
    def accumulators(self) -> int:
        """Registers of a sum: one for each adder, unless a tree of adders shares one."""
        return self.adders

    @property
    def weight_registers(self) -> int:
        """Registers of a weight, of an array whose PEs move at once."""
        return self.adders

    def logic(self) -> tuple[Primitive, ...]:
        """Return adders, registers of sums, and a multiplier an adder if it multiplies at all."""
        count, bits = self.adders, self.sum_bits
        found = [Primitive("add", bits=bits, times=count)]
        found.append(Primitive("register", bits=bits, times=self.accumulators))
        primitives = [piece for action in self.actions().values() for piece in action.primitives]
        multiplied = max((p.bits for p in primitives if p.operation == "multiply"), default=0)
        if multiplied:
            found.append(Primitive("multiply", bits=multiplied, times=count))
        return tuple(found)

    def stored_weight_bits(self, inputs: int, outputs: int, weight_bits: int) -> int:
        """Return the bits that a piece's weights take in memory, as the array stores them."""
        return inputs * outputs * weight_bits

    def in_part(self) -> Iterator[PEArray]:
        """Yield what this array can act as with a half or a quarter of its rows, or columns."""
        for name in ("rows", "columns"):
            size = getattr(self, name) if name in type(self).model_fields else 1
            for part in (2, 4):
                if size % part == 0:
                    yield self.model_copy(update={name: size // part})

    @abstractmethod
    def cost(self, tiles: Tiles) -> ArrayCost:
        """Return cycles and counts of tiles, of all layers and images in one call."""


class AccumulatorArray(PEArray, base=True):
    """Hold what all arrays of this library state: their pipeline, and an accumulation."""

    accumulates: ClassVar[str] = "adds one weight to one accumulator"
    """What an accumulation is, in words."""

    latency_cycles: int = Field(default=3, ge=0, description="from a tile's end to its results")

    @property
    def pipeline_latency_cycles(self) -> int:
        return self.latency_cycles

    def actions(self) -> dict[str, Action]:
        return {"accumulate": Action(self.accumulates, (Primitive("add", bits=self.sum_bits),))}


class ColumnArray(AccumulatorArray, base=True):
    """Describe an array whose field `columns` is the outputs of a tile, with an adder each."""

    if TYPE_CHECKING:
        columns: int

    @property
    def tile_columns(self) -> int:
        return self.columns

    @property
    def adders(self) -> int:
        return self.columns
