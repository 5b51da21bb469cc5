"""A systolic array that computes every product, zero or not."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from simulator.components.base import Action, Primitive
from simulator.components.pe_arrays.base import ArrayCost, PEArray, Work


class DenseSystolic(PEArray, kind="dense_systolic"):
    """Rows x columns of PEs through which operands move a step a cycle; zeros cost what ones cost.

    Output-stationary (`os`): a fold of rows x columns outputs takes inputs + rows + columns - 2
    cycles. Weight-stationary (`ws`): a fold of rows inputs x columns outputs takes M + 2 rows +
    columns - 2 cycles for M operand rows, their preload included. These are the compute cycles of
    SCALE-Sim 3.0.0 with unlimited bandwidth (which prints the number of the last cycle, counted
    from 0, hence one less in all). With `zero_gating` a PE whose input is 0 spends no energy, yet
    its cycle passes.
    """

    example: ClassVar[str] = "kind: dense_systolic\nrows: 8\ncolumns: 32\nstationary: os\n"

    rows: int = Field(gt=0, le=4096, description="rows of PEs")
    columns: int = Field(gt=0, le=4096, description="columns of PEs")
    stationary: Literal["os", "ws"] = Field(
        default="os", description="what stays in a PE: its output (os) or its weight (ws)"
    )
    zero_gating: bool = Field(default=False, description="a PE with a zero input spends no energy")
    weight_bits: int = Field(default=8, gt=0, le=32, description="bits of a weight")
    sum_bits: int = Field(default=16, ge=8, le=32, description="bits of an accumulator")
    latency_cycles: int = Field(
        default=3, ge=0, description="write back, after a tile's last cycle"
    )

    @property
    def tile_columns(self) -> int:
        return self.columns

    @property
    def tile_inputs(self) -> int:
        return 0 if self.stationary == "os" else self.rows

    @property
    def across_taps(self) -> bool:
        return True

    @property
    def accumulator_bits(self) -> int:
        return self.sum_bits

    @property
    def pipeline_latency_cycles(self) -> int:
        return self.latency_cycles

    @property
    def peak_accumulations_per_cycle(self) -> int:
        return self.rows * self.columns

    def cost(self, work: Work) -> ArrayCost:
        groups, rows, planes, chunks = work.ones.shape
        sizes = np.diff(work.block_ptr)
        inputs = int(work.chunk_inputs.sum())
        if self.stationary == "os":
            folds = -(-sizes // self.rows)
            fold_cycles = work.chunk_inputs + self.rows + self.columns - 2
            cycles = folds[:, None] * fold_cycles[None, :]
            weights_per_output, sums = int(folds.sum()) * inputs, rows
        else:
            fixed = 2 * self.rows + self.columns - 2
            cycles = np.repeat((sizes + fixed)[:, None], chunks, axis=1)
            weights_per_output, sums = len(sizes) * inputs, rows * chunks
        positions = groups * rows * inputs
        done = int(np.count_nonzero(work.ones)) if work.integer else int(work.ones.sum())
        if work.integer and self.zero_gating:
            # Non-zero values are not known by chunk, only ones by plane: their sum bounds them.
            done = min(positions, int(work.ones.sum()))
        spent = done if self.zero_gating else positions
        kind = "multiply_accumulate" if work.integer else "accumulate"
        return ArrayCost(
            cycles=np.broadcast_to(cycles, (groups, *cycles.shape)).astype(np.int64),
            per_output={kind: spent},
            per_pass={},
            partial_sum_read_vectors=groups * (sums - rows),
            partial_sum_write_vectors=groups * sums,
            spike_bits=positions * planes,
            weights_per_output=groups * weights_per_output,
        )

    def actions(self) -> dict[str, Action]:
        add = Primitive("add", bits=self.sum_bits)
        return {
            "accumulate": Action("adds a weight if the spike is 1", (add,)),
            "multiply_accumulate": Action(
                "multiplies a weight and an integer of up to 8 bits and adds the product",
                (Primitive("multiply", bits=8), add),
            ),
        }
