"""What may be chosen of a plan, and the fixed rules by which it is chosen where nobody searches.

Layers whose operand is outside the core loop over row blocks or over column tiles first, whichever
moves fewer bits; blocks of rows are as large as the partial-sum buffer allows. Weights that are
used at every timestep are pinned if those of all such layers fit beside two chunks of others.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from simulator.architecture import Architecture
from simulator.components.dataflows.base import SHARED
from simulator.components.pe_arrays.base import PEArray
from simulator.errors import LoweringError
from simulator.lowering.by_inputs import by_inputs
from simulator.lowering.order import Schedule, schedule
from simulator.lowering.places import CORE, Places, Room
from simulator.lowering.tables import BLOCKS, GROUPS, TILES, UNDIVIDED
from simulator.lowering.tiling import Chunks, cut_inputs
from simulator.lowering.widths import at_widths
from simulator.operations import Layer, Network, key_values_first

STREAMING_CHUNKS = 2
"""Chunks of the weight buffer that pinned weights leave to others: one in use, one arriving."""


class Mapping(NamedTuple):
    """Hold the choices of a plan; tuples have a value a layer."""

    places: Places  # of tensors and membranes
    row_block: tuple[int, ...]  # rows of a block
    rows_outer: tuple[bool, ...]  # row blocks are the outer loop
    pinned: tuple[int, ...]  # chunks of a core's part that stay in its weight buffer
    sum_blocks: int  # row blocks of partial sums at once
    prefetch_chunks: int  # fetched before their use at most, 0 = as many as the buffer holds
    weight_slots: int  # places that chunks use at most, besides pinned ones
    demand_first: bool  # fetches yield to activations on DRAM, global buffer and links


class Cut(NamedTuple):
    """Say how a layer is cut: groups, and of each group chunks of inputs and column tiles."""

    chunks: Chunks | None
    tiles: int
    groups: int = 1

    @property
    def group_pieces(self) -> int:
        """Count the chunks of weights of a group, each for one column tile."""
        return self.tiles * (1 if self.chunks is None else len(self.chunks.inputs))

    @property
    def pieces(self) -> int:
        """Count the chunks of weights of all groups."""
        return self.groups * self.group_pieces


class Frame(NamedTuple):
    """Hold what follows from a trace and a machine before anything is chosen."""

    network: Network
    architecture: Architecture  # as it is used, with its array in part perhaps
    described: Architecture  # all of it
    order: Schedule
    slots: int  # chunks of weights that a core's buffer holds
    cuts: tuple[Cut, ...]
    # by core, the chunks of weights of each layer it has a part in
    pieces: tuple[dict[int, int], ...]

    def places(self, room: Room) -> Places:
        """Return where tensors and membranes are if so much of the buffers is used."""
        return Places(self.network, self.architecture, self.order.in_time, self.order.homes, room)

    def most_pinned(self, pinned: tuple[int, ...]) -> int:
        """Return the places that pinned chunks take in the fullest weight buffer."""
        return max(
            sum(min(pinned[layer], count) for layer, count in own.items()) for own in self.pieces
        )

    def most_rows(self, layer: Layer, sum_blocks: int) -> int:
        """Return the rows of which the sums fit one place of the partial-sum buffer.

        Tokens are not parted: as many as all timesteps of some. Nor are folds of the array, where
        one fits.
        """
        array = array_of(layer, self.architecture)
        buffer = self.architecture.core.buffers.partial_sums
        row_bits = array.held_columns(layer.outputs) * array.sum_bits
        rows = buffer.capacity_bits // sum_blocks // row_bits
        if self.architecture.dataflow.neurons_last and not array.fires:
            self._check_sums(layer, rows * row_bits)
        least = self.rows_together(layer) if array.entire_maps else 1
        if rows < least:
            raise LoweringError(
                f"{self.architecture.name}: cores.0.buffers.partial_sums holds "
                f"{buffer.capacity_bits} bits: must hold {sum_blocks} x {least} rows of {row_bits} "
                f"bits for layer {layer.name}"
            )
        together = layer.timesteps
        units = (math.lcm(together, array.fold_rows), together, 1)
        unit = next(unit for unit in units if rows >= unit)
        return rows // unit * unit

    def rows_together(self, layer: Layer) -> int:
        """Return the operand rows of a layer that run together, of an image."""
        if layer.index in self.order.in_time or layer.is_attention:
            return layer.rows
        return layer.rows * layer.computed_timesteps(self.architecture.dataflow.reuse_static_input)

    def _check_sums(self, layer: Layer, held_bits: int) -> None:
        """Refuse a layer of which not all sums fit, where none leaves before the last."""
        array = array_of(layer, self.architecture)
        steps = 1 if layer.index in self.order.in_time else layer.timesteps
        tiles = -(-layer.outputs // array.tile_columns)
        pixels = math.prod(layer.scattered.out_grid) if layer.scattered else layer.rows
        needed = pixels * steps * tiles * array.tile_columns * array.sum_bits
        if needed > held_bits:
            raise LoweringError(
                f"{self.architecture.name}: cores.0.buffers.partial_sums holds {held_bits} bits of "
                f"sums: must hold the {needed} bits of layer {layer.name}, since "
                f"{self.architecture.dataflow.kind} keeps all sums of a layer to its end"
            )


def make_frame(
    network: Network, architecture: Architecture, described: Architecture | None = None
) -> Frame:
    """Return what a plan starts from; `described`: the machine that is used in part.

    Raises LoweringError if the trace cannot be executed.
    """
    described = described or architecture
    architecture = architecture.for_halting(network.granularity)
    _check_executable(network, architecture)
    order = architecture.dataflow.attention_order
    if (network.attention_order if order == "as_traced" else order) == "key_values_first":
        network = key_values_first(network)
    network = by_inputs(network, architecture)
    network = at_widths(network, architecture.precision)
    parts = architecture.dataflow, architecture.token_skip
    steps = schedule(network, *parts, len(architecture.cores))
    cuts = tuple(_cut(layer, architecture) for layer in network.layers)
    slots = _weight_slots(network, architecture)
    pieces = _pieces_by_core(network, architecture, cuts, steps.homes)
    return Frame(network, architecture, described, steps, slots, cuts, pieces)


def fixed_mapping(frame: Frame, sum_blocks: int = 0) -> Mapping:
    """Choose by the fixed rules; `sum_blocks`: blocks of sums, 0 = as the machine describes."""
    places = frame.places(Room.of(frame.architecture))
    blocks = sum_blocks or frame.architecture.dataflow.accumulator_blocks
    pinned = _all_or_nothing(frame, places)
    slots = frame.slots - frame.most_pinned(pinned)
    rows, outer = [], []
    for layer, cut in zip(frame.network.layers, frame.cuts, strict=True):
        on_array = not (layer.kind == "head" or layer.is_elementwise)
        rows.append(frame.most_rows(layer, blocks) if on_array else 1)
        outside = layer.operand is not None and places.tensors[layer.operand] != CORE
        outer.append(outside and _rows_first(layer, cut, rows[-1], slots))
    return Mapping(places, tuple(rows), tuple(outer), pinned, blocks, 0, frame.slots, False)


def _all_or_nothing(frame: Frame, places: Places) -> tuple[int, ...]:
    """Pin the weights of all layers that run timestep by timestep, or none.

    The weight buffer is a ring: a cycle of uses finds all chunks there or none.
    """
    layers = frame.network.layers
    again = [layer.index for layer in layers if places.fetched_again(layer)]
    needed = [sum(own[layer] for layer in again if layer in own) for own in frame.pieces]
    if not again or max(needed) + STREAMING_CHUNKS > frame.slots:
        return (0,) * len(layers)
    return tuple(frame.cuts[n].pieces if n in again else 0 for n in range(len(layers)))


def _rows_first(layer: Layer, cut: Cut, row_block: int, slots: int) -> bool:
    """Return whether row blocks first move fewer bits between a core and what is outside."""
    if cut.chunks is None:
        return True
    blocks = -(-layer.rows * layer.timesteps // row_block)
    weights = layer.inputs * layer.outputs * layer.groups * layer.weight_bits
    operand = layer.rows * layer.timesteps * layer.channels * layer.planes
    chunks = len(cut.chunks.inputs)
    rows_first = operand + weights * (1 if cut.group_pieces <= slots else blocks)
    tiles_first = operand * cut.tiles + weights * (1 if chunks <= slots else blocks)
    return rows_first <= tiles_first


def share_of(layer: Layer, architecture: Architecture, home: int) -> int:
    """Return what a core's part of a layer is cut from; attention is cut by heads in every split.

    A convolution in groups is cut by groups where others are cut by column tiles.
    """
    if (
        home != SHARED
        or len(architecture.cores) == 1
        or layer.kind == "head"
        or layer.is_elementwise
    ):
        return UNDIVIDED
    if layer.is_attention:
        return GROUPS
    if architecture.split == "tokens":
        return BLOCKS
    return TILES if layer.groups == 1 else GROUPS


def array_of(layer: Layer, architecture: Architecture) -> PEArray:
    """Return the array that takes a layer."""
    core = architecture.core
    return core.arrays[core.array_for(layer.product_class)]


def _check_executable(network: Network, architecture: Architecture) -> None:
    refusal = architecture.dataflow.refusal(network.granularity)
    if refusal:
        raise LoweringError(architecture.name, "dataflow.kind", refusal)
    if len(architecture.cores) > 1 and architecture.memories.global_buffer is None:
        rule = "is missing: several cores exchange tensors through it"
        raise LoweringError(architecture.name, "memories.global_buffer", rule)
    between, shared = architecture.interconnect, architecture.memories.global_buffer
    refusal = between.refusal(len(architecture.cores), shared is not None) if between else ""
    if refusal:
        raise LoweringError(architecture.name, "interconnect", refusal)


def _weight_slots(network: Network, architecture: Architecture) -> int:
    """Chunks that the weight buffer holds; of several arrays, those of the largest chunk."""
    return min(_slots_for(path, network, architecture) for path in architecture.core.arrays)


def _slots_for(path: str, network: Network, architecture: Architecture) -> int:
    """Chunks of an array that the weight buffer holds, or parts of it that are filled whole."""
    core = architecture.core
    array, weights = core.arrays[path], core.buffers.weights
    if array.holds_weights or array.streams_weights:
        return 1 << 20
    if weights.fill_bits:
        return weights.capacity_bits // weights.fill_bits
    own = [layer for layer in network.layers if core.array_for(layer.product_class) == path]
    if not own and len(core.arrays) > 1:
        return 1 << 20
    if array.tile_inputs == 0:
        # All inputs are one chunk and stream through the buffer: two tiles are on the way.
        largest = max((layer.inputs for layer in own if layer.weight_bits), default=1)
        return max(2, weights.capacity_bits // (largest * array.tile_columns * array.weight_bits))
    most = max((layer.outputs for layer in own if layer.weight_bits), default=array.tile_columns)
    chunk_bits = array.tile_inputs * array.held_columns(most) * array.weight_bits
    slots = weights.capacity_bits // chunk_bits
    if slots < 1:
        raise LoweringError(
            f"{architecture.name}: cores.0.buffers.weights holds {weights.capacity_bits} bits: "
            f"must hold the weights of one tile, {chunk_bits} bits"
        )
    return min(slots, 1 << 20)


def _cut(layer: Layer, architecture: Architecture) -> Cut:
    if layer.kind == "head" or layer.is_elementwise:
        return Cut(None, 1)
    chunks = None if layer.transposed else _chunks(layer, architecture)
    tiles = -(-layer.outputs // array_of(layer, architecture).tile_columns)
    return Cut(chunks, tiles, 1 if layer.is_attention else layer.groups)


def _pieces_by_core(
    network: Network, architecture: Architecture, cuts: tuple[Cut, ...], homes: tuple[int, ...]
) -> tuple[dict[int, int], ...]:
    """For each core, the chunks of weights that it takes of each layer it has a part in."""
    cores = len(architecture.cores)
    own: list[dict[int, int]] = []
    for core in range(cores):
        taken = {}
        for layer, cut, home in zip(network.layers, cuts, homes, strict=True):
            if home in (SHARED, core):
                share = share_of(layer, architecture, home)
                taken[layer.index] = cut.pieces
                if share == TILES or (share == GROUPS and not layer.is_attention):
                    parts = cut.tiles if share == TILES else cut.groups
                    part = (core + 1) * parts // cores - core * parts // cores
                    taken[layer.index] = cut.pieces // parts * part
        own.append(taken)
    return tuple(own)


def _chunks(layer: Layer, architecture: Architecture) -> Chunks:
    array = array_of(layer, architecture)
    channels = layer.inputs // layer.window.taps
    size = array.tile_inputs or layer.inputs
    return cut_inputs(layer.window.taps, channels, size, across_taps=array.across_taps)
