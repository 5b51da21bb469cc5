"""What is fixed for a trace on a machine: order of steps, what stays on chip, and each layer's cut.

Decided once, from shapes alone; the images fill in rows and cycles. The order stands in order.py,
what is kept where in places.py. Layers whose operand is outside the core loop over row blocks or
over column tiles first, whichever moves fewer bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.architecture import Architecture
from simulator.components.dataflows.base import SHARED
from simulator.components.memories.base import Memory, Transfer
from simulator.errors import LoweringError
from simulator.lowering.order import Schedule, Step, schedule
from simulator.lowering.places import CORE, Places, made_by
from simulator.lowering.tables import (
    BLOCKS,
    FROM_GLOBAL,
    GROUPS,
    RESIDENT,
    TILES,
    WHOLE,
    Machine,
    unit_names,
)
from simulator.lowering.tiling import Chunks, cut_inputs
from simulator.operations import Layer, Network, Stream, VectorOp, key_values_first
from simulator.trace import TensorSpec

Ints = npt.NDArray[np.int64]
Fetches = tuple[tuple[Transfer, Transfer], ...]


class Cut(NamedTuple):
    """How a layer is cut: chunks of inputs, rows of a block, column tiles."""

    chunks: Chunks | None
    row_block: int
    tiles: int

    @property
    def pieces(self) -> int:
        """Chunks of weights, each for one column tile."""
        return self.tiles * (1 if self.chunks is None else len(self.chunks.inputs))


@dataclass(frozen=True)
class LayerPlan:
    """How a layer is cut and where its data are.

    `repeats`: results of one product that serve so many timesteps (a static input); `scopes`: its
    steps, in order; `home`: the core that runs it, or SHARED; `share`: what each core's part is
    cut from; `source`: of its weights; `fetch` (chunk, 2): DRAM requests of each chunk's weights
    for full and ragged column tiles, `shared_fetch`: those to the global buffer; `kept_at`: place
    of its first chunk among those that are kept, by core; `rows_outer`: the outer loop; `reads`:
    bits over all timesteps and place of what its element-wise operations read; places (see
    places.py) of the operand, of a second operand, of results outside the core and of membranes, ""
    where there is none; `spilled_bits`, `stored_bits`: of all its results, outside and in all.
    """

    layer: Layer
    chunks: Chunks | None
    row_block: int
    repeats: int
    computed_timesteps: int
    scopes: tuple[int, ...]
    home: int
    share: int
    source: int
    fetch: Fetches
    shared_fetch: Fetches
    kept_at: tuple[int, ...]
    rows_outer: bool
    operand_place: str
    second_place: str
    reads: tuple[tuple[int, str], ...]
    spill_place: str
    membrane_place: str
    spilled_bits: int
    stored_bits: int
    fused: tuple[VectorOp, ...]

    @cached_property
    def fetch_counts(self) -> tuple[dict[str, int], dict[str, int]]:
        """What all chunks of one full and of the ragged column tile count in DRAM."""
        return _summed(full for full, _ in self.fetch), _summed(last for _, last in self.fetch)

    @cached_property
    def shared_counts(self) -> tuple[dict[str, int], dict[str, int]]:
        """The same in the global buffer."""
        fetches = self.shared_fetch
        return _summed(full for full, _ in fetches), _summed(last for _, last in fetches)


@dataclass(frozen=True)
class Plan:
    """Everything about (trace, architecture) that no image changes.

    `kept_chunks`: places for chunks of weights that stay from one timestep to the next.
    """

    architecture: Architecture
    network: Network
    machine: Machine
    unit_names: tuple[str, ...]
    schedule: Schedule
    layers: tuple[LayerPlan, ...]
    kept_chunks: int

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps in the order of the dataflow."""
        return self.schedule.steps


def make_plan(network: Network, architecture: Architecture) -> Plan:
    """Plan a trace on a machine. Raises LoweringError, with the rule, if it cannot be executed."""
    architecture = architecture.for_halting(network.granularity)
    _check_executable(network, architecture)
    if architecture.dataflow.attention_order == "key_values_first":
        network = key_values_first(network)
    order = schedule(network, architecture)
    cuts = [_cut(layer, architecture) for layer in network.layers]
    slots = _weight_slots(network, architecture)
    pieces = _pieces_by_core(network, architecture, cuts, order.homes)
    places = Places(network, architecture, order.in_time, order.homes, pieces, slots)
    machine = _machine(architecture, slots - places.resident_chunks)
    kept_chunks = 0
    layers = []
    for layer, cut in zip(network.layers, cuts, strict=True):
        source = places.weights[layer.index]
        own = cut.pieces if source == RESIDENT else 0
        kept_at = tuple(kept_chunks + core * own for core in range(machine.cores))
        if source in (RESIDENT, FROM_GLOBAL):
            kept_chunks = kept_at[-1] + cut.pieces
        layers.append(_layer_plan(layer, architecture, order, places, machine, cut, kept_at))
    names = unit_names(machine.cores, architecture.memories.global_buffer is not None)
    return Plan(architecture, network, machine, names, order, tuple(layers), kept_chunks)


_requests: dict[tuple[int, int, float, bool], tuple[Memory, Transfer]] = {}
_MOST_REQUESTS = 1 << 16


def request(memory: Memory, bits: int, clock_mhz: float, *, write: bool = False) -> Transfer:
    """A transfer, remembered: the same few sizes are asked for again and again.

    By the memory's identity, since hashing all of its fields takes longer than the rest; it is kept
    with what is remembered, so that its identity stays its own.
    """
    key = (id(memory), bits, clock_mhz, write)
    known = _requests.get(key)
    if known is None:
        if len(_requests) >= _MOST_REQUESTS:
            _requests.clear()
        made = memory.write(bits, clock_mhz) if write else memory.read(bits, clock_mhz)
        known = _requests[key] = memory, made
    return known[1]


def _check_executable(network: Network, architecture: Architecture) -> None:
    refusal = architecture.dataflow.refusal(network.granularity)
    if refusal:
        raise LoweringError(f"{architecture.name}: dataflow.kind: {refusal}")
    if len(architecture.cores) > 1 and architecture.memories.global_buffer is None:
        raise LoweringError(
            f"{architecture.name}: memories.global_buffer: is missing: several cores exchange "
            "tensors through it"
        )


def _weight_slots(network: Network, architecture: Architecture) -> int:
    """Chunks that the weight buffer holds."""
    array, weights = architecture.core.pe_array, architecture.core.buffers.weights
    if array.tile_inputs == 0:
        # All inputs are one chunk and stream through the buffer: two tiles are on the way.
        largest = max((layer.inputs for layer in network.layers if layer.weight_bits), default=1)
        return max(2, weights.capacity_bits // (largest * array.tile_columns * 8))
    chunk_bits = array.tile_inputs * array.tile_columns * 8
    slots = weights.capacity_bits // chunk_bits
    if slots < 1:
        raise LoweringError(
            f"{architecture.name}: cores.0.buffers.weights holds {weights.capacity_bits} bits: "
            f"must hold the weights of one tile, {chunk_bits} bits"
        )
    return min(slots, 1 << 20)


def _machine(architecture: Architecture, weight_slots: int) -> Machine:
    core, dataflow, clock = architecture.core, architecture.dataflow, architecture.clock_mhz
    array, vector, weights = core.pe_array, core.vector_unit, core.buffers.weights
    shared = architecture.memories.global_buffer
    return Machine(
        cores=len(architecture.cores),
        columns=array.tile_columns,
        preloads=int(array.preloads_weights),
        port_bits=int(weights.bits_per_cycle(clock)),
        weight_slots=weight_slots,
        local_chunks=dataflow.local_weight_chunks,
        accumulator_blocks=dataflow.accumulator_blocks,
        operand_blocks=2,
        array_latency=array.pipeline_latency_cycles,
        port_latency=request(weights, weights.capacity_bits, clock).latency_cycles,
        dram_latency=request(architecture.memories.dram, 1, clock).latency_cycles,
        global_latency=request(shared, 1, clock).latency_cycles if shared else 0,
        vector_lanes=vector.elements_per_cycle,
        vector_latency=vector.pipeline_latency_cycles,
    )


def _cut(layer: Layer, architecture: Architecture) -> Cut:
    if layer.kind == "head" or layer.is_elementwise:
        return Cut(None, 1, 1)
    chunks = None if layer.transposed else _chunks(layer, architecture)
    tiles = -(-layer.outputs // architecture.core.pe_array.tile_columns)
    return Cut(chunks, _row_block(layer, architecture), tiles)


def _pieces_by_core(
    network: Network, architecture: Architecture, cuts: list[Cut], homes: tuple[int, ...]
) -> list[dict[int, int]]:
    """For each core, the chunks of weights that it takes of each layer it has a part in."""
    cores = len(architecture.cores)
    own: list[dict[int, int]] = []
    for core in range(cores):
        taken = {}
        for layer, cut, home in zip(network.layers, cuts, homes, strict=True):
            if home in (SHARED, core):
                tiles = cut.tiles
                if _share(layer, architecture, home) == TILES:
                    tiles = (core + 1) * tiles // cores - core * tiles // cores
                taken[layer.index] = cut.pieces // cut.tiles * tiles
        own.append(taken)
    return own


def _share(layer: Layer, architecture: Architecture, home: int) -> int:
    """What a core's part of a layer is cut from; attention is cut by heads in every split."""
    if (
        home != SHARED
        or len(architecture.cores) == 1
        or layer.kind == "head"
        or layer.is_elementwise
    ):
        return WHOLE
    if layer.is_attention:
        return GROUPS
    return BLOCKS if architecture.split == "tokens" else TILES


def _layer_plan(
    layer: Layer,
    architecture: Architecture,
    order: Schedule,
    places: Places,
    machine: Machine,
    cut: Cut,
    kept_at: tuple[int, ...],
) -> LayerPlan:
    home, source = order.homes[layer.index], places.weights[layer.index]
    computed = layer.computed_timesteps(architecture.dataflow.reuse_static_input)
    operand_place = places.tensors[layer.operand] if layer.operand else CORE
    fused = tuple(op for op in layer.vector_ops if op.kind != "halting")
    held = places.network.held
    stored = [name for name in made_by(layer) if name in held]
    outside = [name for name in stored if places.tensors[name] != CORE]
    shared = architecture.memories.global_buffer if source == FROM_GLOBAL else None
    return LayerPlan(
        layer=layer,
        chunks=cut.chunks,
        row_block=cut.row_block,
        repeats=layer.timesteps // computed,
        computed_timesteps=computed,
        scopes=tuple(
            index
            for index, step in enumerate(order.steps)
            if step.layer == layer.index and step.kind in ("matrix", "vector", "elements")
        ),
        home=home,
        share=_share(layer, architecture, home),
        source=source,
        fetch=_fetches(layer, cut, architecture, architecture.memories.dram),
        shared_fetch=_fetches(layer, cut, architecture, shared) if shared else (),
        kept_at=kept_at,
        rows_outer=operand_place != CORE and _rows_first(layer, cut, machine),
        operand_place=operand_place,
        second_place=places.tensors[layer.second] if layer.second else "",
        reads=tuple((_bits(held[name]), places.tensors[name]) for name in layer.reads),
        spill_place=places.outside(outside) if outside else "",
        membrane_place=places.membranes.get(layer.index, ""),
        spilled_bits=sum(_bits(held[name]) for name in outside),
        stored_bits=sum(_bits(held[name]) for name in stored),
        fused=fused,
    )


def _bits(held: TensorSpec | Stream) -> int:
    """Bits over all timesteps at which there is one."""
    return held.timesteps * held.planes * held.rows * held.channels


def _chunks(layer: Layer, architecture: Architecture) -> Chunks:
    array = architecture.core.pe_array
    channels = layer.inputs // layer.window.taps
    size = array.tile_inputs or layer.inputs
    return cut_inputs(layer.window.taps, channels, size, across_taps=array.across_taps)


def _row_block(layer: Layer, architecture: Architecture) -> int:
    """Rows whose sums fit one place of the partial-sum buffer; whole tokens at T timesteps."""
    array = architecture.core.pe_array
    buffer = architecture.core.buffers.partial_sums
    row_bits = array.tile_columns * array.accumulator_bits
    rows = buffer.capacity_bits // architecture.dataflow.accumulator_blocks // row_bits
    if rows < 1:
        raise LoweringError(
            f"{architecture.name}: cores.0.buffers.partial_sums holds {buffer.capacity_bits} bits: "
            f"must hold {architecture.dataflow.accumulator_blocks} rows of {row_bits} bits"
        )
    together = layer.timesteps
    return rows // together * together if rows >= together else rows


def _fetches(layer: Layer, cut: Cut, architecture: Architecture, memory: Memory) -> Fetches:
    """Reads of each chunk's weights, for a full and for the ragged column tile."""
    if layer.weight_bits == 0:
        return ()
    clock = architecture.clock_mhz
    if cut.chunks is None:  # the head, which runs on the vector unit
        whole = request(memory, layer.inputs * layer.outputs * layer.weight_bits, clock)
        return ((whole, whole),)
    array = architecture.core.pe_array
    columns = array.tile_columns
    sizes = (min(columns, layer.outputs), layer.outputs % columns or columns)
    full, last = (
        [
            request(memory, array.stored_weight_bits(int(inputs), size, layer.weight_bits), clock)
            for inputs in cut.chunks.inputs
        ]
        for size in sizes
    )
    return tuple(zip(full, last, strict=True))


def _summed(transfers: Iterable[Transfer]) -> dict[str, int]:
    total: dict[str, int] = {}
    for transfer in transfers:
        for action, count in transfer.counts.items():
            total[action] = total.get(action, 0) + count
    return total


def _rows_first(layer: Layer, cut: Cut, machine: Machine) -> bool:
    """Whether looping over row blocks first moves fewer bits between a core and what is outside."""
    if cut.chunks is None:
        return True
    blocks = -(-layer.rows * layer.timesteps // cut.row_block)
    weights = layer.inputs * layer.outputs * layer.weight_bits
    operand = layer.rows * layer.timesteps * layer.channels * layer.planes
    pieces = len(cut.chunks.inputs)
    rows_first = operand + weights * (1 if cut.pieces <= machine.weight_slots else blocks)
    tiles_first = operand * cut.tiles + weights * (1 if pieces <= machine.weight_slots else blocks)
    return rows_first <= tiles_first
