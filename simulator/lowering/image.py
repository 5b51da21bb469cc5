"""One image on a plan: the program that an engine replays, and the counts that are priced."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.lowering.counts import (
    Key,
    count_array,
    count_results,
    count_weights,
)
from simulator.lowering.elementwise import fill_elements
from simulator.lowering.emit import emit
from simulator.lowering.filling import Filling, unit_of
from simulator.lowering.halting import fill_scans_and_halting
from simulator.lowering.pieces import Pieces, RowCache, layer_pieces
from simulator.lowering.plan import LayerPlan, Plan
from simulator.lowering.tables import (
    FROM_DRAM,
    MATRIX,
    VECTOR_UNIT,
    VECTOR_WORK,
    Columns,
)
from simulator.lowering.traffic import move_states_and_spills, read_operands
from simulator.program import Program
from simulator.trace import Image

Ints = npt.NDArray[np.int64]


class Lowered(NamedTuple):
    """A program with the meaning of its units and ops, and the counts of the image.

    `unit_names`: of the program's units; `op_step`, `op_layer`, `op_category`: int32 (ops,), step
    of the plan, layer, index into CATEGORIES; `counts`: by (layer, part, action); the others are
    int64 (layers,): useful accumulations, DRAM bits, rows with nothing halted and live rows.
    """

    program: Program
    unit_names: tuple[str, ...]
    op_step: npt.NDArray[np.int32]
    op_layer: npt.NDArray[np.int32]
    op_category: npt.NDArray[np.int32]
    counts: dict[Key, int]
    useful_accumulations: Ints
    dram_bits: Ints
    rows: Ints
    live_rows: Ints


def lower(plan: Plan, image: Image) -> Lowered:
    """Lower one image of the plan's trace."""
    lowering = Lowering(plan, image)
    lowering.fill(plan.layers)
    return lowering.lowered()


class Lowering(Filling):
    """The lowering of one image.

    A layer may be filled again when the image has changed: whoever lowers a growing image (a live
    run) fills anew only what has.
    """

    @property
    def unit_names(self) -> tuple[str, ...]:
        """Of the program's units."""
        return self.plan.unit_names

    def fill(self, layers: Iterable[LayerPlan]) -> None:
        """Fill these layers, whether or not they have been filled before."""
        self.row_cache = RowCache()
        self.shared = {}
        for layer_plan in layers:
            self.begin(layer_plan.layer.index)
            if layer_plan.layer.kind == "head":
                self.head(layer_plan)
            elif layer_plan.layer.is_elementwise:
                fill_elements(self, layer_plan)
            else:
                self.matrix(layer_plan)
            fill_scans_and_halting(self, layer_plan.layer.index)

    def program(self) -> tuple[Program, Columns]:
        """The program of all layers, and what its ops mean; each layer must have been filled."""
        plan = self.plan
        columns = emit(plan.machine, self.tasks(), self.flat(), plan.kept_chunks)
        program = Program(
            unit=columns.unit,
            busy_cycles=columns.busy,
            latency_cycles=columns.latency,
            pred_ptr=columns.pred_ptr,
            pred=columns.pred,
            unit_servers=np.ones(len(plan.unit_names), np.int32),
        )
        return program, columns

    def lowered(self) -> Lowered:
        """The program and the counts of all layers; each must have been filled."""
        plan = self.plan
        program, columns = self.program()
        op_step = plan.schedule.task_step.astype(np.int32)[columns.task]
        layers = range(len(plan.layers))
        dram = [self.counters[layer].dram_bits.get(layer, 0) for layer in layers]
        return Lowered(
            program,
            plan.unit_names,
            op_step,
            self.step_layer.astype(np.int32)[op_step],
            columns.category,
            {key: count for each in self.counters for key, count in each.counts.items()},
            self.useful.copy(),
            np.array(dram, np.int64),
            self.rows.copy(),
            self.live.copy(),
        )

    def matrix(self, layer_plan: LayerPlan) -> None:
        """Fill the steps of a layer that runs on the array, and count it."""
        layer = layer_plan.layer
        # Layers that read the same rows in the same way, as q, k and v do, share their pieces.
        key = (layer.operand, layer.mask, layer.kind, layer.window, layer.outputs, layer.inputs)
        if key not in self.shared:
            self.shared[key] = layer_pieces(self.plan, layer_plan, self.image, self.row_cache)
        pieces = self.shared[key]
        part, scopes = pieces.timed, list(layer_plan.scopes)
        self.table["kind"][scopes] = MATRIX
        self.table["groups"][scopes] = layer.groups
        self.table["blocks"][scopes] = part.blocks
        self.table["chunks"][scopes] = part.chunks
        self.table["outputs"][scopes] = part.outputs
        self.table["weight_bits"][scopes] = layer.weight_bits or layer.second_bits
        self.table["source"][scopes] = layer_plan.source
        self.table["share"][scopes] = layer_plan.share
        self.table["rows_outer"][scopes] = int(layer_plan.rows_outer)
        self.table["operand_unit"][scopes] = unit_of(layer_plan.operand_place)
        self.table["spill_unit"][scopes] = unit_of(layer_plan.spill_place)
        self.table["state_unit"][scopes] = unit_of(layer_plan.membrane_place)
        self._cycles(layer_plan, pieces)
        self._blocks(layer_plan, pieces)
        self._chunks(layer_plan, pieces)
        count_array(self.counter, self.plan, layer_plan, pieces)
        count_weights(self.counter, self.plan, layer_plan, pieces)
        count_results(self.counter, self.plan, layer_plan, pieces)
        self.useful[layer.index] = pieces.useful
        tokens = self.plan.network.tokens if layer.is_attention else layer.rows
        self.rows[layer.index] = tokens * layer_plan.computed_timesteps
        self.live[layer.index] = pieces.live_rows

    def _cycles(self, layer_plan: LayerPlan, pieces: Pieces) -> None:
        part = pieces.timed
        for scope, step in enumerate(layer_plan.scopes):
            cost, window = part.scope_cost(scope)
            self.table["cycles_at"][step] = self.sizes["cycles"]
            self.append("cycles", cost.cycles[:, window].reshape(-1))

    def _blocks(self, layer_plan: LayerPlan, pieces: Pieces) -> None:
        """Element-wise work of each block, and its traffic with DRAM."""
        layer, plan = layer_plan.layer, self.plan
        part, vector = pieces.timed, plan.architecture.core.vector_unit
        full = layer.rows * layer.outputs * layer.groups * layer_plan.computed_timesteps
        # Scores meet no neuron, but the vector unit carries them to where weights are read from.
        work = full if layer.kind == "attention_scores" else 0
        for op in layer_plan.fused:
            times = 1 if op.kind == "pool" and layer_plan.repeats > 1 else op.timesteps
            cycles = vector.element_cycles(op.kind, op.window_inputs)
            work += op.rows * op.channels * times * cycles
        first = self.sizes["vector"]
        starts = [first + span.start for span in part.spans]
        self.table["block_at"][list(layer_plan.scopes)] = starts
        self.append("vector", -(-part.rows * work // full))
        self.append("operand_busy", read_operands(self, layer_plan, part))
        move_states_and_spills(self, layer_plan, pieces, full)

    def _chunks(self, layer_plan: LayerPlan, pieces: Pieces) -> None:
        part = pieces.timed
        for scope, step in enumerate(layer_plan.scopes):
            if scope and len(part.inputs) == 1:
                self.table["chunk_at"][step] = self.table["chunk_at"][layer_plan.scopes[0]]
                continue
            inputs = part.scope_inputs(scope)
            self.table["chunk_at"][step] = self.sizes["inputs"]
            self.append("inputs", inputs)
            for name, fetches in (
                ("fetch_busy", layer_plan.fetch),
                ("global_busy", layer_plan.shared_fetch),
            ):
                busy = [[full.busy_cycles, last.busy_cycles] for full, last in fetches]
                self.append(name, np.array(busy or [[0, 0]] * len(inputs), np.int64).reshape(-1, 2))

    def head(self, layer_plan: LayerPlan) -> None:
        """Token mean and classifier, on the vector unit; its weights come from DRAM."""
        layer, network = layer_plan.layer, self.plan.network
        step = layer_plan.scopes[0]
        # A halting network has summed its mean-field output already, token by token.
        halting = any(op.kind == "halting" for each in network.layers for op in each.vector_ops)
        adds = 0 if halting else layer.mean_tokens * network.timesteps * layer.inputs
        vector = self.plan.architecture.core.vector_unit
        self.table["source"][step] = FROM_DRAM
        self.table["chunk_at"][step] = self.sizes["inputs"]
        transfer = layer_plan.fetch[0][0]
        self.append("inputs", np.array([layer.inputs], np.int64))
        self.append("fetch_busy", np.array([[transfer.busy_cycles] * 2], np.int64))
        self.append("global_busy", np.zeros((1, 2), np.int64))
        self.single(
            step, VECTOR_UNIT, layer.dense_macs + adds, vector.pipeline_latency_cycles, VECTOR_WORK
        )
        self.counter.moved(layer.index, True, transfer)
        self.vector(layer.index, "head", layer.dense_macs)
        self.vector(layer.index, "mean", adds)
        self.useful[layer.index] = layer.dense_macs
        self.rows[layer.index] = self.live[layer.index] = 1
