"""Action counts of one image: exact integers by (layer, part, action), priced later."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.architecture import Architecture
from simulator.components.memories.base import Memory, Transfer
from simulator.components.pe_arrays.base import ArrayCost
from simulator.lowering.pieces import Part, Pieces
from simulator.lowering.places import CORE
from simulator.lowering.plan import LayerPlan, Plan, request
from simulator.lowering.tables import BLOCKS, FROM_GLOBAL, GROUPS, RESIDENT, TILES, WHOLE
from simulator.operations import PRODUCT_BITS

Key = tuple[int, str, str]
Ints = npt.NDArray[np.int64]


CORE_PART = "cores.0."
"""The parts of equal cores are counted together, under the path of the first."""


class Counter:
    """Adds up actions; parts are named by their path in the architecture file."""

    def __init__(self, architecture: Architecture) -> None:
        self.counts: dict[Key, int] = {}
        self.dram_bits: dict[int, int] = {}
        self.clock_mhz = architecture.clock_mhz
        self.buffers: dict[str, Memory] = {
            name: getattr(architecture.core.buffers, name)
            for name in ("weights", "spikes", "partial_sums", "membranes", "masks")
        }
        self.shared = architecture.memories.global_buffer

    def emptied(self) -> Counter:
        """A counter of the same machine that has counted nothing."""
        other = copy.copy(self)
        other.counts, other.dram_bits = {}, {}
        return other

    def add(self, layer: int, part: str, counts: Mapping[str, int], times: int = 1) -> None:
        for action, count in counts.items():
            if count and times:
                key = (layer, part, action)
                self.counts[key] = self.counts.get(key, 0) + int(count) * times

    def access(self, layer: int, buffer: str, bits: int, *, write: bool, times: int = 1) -> None:
        """`times` accesses of so many bits each to a local buffer."""
        if bits > 0:
            transfer = request(self.buffers[buffer], int(bits), self.clock_mhz, write=write)
            self.add(layer, f"{CORE_PART}buffers.{buffer}", transfer.counts, times)

    def moved(self, layer: int, outside: bool, transfer: Transfer, times: int = 1) -> None:
        """`times` equal requests to DRAM, or else to the global buffer."""
        if outside:
            self.dram_counts(layer, transfer.counts, times)
        else:
            self.add(layer, "memories.global_buffer", transfer.counts, times)

    def shared_access(self, layer: int, bits: int, *, write: bool) -> None:
        """An access of so many bits to the global buffer."""
        assert self.shared is not None
        transfer = request(self.shared, bits, self.clock_mhz, write=write)
        self.moved(layer, False, transfer)

    def dram_counts(self, layer: int, counts: Mapping[str, int], times: int) -> None:
        """What requests to DRAM counted, `times` over."""
        self.add(layer, "memories.dram", counts, times)
        bits = counts.get("read_bit", 0) + counts.get("write_bit", 0)
        self.dram_bits[layer] = self.dram_bits.get(layer, 0) + bits * times


def count_array(counter: Counter, plan: Plan, layer_plan: LayerPlan, pieces: Pieces) -> None:
    """Arithmetic of the array and the traffic of operand, weights and partial sums."""
    part = pieces.counted
    tiles = -(-part.outputs // plan.machine.columns)
    of_block = np.repeat(tiles, part.blocks)
    waited = int(pieces.timed.conflicts @ of_block) * layer_plan.layer.groups
    counter.add(layer_plan.layer.index, f"{CORE_PART}buffers.spikes", {"bank_conflict": waited})
    if len(part.costs) == 1:
        outputs = np.repeat(part.outputs, part.blocks)
        _count_cost(counter, plan, layer_plan, part.costs[0], outputs, of_block)
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
    part = CORE_PART + "pe_array"
    counts = {action: int(values @ outputs) for action, values in cost.per_output.items()}
    known: dict[int, int] = {}

    def passed(values: Ints) -> int:
        # An array often counts several things by one and the same numbers.
        if id(values) not in known:
            known[id(values)] = int(values @ tiles)
        return known[id(values)]

    counts |= {action: passed(values) for action, values in cost.per_pass.items()}
    counter.add(layer, part, counts)
    sum_bits = plan.machine.columns * array.accumulator_bits
    reads = passed(cost.partial_sum_read_vectors)
    writes = passed(cost.partial_sum_write_vectors)
    counter.access(layer, "partial_sums", sum_bits, write=False, times=reads)
    counter.access(layer, "partial_sums", sum_bits, write=True, times=writes)
    counter.access(layer, "spikes", int(cost.spike_bits @ tiles), write=False)
    bits, source = _weight_source(layer_plan)
    counter.access(layer, source, int(cost.weights_per_output @ outputs) * bits, write=False)


def _weight_source(layer_plan: LayerPlan) -> tuple[int, str]:
    """Bits of what takes the weights' place, and the buffer that it is read from."""
    layer = layer_plan.layer
    if layer.second_bits == 1:
        return 1, "spikes"
    return layer.weight_bits or layer.second_bits, "weights"


class _Share(NamedTuple):
    """What one core takes of a scope: blocks, column tiles (from `first_tile` on), groups."""

    core: int
    blocks: int
    first_tile: int
    tiles: int
    groups: int


def _shares(plan: Plan, layer_plan: LayerPlan, part: Part, scope: int) -> Iterator[_Share]:
    """The cores that have something to do at a scope, and their parts of its loops."""
    cores, blocks = plan.machine.cores, int(part.blocks[scope])
    tiles = -(-int(part.outputs[scope]) // plan.machine.columns)
    if layer_plan.share == WHOLE:
        if blocks and tiles:
            yield _Share(0, blocks, 0, tiles, layer_plan.layer.groups)
        return
    loops = {BLOCKS: blocks, TILES: tiles, GROUPS: layer_plan.layer.groups}
    for core in range(cores):
        own, whole = dict(loops), loops[layer_plan.share]
        own[layer_plan.share] = (core + 1) * whole // cores - core * whole // cores
        first = core * whole // cores if layer_plan.share == TILES else 0
        if min(own.values()) > 0:
            yield _Share(core, own[BLOCKS], first, own[TILES], own[GROUPS])


def count_weights(counter: Counter, plan: Plan, layer_plan: LayerPlan, pieces: Pieces) -> None:
    """Fetches from outside, fills of the weight buffer, loads through the weight port."""
    part, layer = pieces.timed, layer_plan.layer
    bits, buffer = _weight_source(layer_plan)
    served: set[int] = set()
    # Most scopes of a layer do the same: each kind is counted once, times how often it is there.
    alike: dict[tuple[_Share, int, int, int, bool], int] = {}
    for scope in range(len(part.blocks)):
        inputs = part.input_totals[scope]
        for share in _shares(plan, layer_plan, part, scope):
            end = (share.first_tile + share.tiles) * plan.machine.columns
            outputs = min(end, int(part.outputs[scope])) - share.first_tile * plan.machine.columns
            first = share.core not in served
            served.add(share.core)
            key = (share, inputs, outputs, int(part.chunks[scope]), first)
            alike[key] = alike.get(key, 0) + 1
    for (share, inputs, outputs, chunks, first), times in alike.items():
        if layer_plan.fetch:
            _count_fetches(counter, plan, layer_plan, share, (inputs, outputs), first, times)
        if plan.machine.preloads:
            local = chunks <= plan.machine.local_chunks
            loads = 1 if local and not layer_plan.rows_outer else share.blocks
            loaded = inputs * outputs * bits * share.groups
            counter.access(layer.index, buffer, loaded, write=False, times=loads * times)
    if layer_plan.source == FROM_GLOBAL and served:
        # DRAM fills the global buffer once, whoever asks first.
        ragged = int(layer.outputs % plan.machine.columns > 0)
        tiles = -(-layer.outputs // plan.machine.columns)
        full, last = layer_plan.fetch_counts
        counter.dram_counts(layer.index, full, tiles - ragged)
        counter.dram_counts(layer.index, last, ragged)
        array = plan.architecture.core.pe_array
        stored = array.stored_weight_bits(layer.inputs, layer.outputs, layer.weight_bits)
        counter.shared_access(layer.index, stored, write=True)


def _count_fetches(
    counter: Counter,
    plan: Plan,
    layer_plan: LayerPlan,
    share: _Share,
    sizes: tuple[int, int],
    first: bool,
    times: int,
) -> None:
    """What one core fetches at so many scopes of these inputs and outputs.

    `first`: it has fetched nothing of this layer yet.
    """
    inputs, outputs = sizes
    layer, chunks = layer_plan.layer.index, len(layer_plan.fetch)
    wanted = share.tiles * chunks if layer_plan.rows_outer else chunks
    fetches = 1 if wanted <= plan.machine.weight_slots else share.blocks
    if layer_plan.source == RESIDENT:
        fetches = int(first)
    fetches *= times
    ragged = int(outputs % plan.machine.columns > 0)
    if layer_plan.source == FROM_GLOBAL:
        for counts, tiles in zip(
            layer_plan.shared_counts, (share.tiles - ragged, ragged), strict=True
        ):
            counter.add(layer, "memories.global_buffer", counts, fetches * tiles)
    else:
        full, last = layer_plan.fetch_counts
        counter.dram_counts(layer, full, fetches * (share.tiles - ragged))
        counter.dram_counts(layer, last, fetches * ragged)
    array = plan.architecture.core.pe_array
    stored = array.stored_weight_bits(inputs, outputs, layer_plan.layer.weight_bits)
    counter.access(layer, "weights", stored, write=True, times=fetches)


def count_results(counter: Counter, plan: Plan, layer_plan: LayerPlan, pieces: Pieces) -> None:
    """Draining the sums, the element-wise operations, and the storing of their results."""
    layer, vector = layer_plan.layer, plan.architecture.core.vector_unit
    sum_bits = plan.machine.columns * plan.architecture.core.pe_array.accumulator_bits
    products, drained = 0, 0
    rows_of = pieces.counted.scope_rows
    for scope, rows in enumerate(rows_of):
        outputs = int(pieces.counted.outputs[scope])
        products += rows * outputs * layer.groups
        drained += rows * layer.groups * -(-outputs // plan.machine.columns)
    counter.access(layer.index, "partial_sums", sum_bits, write=False, times=drained)
    full = layer.rows * layer.outputs * layer.groups * layer_plan.computed_timesteps
    if layer.feeds_product:
        counter.access(layer.index, "weights", products * PRODUCT_BITS, write=True)
    for op in layer_plan.fused:
        times = 1 if op.kind == "pool" and layer_plan.repeats > 1 else op.timesteps
        elements = products * op.rows * op.channels * times // full
        counts = vector.element_counts(op.kind, op.window_inputs)
        counter.add(layer.index, CORE_PART + "vector_unit", counts, elements)
    stored = products * layer_plan.stored_bits // full
    counter.access(layer.index, "spikes", stored, write=True)
    if any(op.kind == "residual" for op in layer_plan.fused):
        # The stream that is added to, read at the width of the sum: an upper bound.
        counter.access(layer.index, "spikes", stored, write=False)
    if layer_plan.membrane_place == CORE:
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
