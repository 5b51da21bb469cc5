"""What is fixed for a trace on a machine: order of steps, what stays on chip, and each layer's cut.

Decided once, from shapes alone; the images fill in rows and cycles.

A tensor stays in the spike buffer if there is room for it from its making to its last use, in
order of execution; else it goes to DRAM and comes back. A timestep-serial machine holds one
timestep of a block's tensors. Membranes stay in their buffer in order of the layers, as long as
there is room. Layers whose operand is in DRAM loop over row blocks or over column tiles first,
whichever moves fewer bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.architecture import Architecture
from simulator.components.dataflows.base import ALL_TIMESTEPS
from simulator.components.memories.base import Memory, Transfer
from simulator.errors import LoweringError
from simulator.lowering.emit import Machine
from simulator.operations import Layer, Network, VectorOp
from simulator.tiling import Chunks, cut_inputs

SCORE_BITS = 8
"""Bits of an attention score in memory: at most head_dim, which is 64 or less in this field."""


class Step(NamedTuple):
    """A step of the order: `kind` matrix | vector (head) | halting | scan; -1 = all timesteps."""

    kind: str
    layer: int
    timestep: int
    deps: tuple[int, ...]


@dataclass(frozen=True)
class LayerPlan:
    """How a layer is cut and where its data are.

    `repeats`: results of one product that serve so many timesteps (a static input); `scopes`: its
    steps, in order; `fetch` (chunk, 2): DRAM requests of each chunk's weights for full and ragged
    column tiles; `fetch_counts`: what all chunks of one full and of the ragged tile count;
    `spilled_bits`, `stored_bits`: of all its results, in DRAM and in all; flags: what is in DRAM.
    """

    layer: Layer
    chunks: Chunks | None
    row_block: int
    repeats: int
    computed_timesteps: int
    scopes: tuple[int, ...]
    fetch: tuple[tuple[Transfer, Transfer], ...]
    fetch_counts: tuple[dict[str, int], dict[str, int]]
    rows_outer: bool
    operand_in_dram: bool
    spilled_bits: int
    stored_bits: int
    membranes_kept: bool
    membranes_in_dram: bool
    fused: tuple[VectorOp, ...]


@dataclass(frozen=True)
class Plan:
    """Everything about (trace, architecture) that no image changes."""

    architecture: Architecture
    network: Network
    machine: Machine
    steps: tuple[Step, ...]
    layers: tuple[LayerPlan, ...]
    dep_ptr: npt.NDArray[np.int64]
    dep: npt.NDArray[np.int64]


def make_plan(network: Network, architecture: Architecture) -> Plan:
    """Plan a trace on a machine. Raises LoweringError, with the rule, if it cannot be executed."""
    architecture = architecture.for_halting(network.granularity)
    refusal = architecture.dataflow.refusal(network.granularity)
    if refusal:
        raise LoweringError(f"{architecture.name}: dataflow.kind: {refusal}")
    machine = _machine(architecture)
    steps = _steps(network, architecture)
    places = _Places(network, architecture)
    layers = tuple(
        _layer_plan(layer, network, architecture, machine, places, steps)
        for layer in network.layers
    )
    deps = [list(step.deps) for step in steps]
    return Plan(
        architecture,
        network,
        machine,
        steps,
        layers,
        np.cumsum([0] + [len(dep) for dep in deps], dtype=np.int64),
        np.array([place for dep in deps for place in dep], np.int64),
    )


def request(memory: Memory, bits: int, clock_mhz: float, *, write: bool = False) -> Transfer:
    """A transfer, remembered: the same few sizes are asked for again and again."""
    return _request(memory, bits, clock_mhz, write)


@lru_cache(maxsize=65536)
def _request(memory: Memory, bits: int, clock_mhz: float, write: bool) -> Transfer:
    return memory.write(bits, clock_mhz) if write else memory.read(bits, clock_mhz)


def _machine(architecture: Architecture) -> Machine:
    core, dataflow, clock = architecture.core, architecture.dataflow, architecture.clock_mhz
    array, vector = core.pe_array, core.vector_unit
    weights = core.buffers.weights
    chunk_bits = (array.tile_inputs or 1) * array.tile_columns * 8
    slots = weights.capacity_bits // chunk_bits
    if slots < 1:
        raise LoweringError(
            f"{architecture.name}: cores.0.buffers.weights holds {weights.capacity_bits} bits: "
            f"must hold the weights of one tile, {chunk_bits} bits"
        )
    port = request(weights, weights.capacity_bits, clock)
    dram = request(architecture.memories.dram, 1, clock)
    return Machine(
        columns=array.tile_columns,
        preloads=int(array.preloads_weights),
        port_bits=int(weights.bits_per_cycle(clock)),
        weight_slots=min(slots, 1 << 20),
        local_chunks=dataflow.local_weight_chunks,
        accumulator_blocks=dataflow.accumulator_blocks,
        operand_blocks=2,
        array_latency=array.pipeline_latency_cycles,
        port_latency=port.latency_cycles,
        dram_latency=dram.latency_cycles,
        vector_lanes=vector.elements_per_cycle,
        vector_latency=vector.pipeline_latency_cycles,
    )


def _steps(network: Network, architecture: Architecture) -> tuple[Step, ...]:
    """The order of the dataflow, attention by timestep, with scans before and halting after."""
    slots = architecture.dataflow.order(
        [layer.stage for layer in network.layers], network.timesteps
    )
    scans = architecture.token_skip.scan(network.tokens, network.tokens, 1).busy_cycles > 0
    steps: list[Step] = []
    made: dict[int, list[int]] = {}
    scan_of: dict[tuple[str, int], int] = {}
    last_halting: list[int] = []
    for index, timestep in slots:
        layer = network.layers[index]
        deps = [step for producer in layer.producers for step in made.get(producer, [])]
        if scans and layer.mask is not None:
            key = (layer.mask, timestep)
            if key not in scan_of:
                scan_of[key] = len(steps)
                steps.append(Step("scan", index, timestep, tuple(last_halting)))
            deps.append(scan_of[key])
        elif layer.mask is not None:
            # Without a scan the mask must be there all the same.
            deps += last_halting
        by_timestep = layer.is_attention and timestep == ALL_TIMESTEPS
        times = range(layer.timesteps) if by_timestep else (timestep,)
        made[index] = []
        for time in times:
            kind = "vector" if layer.kind == "head" else "matrix"
            made[index].append(len(steps))
            steps.append(Step(kind, index, time, tuple(deps)))
        if any(op.kind == "halting" for op in layer.vector_ops):
            last_halting = [len(steps)]
            steps.append(Step("halting", index, timestep, tuple(made[index])))
    return tuple(steps)


class _Places:
    """Who finds room in the spike buffer and in the membrane buffer."""

    def __init__(self, network: Network, architecture: Architecture) -> None:
        self.network = network
        self.serial = architecture.dataflow.keeps_membranes
        self.membrane_bits = architecture.core.vector_unit.membrane_bits
        self.tensors_in_dram = self._spilled(architecture.core.buffers.spikes.capacity_bits)
        self.membranes_in_dram = self._membranes(architecture.core.buffers.membranes.capacity_bits)

    def tensor_bits(self, name: str) -> int:
        """Bits of a tensor that exist at once."""
        tensor = self.network.tensors[name]
        maker = self._maker(name)
        in_block = maker is not None and self.network.layers[maker].stage in ("blocks", "halting")
        steps = 1 if self.serial and in_block else tensor.timesteps
        return steps * tensor.planes * tensor.rows * tensor.channels

    def _maker(self, name: str) -> int | None:
        for layer in self.network.layers:
            if any(op.output == name for op in layer.vector_ops):
                return layer.index
        return None

    def _spilled(self, capacity_bits: int) -> set[str]:
        """First come, first served, in order of execution; the image is in DRAM anyway."""
        spilled = {name for name in self.network.tensors if self._maker(name) is None}
        free = capacity_bits
        held: dict[str, int] = {}
        for layer in self.network.layers:
            for name in (op.output for op in layer.vector_ops if op.output in self.network.tensors):
                if self.tensor_bits(name) <= free:
                    held[name] = self._last_use(name)
                    free -= self.tensor_bits(name)
                else:
                    spilled.add(name)
            for name in [name for name, last in held.items() if last <= layer.index]:
                free += self.tensor_bits(name)
                del held[name]
        return spilled

    def _last_use(self, name: str) -> int:
        users = self.network.consumers.get(name, ())
        last = max(users, default=-1)
        maker = self._maker(name)
        stem = maker is not None and self.network.layers[maker].stage == "sps"
        if self.serial and stem and any(self.network.layers[user].stage != "sps" for user in users):
            # Read again at every timestep, so it stays until the blocks have ended.
            return len(self.network.layers)
        return last

    def _membranes(self, capacity_bits: int) -> set[int]:
        spilled: set[int] = set()
        free = capacity_bits
        for layer in self.network.layers if self.serial else ():
            if layer.stage != "blocks":
                continue
            neurons = sum(op.rows * op.channels for op in layer.vector_ops if op.kind == "lif")
            if neurons * self.membrane_bits <= free:
                free -= neurons * self.membrane_bits
            else:
                spilled.add(layer.index)
        return spilled


def _layer_plan(
    layer: Layer,
    network: Network,
    architecture: Architecture,
    machine: Machine,
    places: _Places,
    steps: tuple[Step, ...],
) -> LayerPlan:
    array = architecture.core.pe_array
    dataflow = architecture.dataflow
    scopes = tuple(
        index
        for index, step in enumerate(steps)
        if step.layer == layer.index and step.kind in ("matrix", "vector")
    )
    static = layer.static_input and layer.stage == "sps" and dataflow.reuse_static_input
    chunks = None if layer.kind in ("attention_context", "head") else _chunks(layer, architecture)
    fused = tuple(op for op in layer.vector_ops if op.kind != "halting")
    stored = [op for op in fused if op.output in network.tensors]
    in_dram = layer.operand is not None and layer.operand in places.tensors_in_dram
    row_block = _row_block(layer, architecture)
    fetch = _fetches(layer, chunks, architecture)
    return LayerPlan(
        layer=layer,
        chunks=chunks,
        row_block=row_block,
        repeats=layer.timesteps if static else 1,
        computed_timesteps=1 if static else layer.timesteps,
        scopes=scopes,
        fetch=fetch,
        fetch_counts=(_summed(full for full, _ in fetch), _summed(last for _, last in fetch)),
        rows_outer=in_dram and _rows_first(layer, chunks, row_block, machine, array.tile_columns),
        operand_in_dram=in_dram,
        spilled_bits=sum(
            _bits(op, network) for op in stored if op.output in places.tensors_in_dram
        ),
        stored_bits=sum(_bits(op, network) for op in stored),
        membranes_kept=places.serial
        and layer.stage == "blocks"
        and any(op.kind == "lif" for op in fused),
        membranes_in_dram=layer.index in places.membranes_in_dram,
        fused=fused,
    )


def _bits(op: VectorOp, network: Network) -> int:
    """Bits of all results of an operation, over all timesteps at which it stores one."""
    tensor = network.tensors[op.output]
    return tensor.timesteps * tensor.planes * tensor.rows * tensor.channels


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


def _fetches(
    layer: Layer, chunks: Chunks | None, architecture: Architecture
) -> tuple[tuple[Transfer, Transfer], ...]:
    """DRAM reads of each chunk's weights, for a full and for the ragged column tile."""
    if layer.is_attention:
        return ()
    dram, clock = architecture.memories.dram, architecture.clock_mhz
    if chunks is None:  # the head, which runs on the vector unit
        whole = request(dram, layer.inputs * layer.outputs * layer.weight_bits, clock)
        return ((whole, whole),)
    array = architecture.core.pe_array
    columns = array.tile_columns
    sizes = (min(columns, layer.outputs), layer.outputs % columns or columns)
    full, last = (
        [
            request(dram, array.stored_weight_bits(int(inputs), size, layer.weight_bits), clock)
            for inputs in chunks.inputs
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


def _rows_first(
    layer: Layer, chunks: Chunks | None, row_block: int, machine: Machine, columns: int
) -> bool:
    """Whether looping over row blocks first moves fewer bits between chip and DRAM."""
    if chunks is None:
        return True
    tiles = -(-layer.outputs // columns)
    blocks = -(-layer.rows * layer.timesteps // row_block)
    weights = layer.inputs * layer.outputs * layer.weight_bits
    operand = layer.rows * layer.timesteps * layer.channels * layer.planes
    pieces = len(chunks.inputs)
    rows_first = operand + weights * (1 if tiles * pieces <= machine.weight_slots else blocks)
    tiles_first = operand * tiles + weights * (1 if pieces <= machine.weight_slots else blocks)
    return rows_first <= tiles_first
