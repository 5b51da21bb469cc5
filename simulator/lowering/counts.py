"""Action counts of one image: exact integers by (layer, part, action), priced later."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from simulator.architecture import Architecture
from simulator.components.memories.base import Memory, Transfer
from simulator.components.pe_arrays.base import ArrayCost
from simulator.lowering.pieces import Pieces
from simulator.lowering.plan import SCORE_BITS, LayerPlan, Plan, request

Key = tuple[int, str, str]
Ints = npt.NDArray[np.int64]


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
        self.dram_counts(layer, transfer.counts, times)

    def dram_counts(self, layer: int, counts: Mapping[str, int], times: int) -> None:
        """What requests to DRAM counted, `times` over."""
        self.add(layer, "memories.dram", counts, times)
        bits = counts.get("read_bit", 0) + counts.get("write_bit", 0)
        self.dram_bits[layer] = self.dram_bits.get(layer, 0) + bits * times


def count_array(counter: Counter, plan: Plan, layer_plan: LayerPlan, pieces: Pieces) -> None:
    """Arithmetic of the array and the traffic of operand, weights and partial sums."""
    part = pieces.counted
    tiles = -(-part.outputs // plan.machine.columns)
    if len(part.costs) == 1:
        outputs = np.repeat(part.outputs, part.blocks)
        _count_cost(
            counter, plan, layer_plan, part.costs[0], outputs, np.repeat(tiles, part.blocks)
        )
        return
    for scope, cost in enumerate(part.costs):
        count = len(cost.spike_bits) if part.blocks[scope] else 0
        outputs = np.full(len(cost.spike_bits), part.outputs[scope] * bool(count))
        _count_cost(counter, plan, layer_plan, cost, outputs, np.full_like(outputs, tiles[scope]))


def _count_cost(
    counter: Counter,
    plan: Plan,
    layer_plan: LayerPlan,
    cost: ArrayCost,
    outputs: Ints,
    tiles: Ints,
) -> None:
    """One cost; `outputs`, `tiles` (block,): what its counts are multiplied by."""
    layer = layer_plan.layer.index
    array = plan.architecture.core.pe_array
    part = "cores.0.pe_array"
    counts = {action: int(values @ outputs) for action, values in cost.per_output.items()}
    counts |= {action: int(values @ tiles) for action, values in cost.per_pass.items()}
    counter.add(layer, part, counts)
    sum_bits = plan.machine.columns * array.accumulator_bits
    reads = int(cost.partial_sum_read_vectors @ tiles)
    writes = int(cost.partial_sum_write_vectors @ tiles)
    counter.access(layer, "partial_sums", sum_bits, write=False, times=reads)
    counter.access(layer, "partial_sums", sum_bits, write=True, times=writes)
    counter.access(layer, "spikes", int(cost.spike_bits @ tiles), write=False)
    bits, source = _weight_source(layer_plan)
    counter.access(layer, source, int(cost.weights_per_output @ outputs) * bits, write=False)


def _weight_source(layer_plan: LayerPlan) -> tuple[int, str]:
    """Bits of what takes the weights' place, and the buffer that it is read from."""
    kind = layer_plan.layer.kind
    if kind == "attention_scores":
        return 1, "spikes"
    return (SCORE_BITS if kind == "attention_context" else layer_plan.layer.weight_bits), "weights"


def count_weights(counter: Counter, plan: Plan, layer_plan: LayerPlan, pieces: Pieces) -> None:
    """Fetches from DRAM, fills of the weight buffer, loads through the weight port."""
    layer, machine, part = layer_plan.layer, plan.machine, pieces.timed
    bits, source = _weight_source(layer_plan)
    blocks, chunks = part.blocks, part.chunks
    tiles = -(-part.outputs // machine.columns)
    inputs = np.array([int(part.scope_inputs(scope).sum()) for scope in range(len(blocks))])
    weights_bits = inputs * part.outputs * bits
    live = (blocks > 0) & (part.outputs > 0)
    if layer_plan.fetch:
        held = (tiles * chunks if layer_plan.rows_outer else chunks) <= machine.weight_slots
        fetches = int(np.where(held, live, blocks * live).sum())
        ragged = int(layer.outputs % machine.columns > 0)
        full, last = layer_plan.fetch_counts
        counter.dram_counts(layer.index, full, fetches * (int(tiles[0]) - ragged))
        counter.dram_counts(layer.index, last, fetches * ragged)
        array = plan.architecture.core.pe_array
        stored = array.stored_weight_bits(int(inputs[0]), layer.outputs, bits)
        counter.access(layer.index, "weights", stored, write=True, times=fetches)
    if machine.preloads:
        local = chunks <= machine.local_chunks
        loads = np.where(local & (not layer_plan.rows_outer), live, blocks * live)
        total = int((loads * weights_bits).sum()) * layer.groups
        counter.access(layer.index, source, total, write=False)


def count_results(counter: Counter, plan: Plan, layer_plan: LayerPlan, pieces: Pieces) -> None:
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
