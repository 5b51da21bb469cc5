"""Action counts of one image: exact integers by (layer, part, action), priced later."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from simulator.architecture import Architecture
from simulator.components.memories.base import Memory, Transfer
from simulator.components.pe_arrays.base import ArrayCost
from simulator.lowering.pieces import Pieces
from simulator.lowering.plan import SCORE_BITS, LayerPlan, Plan, request

Key = tuple[int, str, str]


class Counter:
    """Adds up actions; parts are named by their path in the architecture file."""

    def __init__(self, architecture: Architecture) -> None:
        self.counts: dict[Key, int] = {}
        self.dram_bits: dict[int, int] = {}
        self.clock_mhz = architecture.clock_mhz
        self.parts: dict[str, Memory] = {
            f"cores.0.buffers.{name}": getattr(architecture.core.buffers, name)
            for name in ("weights", "spikes", "partial_sums", "membranes", "masks")
        }
        self.dram = architecture.memories.dram

    def add(self, layer: int, part: str, counts: Mapping[str, int], times: int = 1) -> None:
        for action, count in counts.items():
            if count and times:
                key = (layer, part, action)
                self.counts[key] = self.counts.get(key, 0) + int(count) * times

    def access(self, layer: int, buffer: str, bits: int, *, write: bool, times: int = 1) -> None:
        """`times` accesses of so many bits each to a local buffer."""
        if bits > 0:
            part = f"cores.0.buffers.{buffer}"
            memory = self.parts[part]
            transfer = request(memory, int(bits), self.clock_mhz, write=write)
            self.add(layer, part, transfer.counts, times)

    def dram_transfer(self, layer: int, transfer: Transfer, times: int = 1) -> None:
        """`times` equal requests to DRAM."""
        self.add(layer, "memories.dram", transfer.counts, times)
        bits = transfer.counts.get("read_bit", 0) + transfer.counts.get("write_bit", 0)
        self.dram_bits[layer] = self.dram_bits.get(layer, 0) + bits * times


def count_array(counter: Counter, plan: Plan, layer_plan: LayerPlan, pieces: Pieces) -> None:
    """Arithmetic of the array and the traffic of operand, weights and partial sums."""
    part = pieces.counted
    for scope in range(len(part.blocks)):
        outputs = int(part.outputs[scope])
        if part.blocks[scope] and outputs:
            tiles = -(-outputs // plan.machine.columns)
            _count_scope(counter, plan, layer_plan, *part.scope_cost(scope), outputs, tiles)


def _count_scope(
    counter: Counter,
    plan: Plan,
    layer_plan: LayerPlan,
    cost: ArrayCost,
    window: slice,
    outputs: int,
    tiles: int,
) -> None:
    layer = layer_plan.layer
    index = layer.index
    array = plan.architecture.core.pe_array
    part = "cores.0.pe_array"
    for action, values in cost.per_output.items():
        counter.add(index, part, {action: int(values[window].sum())}, outputs)
    for action, values in cost.per_pass.items():
        counter.add(index, part, {action: int(values[window].sum())}, tiles)
    sum_bits = plan.machine.columns * array.accumulator_bits
    reads = int(cost.partial_sum_read_vectors[window].sum())
    writes = int(cost.partial_sum_write_vectors[window].sum())
    counter.access(index, "partial_sums", sum_bits, write=False, times=reads * tiles)
    counter.access(index, "partial_sums", sum_bits, write=True, times=writes * tiles)
    counter.access(index, "spikes", int(cost.spike_bits[window].sum()), write=False, times=tiles)
    streamed = int(cost.weights_per_output[window].sum()) * outputs
    bits, source = _weight_source(layer_plan)
    counter.access(index, source, streamed * bits, write=False)


def _weight_source(layer_plan: LayerPlan) -> tuple[int, str]:
    """Bits of a weight, and the buffer it is read from: keys are spikes, scores take weights' place."""
    kind = layer_plan.layer.kind
    if kind == "attention_scores":
        return 1, "spikes"
    return (SCORE_BITS if kind == "attention_context" else layer_plan.layer.weight_bits), "weights"


def count_weights(counter: Counter, plan: Plan, layer_plan: LayerPlan, pieces: Pieces) -> None:
    """Fetches from DRAM, fills of the weight buffer, loads through the weight port."""
    layer, machine = layer_plan.layer, plan.machine
    bits, source = _weight_source(layer_plan)
    part = pieces.timed
    for scope in range(len(part.blocks)):
        blocks, chunks = int(part.blocks[scope]), int(part.chunks[scope])
        outputs = int(part.outputs[scope])
        if not blocks or not outputs:
            continue
        tiles = -(-outputs // machine.columns)
        inputs = int(part.scope_inputs(scope).sum())
        if layer_plan.fetch:
            held = (tiles * chunks if layer_plan.rows_outer else chunks) <= machine.weight_slots
            fetches = 1 if held else blocks
            ragged = int(outputs % machine.columns > 0)
            for full, last in layer_plan.fetch:
                counter.dram_transfer(layer.index, full, fetches * (tiles - ragged))
                counter.dram_transfer(layer.index, last, fetches * ragged)
            counter.access(
                layer.index, "weights", inputs * outputs * bits, write=True, times=fetches
            )
        if machine.preloads:
            local = not layer_plan.rows_outer and chunks <= machine.local_chunks
            loads = (1 if local else blocks) * layer.groups
            counter.access(
                layer.index, source, inputs * outputs * bits, write=False, times=loads
            )


def count_results(
    counter: Counter, plan: Plan, layer_plan: LayerPlan, pieces: Pieces
) -> None:
    """Draining the sums, the element-wise operations, and the storing of their results."""
    layer, vector = layer_plan.layer, plan.architecture.core.vector_unit
    sum_bits = plan.machine.columns * plan.architecture.core.pe_array.accumulator_bits
    products, drained = 0, 0
    rows_of = pieces.counted.scope_rows()
    for scope, rows in enumerate(rows_of):
        outputs = int(pieces.counted.outputs[scope])
        products += rows * outputs * layer.groups
        drained += rows * layer.groups * -(-outputs // plan.machine.columns)
    counter.access(layer.index, "partial_sums", sum_bits, write=False, times=drained)
    full = layer.rows * layer.outputs * layer.groups * layer_plan.computed_timesteps
    if layer.kind == "attention_scores":
        counter.access(layer.index, "weights", products * SCORE_BITS, write=True)
    for op in layer_plan.fused:
        times = 1 if op.kind == "pool" and layer_plan.repeats > 1 else op.timesteps
        elements = products * op.rows * op.channels * times // full
        counts = vector.element_counts(op.kind, op.window_inputs)
        counter.add(layer.index, "cores.0.vector_unit", counts, elements)
    stored = products * layer_plan.stored_bits // full
    counter.access(layer.index, "spikes", stored, write=True)
    if any(op.kind == "residual" for op in layer_plan.fused):
        # The stream that is added to, read at the width of the sum: an upper bound.
        counter.access(layer.index, "spikes", stored, write=False)
    if layer_plan.membranes_kept and not layer_plan.membranes_in_dram:
        _count_membranes(counter, plan, layer_plan, pieces, rows_of, full)


def _count_membranes(
    counter: Counter,
    plan: Plan,
    layer_plan: LayerPlan,
    pieces: Pieces,
    rows_of: list[int],
    full: int,
) -> None:
    """Membranes are read at every timestep but the first, and written at every one but the last."""
    layer = layer_plan.layer
    bits = plan.architecture.core.vector_unit.membrane_bits
    lif = sum(op.rows * op.channels * op.timesteps for op in layer_plan.fused if op.kind == "lif")
    for scope, rows in enumerate(rows_of):
        neurons = rows * int(pieces.counted.outputs[scope]) * layer.groups * lif // full
        counter.access(layer.index, "membranes", neurons * bits * (scope > 0), write=False)
        last = len(rows_of) - 1
        counter.access(layer.index, "membranes", neurons * bits * (scope < last), write=True)
