"""PEs that each take whole operand rows, dealt out by the load they have."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numba import njit
from pydantic import Field

from simulator.components.base import Action, Primitive
from simulator.components.pe_arrays.base import AccumulatorArray, ArrayCost, Ints, Work


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
    def peak_accumulations_per_cycle(self) -> int:
        return self.rows

    def cost(self, work: Work) -> ArrayCost:
        groups, _, planes, chunks = work.ones.shape
        sizes = np.diff(work.block_ptr)
        cycles = np.ones((groups, len(sizes), chunks), np.int64)
        for block, (first, last) in enumerate(
            zip(work.block_ptr[:-1], work.block_ptr[1:], strict=True)
        ):
            order = np.lexsort((work.row[first:last], work.timestep[first:last]))
            for group, chunk in np.ndindex(groups, chunks):
                spikes = work.ones[group, first:last][order, :, chunk].ravel().astype(np.int64)
                cycles[group, block, chunk] = max(1, fullest_load(spikes, self.rows))
        ones = work.block_ones()
        return ArrayCost(
            cycles=cycles,
            per_output={"accumulate": ones},
            per_pass={"deal_row": groups * planes * chunks * sizes},
            partial_sum_read_vectors=groups * sizes * (chunks - 1),
            partial_sum_write_vectors=groups * sizes * chunks,
            spike_bits=groups * planes * sizes * int(work.chunk_inputs.sum()),
            weights_per_output=ones,
        )

    def actions(self) -> dict[str, Action]:
        return {
            "accumulate": Action(
                "adds one weight to one accumulator", (Primitive("add", bits=self.sum_bits),)
            ),
            "deal_row": Action(
                "finds the least loaded PE for a row (a compare of 16 bits a level of a tree)",
                (Primitive("compare", bits=16, times=max(1, (self.rows - 1).bit_length())),),
            ),
        }


@njit(cache=True, nogil=True)
def fullest_load(spikes: Ints, pes: int) -> int:
    """Spikes of the fullest PE when each row goes to the least loaded one, of equals the first."""
    load = np.zeros(pes, np.int64)
    for row in range(len(spikes)):
        least = 0
        for pe in range(1, pes):
            if load[pe] < load[least]:
                least = pe
        load[least] += spikes[row]
    return int(load.max())
