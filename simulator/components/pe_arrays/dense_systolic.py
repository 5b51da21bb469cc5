"""A systolic array that computes every product, zero or not."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from simulator.components.base import Action, Primitive
from simulator.components.pe_arrays.base import AccumulatorArray, ArrayCost, Tiles
from simulator.config.arrays import Ints


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

    in_lockstep: ClassVar[bool] = True
    example: ClassVar[str] = "kind: dense_systolic\nrows: 8\ncolumns: 32\nstationary: os\n"
    across_taps: ClassVar[bool] = True
    computes_zeros: ClassVar[bool] = True

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

    def held_columns(self, outputs: int) -> int:
        """Return the outputs that pass a fold of inputs: no column of PEs is behind them."""
        return min(self.tile_columns, outputs) if self.stationary == "is" else self.tile_columns

    @property
    def fold_rows(self) -> int:
        return {"os": self.rows, "ws": 1, "is": self.columns}[self.stationary]

    @property
    def tile_inputs(self) -> int:
        return 0 if self.stationary == "os" else self.rows

    @property
    def adders(self) -> int:
        return self.rows * self.columns

    def cost(self, tiles: Tiles) -> ArrayCost:
        sizes, weight_passes = tiles.sizes, np.ones_like(tiles.sizes)
        sums = sizes * tiles.chunks
        if self.stationary == "os":
            weight_passes, sums = -(-sizes // self.rows), sizes
            cycles = tiles.inputs + self.rows + self.columns - 2
            cycles *= weight_passes[tiles.block]
        elif self.stationary == "is":
            weight_passes = -(-sizes // self.columns)
            outputs = np.minimum(tiles.outputs, self.tile_outputs)
            fold_cycles = outputs + 2 * self.rows + self.columns - 2
            cycles = (weight_passes * fold_cycles)[tiles.block]
        else:
            cycles = (sizes + 2 * self.rows + self.columns - 2)[tiles.block]
        positions = tiles.groups * sizes * tiles.product_inputs
        return ArrayCost(
            cycles=cycles,
            per_output=self._arithmetic(tiles, positions),
            per_pass={},
            partial_sum_read_vectors=tiles.groups * (sums - sizes),
            partial_sum_write_vectors=tiles.groups * sums,
            spike_bits=tiles.operand_bits,
            weights_per_output=tiles.groups * tiles.product_inputs * weight_passes,
        )

    def _arithmetic(self, tiles: Tiles, positions: Ints) -> dict[str, Ints]:
        """Count operations of one output: every position, or with gating those that are not zero.

        Which of an integer's planes are set together is not in the counts, so an integer is never
        gated: an upper bound.
        """
        added = tiles.by_block(tiles.tile_ones()) if self.zero_gating else positions
        return {
            "accumulate": np.where(tiles.integer, 0, added),
            "multiply_accumulate": np.where(tiles.integer, positions, 0),
        }

    def actions(self) -> dict[str, Action]:
        add = Primitive("add", bits=self.sum_bits)
        return {
            "accumulate": Action("adds a weight if the spike is 1", (add,)),
            "multiply_accumulate": Action(
                "multiplies a weight and an integer and adds the product",
                (Primitive("multiply", bits=self.precision.factor_bits), add),
            ),
        }
