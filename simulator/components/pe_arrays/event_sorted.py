"""PEs side by side that take the spikes of a token in the order of their time."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from simulator.components.base import Action, Primitive
from simulator.components.pe_arrays.base import ArrayCost, ColumnArray, Tiles
from simulator.components.pe_arrays.windows import windows

ALL_TIMESTEPS = 1 << 30
"""A window that no token leaves."""


class EventSorted(ColumnArray, kind="event_sorted"):
    """A sorted stream of a token's spikes passes all PEs, a spike a cycle; PEs keep their neuron.

    A merge of `merge_inputs` streams puts the spikes of all inputs and timesteps of a token or
    pixel into the order of their time; each is broadcast to `columns` PEs, which add their weight
    of its input and keep the membrane in a register until the token's last spike. So a token takes
    as many cycles as it has spikes, and `token_cycles` for filling the merge and draining the
    results. No partial sums leave a PE, for which a tile holds the weights of all inputs. Source:
    SpinalFlow (ISCA'20), which codes a value in the time of at most one spike; here a neuron may
    spike at every timestep, as Transformers do, so its stream is longer than the paper's.
    """

    example: ClassVar[str] = "kind: event_sorted\ncolumns: 128\n"

    columns: int = Field(gt=0, le=4096, description="PEs, one an output of a tile")
    merge_inputs: int = Field(default=16, gt=1, le=1024, description="streams of the merge")
    token_cycles: int = Field(default=4, ge=0, le=1024, description="fill and drain, of each token")
    latency_cycles: int = Field(default=3, ge=0, description="add, compare and write back")

    def cost(self, tiles: Tiles) -> ArrayCost:
        tokens = np.diff(windows(tiles.rows(), ALL_TIMESTEPS).ptr)
        spikes = tiles.tile_ones()
        ones = tiles.by_block(spikes)
        return ArrayCost(
            cycles=np.maximum(spikes + (tokens * self.token_cycles)[tiles.block], 1),
            per_output={"accumulate": ones},
            per_pass={"merge": ones},
            partial_sum_read_vectors=np.zeros_like(ones),
            partial_sum_write_vectors=tiles.groups * tiles.sizes,
            spike_bits=tiles.operand_bits,
            weights_per_output=ones,
        )

    def actions(self) -> dict[str, Action]:
        levels = (self.merge_inputs - 1).bit_length()
        return super().actions() | {
            "merge": Action(
                "passes a spike through the merge (a compare of 8 bits at each level of its tree)",
                (Primitive("compare", bits=8, times=levels),),
            ),
        }
