"""What is fixed for a trace on a machine: order of steps, what stays on chip, and each layer's cut.

Decided once, from shapes alone; the images fill in rows and cycles. The order is in order.py, what
is kept where in places.py. A frame is what follows from shapes and machine, a mapping (mapping.py)
what may be chosen: `make_plan` follows the fixed rules, simulator.mapping compares several.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulator.architecture import Architecture
from simulator.components.memories.base import Memory, Transfer
from simulator.components.pe_arrays.base import PEArray
from simulator.errors import LoweringError
from simulator.lowering.mapping import (
    Cut,
    Frame,
    Mapping,
    array_of,
    fixed_mapping,
    make_frame,
    share_of,
)
from simulator.lowering.order import Schedule, Step
from simulator.lowering.places import CORE, made_by
from simulator.lowering.requests import request
from simulator.lowering.tables import FROM_GLOBAL, Machine
from simulator.lowering.tiling import Chunks
from simulator.lowering.units import Graph, make_graph
from simulator.operations import Layer, Network, Stream, VectorOp
from simulator.trace import TensorSpec

Fetches = tuple[tuple[Transfer, Transfer], ...]


@dataclass(frozen=True)
class LayerPlan:
    """Say how a layer is cut and where its data are; for places see places.py, "" = none."""

    layer: Layer
    array: PEArray  # that takes it
    array_number: int  # its place among those of a core
    chunks: Chunks | None  # of one group
    row_block: int
    repeats: int  # timesteps that one result of the product serves (a static input)
    computed_timesteps: int
    scopes: tuple[int, ...]  # its steps, in order
    home: int  # the core that runs it, or SHARED
    share: int  # what each core's part is cut from
    source: int  # of its weights
    # chunks that stay in each core's weight buffer, its first column tiles' first; of weights in
    # groups all or none
    pinned: int
    # (chunk, 2), DRAM requests of each chunk's weights for full and ragged column tiles
    fetch: Fetches
    fetch_bits: tuple[tuple[int, int], ...]  # their bits
    fill_chunks: int  # chunks that one of these requests brings, 0 = its own
    shared_fetch: Fetches  # requests to the global buffer
    kept_at: tuple[int, ...]  # place of its first chunk among those that are kept, by core
    rows_outer: bool  # row blocks are the outer loop
    operand_place: str
    second_place: str
    # bits over all timesteps, and place, of what element-wise operations read
    reads: tuple[tuple[int, str], ...]
    spill_place: str  # of results outside the core
    membrane_place: str
    spilled_bits: int  # of its results outside
    stored_bits: int  # of all its results
    fused: tuple[VectorOp, ...]

    @property
    def columns(self) -> int:
        """Count the outputs of a column tile."""
        return self.array.tile_columns

    @property
    def added_bits(self) -> int:
        """Count the bits of results that are read to be added to."""
        return self.stored_bits * any(op.kind == "residual" for op in self.fused)

    @property
    def stays(self) -> bool:
        """Say whether weights stay on chip until the next image, if it follows at once."""
        return self.pinned > 0 or self.source == FROM_GLOBAL


@dataclass(frozen=True)
class Plan:
    """Hold everything about (trace, architecture) that no image changes.

    `architecture`: as the mapping uses it; `described`: all of it, of which the mapping may leave
    some idle. `kept_chunks`: places for chunks of weights that stay from one timestep to the next.
    """

    architecture: Architecture
    described: Architecture
    network: Network
    machine: Machine
    mapping: Mapping
    graph: Graph
    schedule: Schedule
    layers: tuple[LayerPlan, ...]
    kept_chunks: int

    @property
    def order(self) -> str:
        """Say how the parts of the network run: `stem together, blocks by timestep, head together`.

        Together: a layer for all timesteps, then the next. By timestep: all layers at one timestep,
        then at the next.
        """
        parts = [
            f"{each.layer.role} {'by timestep' if in_time else 'together'}"
            for each in self.layers
            for in_time in (each.layer.index in self.schedule.in_time,)
        ]
        return ", ".join(dict.fromkeys(parts))

    @property
    def stages_missing(self) -> list[str]:
        """Return the roles whose timesteps the dataflow orders, if the trace has none of them."""
        dataflow, roles = self.architecture.dataflow, ["blocks", "layers"]
        orders = any(slot.timestep >= 0 for slot in dataflow.order(roles[:1], 2, [False]))
        named = any(each.layer.role in roles for each in self.layers)
        return roles if orders and not named and self.network.timesteps > 1 else []

    @property
    def port_bits(self) -> int:
        """Return the bits a cycle through the weight port."""
        weights = self.architecture.core.buffers.weights
        return int(weights.bits_per_cycle(self.architecture.clock_mhz))

    @property
    def vector_lanes(self) -> int:
        """Return the elements a cycle of a vector unit."""
        return self.architecture.core.vector_unit.elements_per_cycle

    @property
    def unit_names(self) -> tuple[str, ...]:
        """Return the names of the machine's units, in order of their number."""
        return self.graph.names

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return the steps in the order of the dataflow."""
        return self.schedule.steps


def make_plan(network: Network, architecture: Architecture) -> Plan:
    """Plan a trace on a machine, by the fixed rules.

    Raises LoweringError, with the rule, if it cannot be executed, or if the machine wants its
    mapping chosen.
    """
    if architecture.dataflow.mapping != "fixed":
        raise LoweringError(
            f"{architecture.name}: dataflow.mapping: {architecture.dataflow.mapping}: must be "
            "fixed here: a mapping is chosen by the first image of a trace"
        )
    frame = make_frame(network, architecture)
    return plan_of(frame, fixed_mapping(frame))


def plan_of(frame: Frame, mapping: Mapping) -> Plan:
    """Plan a trace on a machine with this mapping."""
    network, order, places = frame.network, frame.order, mapping.places
    sources = places.sources(mapping.pinned)
    machine = _machine(frame, mapping)
    kept_chunks = 0
    layers = []
    scopes: list[list[int]] = [[] for _ in network.layers]
    for index, step in enumerate(order.steps):
        if step.kind in ("matrix", "vector", "elements"):
            scopes[step.layer].append(index)
    for layer, cut, source in zip(network.layers, frame.cuts, sources, strict=True):
        pinned = _pinned(mapping, layer, cut)
        own = cut.pieces if pinned else 0
        kept_at = tuple(kept_chunks + core * own for core in range(machine.cores))
        if pinned or source == FROM_GLOBAL:
            kept_chunks = kept_at[-1] + cut.pieces
        layers.append(
            _layer_plan(frame, mapping, layer, source, kept_at, tuple(scopes[layer.index]))
        )
    architecture = frame.architecture
    graph = make_graph(architecture)
    return Plan(
        architecture, frame.described, network, machine, mapping, graph, order, tuple(layers),
        kept_chunks,
    )  # fmt: skip


def _pinned(mapping: Mapping, layer: Layer, cut: Cut) -> int:
    """Return the chunks of a layer's weights that stay; of weights in groups all or none."""
    chosen = mapping.pinned[layer.index]
    return chosen if cut.groups == 1 or chosen >= cut.pieces else 0


def _machine(frame: Frame, mapping: Mapping) -> Machine:
    architecture = frame.architecture
    return Machine(
        cores=len(architecture.cores),
        weight_slots=min(mapping.weight_slots, frame.slots - frame.most_pinned(mapping.pinned)),
        prefetch_chunks=mapping.prefetch_chunks,
        demand_first=int(mapping.demand_first),
        local_chunks=architecture.dataflow.local_weight_chunks,
        sum_blocks=mapping.sum_blocks,
        operand_blocks=2,
    )


def _layer_plan(
    frame: Frame,
    mapping: Mapping,
    layer: Layer,
    source: int,
    kept_at: tuple[int, ...],
    scopes: tuple[int, ...],
) -> LayerPlan:
    architecture, order, places = frame.architecture, frame.order, mapping.places
    home, cut = order.homes[layer.index], frame.cuts[layer.index]
    computed = layer.computed_timesteps(architecture.dataflow.reuse_static_input)
    operand_place = places.tensors[layer.operand] if layer.operand else CORE
    fused = tuple(op for op in layer.vector_ops if op.kind != "halting")
    held = places.network.held
    stored = [name for name in made_by(layer) if name in held]
    outside = [name for name in stored if places.tensors[name] != CORE]
    shared = architecture.memories.global_buffer if source == FROM_GLOBAL else None
    fetch_bits = _fetch_bits(layer, cut, architecture)
    core = architecture.core
    path = core.array_for(layer.product_class)
    return LayerPlan(
        layer=layer,
        array=core.arrays[path],
        array_number=list(core.arrays).index(path),
        chunks=cut.chunks,
        row_block=mapping.row_block[layer.index],
        repeats=layer.timesteps // computed,
        computed_timesteps=computed,
        scopes=scopes,
        home=home,
        share=share_of(layer, architecture, home),
        source=source,
        pinned=_pinned(mapping, layer, cut),
        fetch=_fetches(fetch_bits, architecture.memories.dram, architecture.clock_mhz),
        fetch_bits=fetch_bits,
        fill_chunks=_fill_chunks(layer, cut, architecture) if fetch_bits else 0,
        shared_fetch=(
            _fetches(fetch_bits, shared, architecture.clock_mhz) if shared is not None else ()
        ),
        kept_at=kept_at,
        rows_outer=mapping.rows_outer[layer.index],
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


def _fetch_bits(layer: Layer, cut: Cut, architecture: Architecture) -> tuple[tuple[int, int], ...]:
    """Return the bits of each chunk's weights, for a full and for the ragged column tile."""
    if layer.weight_bits == 0:
        return ()
    if cut.chunks is None:  # the head, which runs on the vector unit
        bits = layer.inputs * layer.outputs * layer.weight_bits
        return ((bits, bits),)
    if array_of(layer, architecture).holds_weights:
        return ()
    array = array_of(layer, architecture)
    columns = array.tile_columns
    sizes = (min(columns, layer.outputs), layer.outputs % columns or columns)
    fill = architecture.core.buffers.weights.fill_bits
    if fill:
        return ((fill, fill),) * len(cut.chunks.inputs)
    full, last = (
        [
            array.stored_weight_bits(int(inputs), size, layer.weight_bits)
            for inputs in cut.chunks.inputs
        ]
        for size in sizes
    )
    return tuple(zip(full, last, strict=True))


def _fill_chunks(layer: Layer, cut: Cut, architecture: Architecture) -> int:
    """Return the chunks that a part of the weight buffer holds, 0 if it is not filled by parts."""
    fill = architecture.core.buffers.weights.fill_bits
    if not fill or cut.chunks is None:
        return 0
    array = array_of(layer, architecture)
    largest = int(cut.chunks.inputs.max())
    bits = array.stored_weight_bits(largest, array.tile_columns, layer.weight_bits)
    if bits > fill:
        raise LoweringError(
            f"{architecture.name}: cores.0.buffers.weights: a part holds {fill} bits: must hold "
            f"the {bits} bits of a tile of layer {layer.name}"
        )
    return fill // bits


def _fetches(bits: tuple[tuple[int, int], ...], memory: Memory, clock_mhz: float) -> Fetches:
    """Return the reads of each chunk's weights from a memory."""
    return tuple(
        (request(memory, full, clock_mhz), request(memory, last, clock_mhz)) for full, last in bits
    )
