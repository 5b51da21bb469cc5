"""PEs that each take operand rows, dealt out by the load they have."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from simulator.components.base import Action, Primitive
from simulator.components.pe_arrays.base import AccumulatorArray, ArrayCost, Tiles
from simulator.config.arrays import Ints
from simulator.config.kernels import allocating_kernel


class SortedRows(AccumulatorArray, kind="sorted_rows"):
    """Each row goes to the PE with the fewest spikes so far; a PE adds a spike a cycle.

    The rows of a block are dealt in the order timestep, then token, of equal PEs to the first. All
    PEs work on the same output, then on the next, so a column tile is one output and takes the
    load of the fullest PE. An integer operand is dealt plane by plane as rows of its own. Source:
    SATO (DAC'22: spikes of all timesteps together, bucket-sorted for balance) as re-modelled in
    Prosperity's public simulator (HPCA'25), whose rule this is for one block of all rows.
    Approximate: the bucket sort itself takes no time, since it runs ahead of the PEs.
    """

    example: ClassVar[str] = "kind: sorted_rows\nrows: 128\n"
    monotone: ClassVar[bool] = False
    """A longer row can send the rows after it to better places."""

    rows: int = Field(gt=0, le=4096, description="PEs, each with operand rows of its own")
    latency_cycles: int = Field(default=3, ge=0, description="read, add and write back")

    @property
    def tile_columns(self) -> int:
        return 1

    @property
    def adders(self) -> int:
        return self.rows

    def cost(self, tiles: Tiles) -> ArrayCost:
        rows = tiles.rows()
        block = np.repeat(np.arange(len(tiles.sizes)), tiles.sizes)
        order = np.lexsort((rows.row, rows.timestep, block))
        loads = np.empty(len(tiles.block), np.int64)
        _deal(tiles.ones, tiles.ptr, tiles.block, rows.ptr, order, tiles.planes, self.rows, loads)
        ones = tiles.by_block(tiles.tile_ones())
        visits = tiles.groups * tiles.chunks * tiles.sizes
        return ArrayCost(
            cycles=np.maximum(loads, 1),
            per_output={"accumulate": ones},
            per_pass={"deal_row": tiles.planes * visits},
            partial_sum_read_vectors=visits - tiles.groups * tiles.sizes,
            partial_sum_write_vectors=visits,
            spike_bits=tiles.operand_bits,
            weights_per_output=ones,
        )

    def actions(self) -> dict[str, Action]:
        return super().actions() | {
            "deal_row": Action(
                "finds the least loaded PE for a row (a compare of 16 bits a level of a tree)",
                (Primitive("compare", bits=16, times=max(1, (self.rows - 1).bit_length())),),
            ),
        }


@allocating_kernel
def fullest_load(spikes: Ints, pes: int) -> int:
    """Return the spikes of the fullest PE, each row going to the least loaded, of equals the first.

    PEs are a heap of (load, PE), each as one number. A row without spikes changes no load.
    """
    heap = np.arange(pes + 1)
    # A last child has this neighbour, which is never the smaller.
    heap[pes] = np.iinfo(np.int64).max
    most = 0
    for count in spikes:
        if count == 0:
            continue
        key = heap[0] + count * pes
        most = max(most, key)
        place, child = 0, 1
        while child < pes:
            child += heap[child + 1] < heap[child]
            if key <= heap[child]:
                break
            heap[place] = heap[child]
            place, child = child, 2 * child + 1
        heap[place] = key
    return most // pes


@allocating_kernel
def _deal(
    ones: npt.NDArray[Any],
    ptr: Ints,
    block: Ints,
    row_ptr: Ints,
    order: Ints,
    planes: Ints,
    pes: int,
    loads: Ints,
) -> None:
    """Fill the load of the fullest PE of each tile; order: the rows of each block as dealt."""
    spikes = np.empty(np.diff(ptr).max() if len(block) else 0, np.int64)
    for tile in range(len(block)):
        begin, end = row_ptr[block[tile]], row_ptr[block[tile] + 1]
        count, depth = 0, planes[block[tile]]
        for place in range(begin, end):
            word = ptr[tile] + (order[place] - begin) * depth
            for plane in range(depth):
                spikes[count] = ones[word + plane]
                count += 1
        loads[tile] = fullest_load(spikes[:count], pes)
