"""A systolic array that computes every product, zero or not."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from simulator.components.base import Action, Primitive
from simulator.components.pe_arrays.base import AccumulatorArray, ArrayCost, Ints, Work


class DenseSystolic(AccumulatorArray, kind="dense_systolic"):
    """Rows x columns of PEs through which operands move a step a cycle; zeros cost what ones cost.

    Output-stationary (`os`): a fold of rows x columns outputs takes inputs + rows + columns - 2
    cycles. Weight-stationary (`ws`): a fold of rows inputs x columns outputs takes M + 2 rows +
    columns - 2 cycles for M operand rows, their preload included. Input-stationary (`is`): a fold
    of rows inputs x columns operand rows takes N + 2 rows + columns - 2 cycles for N outputs, of
    which a tile has `tile_outputs` at most; tiles are charged as the widest of a layer. These are
    the compute cycles of SCALE-Sim 3.0.0 with unlimited bandwidth (which prints the number of the
    last cycle, counted from 0, hence one less in all), for `is` while N fits one tile. With
    `zero_gating` a PE whose input is 0 spends no energy, yet its cycle passes (binary inputs only:
    integers are always multiplied).
    """

    example: ClassVar[str] = "kind: dense_systolic\nrows: 8\ncolumns: 32\nstationary: os\n"
    across_taps: ClassVar[bool] = True

    rows: int = Field(gt=0, le=4096, description="rows of PEs")
    columns: int = Field(gt=0, le=4096, description="columns of PEs")
    stationary: Literal["os", "ws", "is"] = Field(
        default="os", description="what stays in a PE: its output (os), weight (ws) or input (is)"
    )
    tile_outputs: int = Field(
        default=512, gt=0, le=65536, description="outputs that pass one fold of inputs (is only)"
    )
    zero_gating: bool = Field(default=False, description="a PE with a zero input spends no energy")
    latency_cycles: int = Field(
        default=3, ge=0, description="write back, after a tile's last cycle"
    )

    @property
    def tile_columns(self) -> int:
        return self.tile_outputs if self.stationary == "is" else self.columns

    @property
    def tile_inputs(self) -> int:
        return 0 if self.stationary == "os" else self.rows

    @property
    def peak_accumulations_per_cycle(self) -> int:
        return self.rows * self.columns

    def cost(self, work: Work) -> ArrayCost:
        groups, _, planes, chunks = work.ones.shape
        sizes = np.diff(work.block_ptr)
        inputs = int(work.chunk_inputs.sum())
        if self.stationary == "os":
            folds = -(-sizes // self.rows)
            cycles = folds[:, None] * (work.chunk_inputs + self.rows + self.columns - 2)[None, :]
            weight_passes, sums = folds, sizes
        elif self.stationary == "is":
            outputs = np.minimum(work.outputs, self.tile_outputs)
            folds = -(-sizes // self.columns)
            fold_cycles = outputs + 2 * self.rows + self.columns - 2
            cycles = np.repeat((folds * fold_cycles)[:, None], chunks, axis=1)
            weight_passes, sums = folds, sizes * chunks
        else:
            fixed = 2 * self.rows + self.columns - 2
            cycles = np.repeat((sizes + fixed)[:, None], chunks, axis=1)
            weight_passes, sums = np.ones_like(sizes), sizes * chunks
        positions = groups * sizes * inputs
        return ArrayCost(
            cycles=np.repeat(cycles[None].astype(np.int64), groups, axis=0),
            per_output=self._arithmetic(work, positions),
            per_pass={},
            partial_sum_read_vectors=groups * (sums - sizes),
            partial_sum_write_vectors=groups * sums,
            spike_bits=positions * planes,
            weights_per_output=groups * weight_passes * inputs,
        )

    def _arithmetic(self, work: Work, positions: Ints) -> dict[str, Ints]:
        """Operations for one output: every position, or with gating those that are not zero."""
        if work.integer:
            # Which of an integer's planes are set together is not in the counts, so an integer
            # is never gated: an upper bound.
            return {"multiply_accumulate": positions}
        if not self.zero_gating:
            return {"accumulate": positions}
        return {"accumulate": work.block_ones()}

    def actions(self) -> dict[str, Action]:
        add = Primitive("add", bits=self.sum_bits)
        return {
            "accumulate": Action("adds a weight if the spike is 1", (add,)),
            "multiply_accumulate": Action(
                "multiplies a weight and an integer of up to 8 bits and adds the product",
                (Primitive("multiply", bits=8), add),
            ),
        }
