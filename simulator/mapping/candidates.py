"""The mappings that come into question, each under the capacities of its frame.

What a smaller buffer allows, a larger one allows too: candidates may use less than there is. Those
that starve the pipeline are left out by shape: pinned weights leave some chunks to others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simulator.lowering.mapping import Frame, Mapping, array_of, fixed_mapping
from simulator.lowering.places import CORE, OUTSIDE, Places, Room
from simulator.operations import Layer

STREAMING_CHUNKS, STREAMING_BITS = 8, 32 << 13
"""What pinned weights leave to others on their way: so many chunks, or bits if chunks are large."""

PREFETCH_CHUNKS = (0, 4, 16)
"""Prefetch depths; 0 = as deep as the buffer."""

FEWEST_ROWS = 8
"""Blocks of fewer rows are not tried, unless no more fit."""

_MOST_PLACES = 3


def first_mapping(frame: Frame, sum_blocks: int) -> Mapping:
    """Return what the fixed rules say, with so many blocks of sums and with demand first.

    No block is larger than its layer, so that equal mappings are equal.
    """
    fixed = fixed_mapping(frame, sum_blocks)
    rows = tuple(
        min(block, max(frame.rows_together(layer), 1))
        for block, layer in zip(fixed.row_block, frame.network.layers, strict=True)
    )
    return fixed._replace(row_block=rows, demand_first=True)


def placements(frame: Frame) -> list[Places]:
    """Return places of tensors and membranes for all that buffers hold and for less.

    First come, first served is not best: a large tensor may take the room of two small ones. So all
    distinct outcomes of less room are compared by the bits that they move, at one read a reader.
    """
    full = Room.of(frame.architecture)
    found = [frame.places(full)]
    for field in ("spikes", "membranes"):
        room = full
        while getattr(room, field) > 0:
            places = frame.places(room)
            found.append(places)
            less = getattr(places.taken, field) - 1
            room = room._replace(**{field: max(less, 0)})
    best = sorted(found[1:], key=lambda places: moved_bits(frame, places))
    return [found[0], *best[: _MOST_PLACES - 1]]


def moved_bits(frame: Frame, places: Places) -> int:
    """Return the bits that tensors and membranes in DRAM move, each read once by each reader."""
    network, total = frame.network, 0
    for name, held in network.held.items():
        if places.tensors[name] == OUTSIDE:
            bits = held.timesteps * held.planes * held.rows * held.channels
            total += bits * (1 + len(network.consumers.get(name, ())))
    width = frame.architecture.core.vector_unit.membrane_bits
    for index, place in places.membranes.items():
        layer = network.layers[index]
        neurons = sum(op.rows * op.channels for op in layer.vector_ops if op.kind == "lif")
        total += 2 * width * neurons * (layer.timesteps - 1) * (place == OUTSIDE)
    return total


def streaming_bits(frame: Frame) -> int:
    """Return the bits of the weight buffer that pinned weights leave to others."""
    chunk_bits = _chunk_bits(frame)
    return min(STREAMING_CHUNKS, max(STREAMING_BITS // chunk_bits, 2)) * chunk_bits


def _chunk_bits(frame: Frame) -> int:
    return max(frame.architecture.core.buffers.weights.capacity_bits // frame.slots, 1)


def pins(frame: Frame, mapping: Mapping, streaming: int) -> Iterator[Mapping]:
    """Yield the mapping with no chunks pinned, half of what fits and all of it, small weights last.

    A chunk that stays saves its fetch at all timesteps but the first, so those with more bits come
    first, and of equals those of earlier layers. `streaming`: bits left to others, by the entire
    array: an array in part pins no more for having smaller chunks.
    """
    layers = frame.network.layers
    again = [layer.index for layer in layers if mapping.places.fetched_again(layer)]

    def bits(index: int) -> float:
        layer = layers[index]
        return layer.inputs * layer.outputs * layer.weight_bits / frame.cuts[index].pieces

    order = sorted(again, key=lambda index: (-bits(index), index))
    room = max(frame.slots - max(streaming // _chunk_bits(frame), 2), 0)
    for most in dict.fromkeys((room, room // 2, 0)):
        pinned, left = [0] * len(layers), most
        for index in order:
            needed = max(own.get(index, 0) for own in frame.pieces)
            pinned[index] = min(needed, left)
            left -= pinned[index]
        yield mapping._replace(pinned=tuple(pinned))


def streams(frame: Frame, mapping: Mapping) -> Iterator[Mapping]:
    """Yield the mapping with other prefetch depths, and with fewer places for chunks to stream."""
    for depth in PREFETCH_CHUNKS:
        yield mapping._replace(prefetch_chunks=depth)
    left = frame.slots - frame.most_pinned(mapping.pinned)
    needed = max(sum(own.values()) for own in frame.pieces)
    for slots in (left // 2, left // 4):
        if 1 < slots < needed:
            yield mapping._replace(weight_slots=slots)


def row_blocks(frame: Frame, layer: Layer, sum_blocks: int) -> list[int]:
    """Return sizes of blocks: as many rows as fit, then half as many, down to FEWEST_ROWS.

    Tokens are not parted, as in Frame.most_rows, nor maps that an array takes entire.
    """
    if layer.kind == "head" or layer.is_elementwise:
        return [1]
    size = frame.most_rows(layer, sum_blocks)
    sizes, unit = [size], layer.timesteps
    fewest = size if array_of(layer, frame.architecture).entire_maps else FEWEST_ROWS
    while size // 2 >= max(fewest, unit):
        size = size // 2 // unit * unit
        sizes.append(size)
    most = max(frame.rows_together(layer), 1)
    return list(dict.fromkeys(min(size, most) for size in sizes))


def loops(frame: Frame, mapping: Mapping) -> Iterator[Mapping]:
    """Yield the mapping with other blocks of rows and other outer loops, the same in all layers."""
    layers, tensors = frame.network.layers, mapping.places.tensors
    sizes = [row_blocks(frame, layer, mapping.sum_blocks) for layer in layers]
    # What is in the core is read there again at no cost: weights stay for all rows.
    outside = [each.operand is not None and tensors[each.operand] != CORE for each in layers]
    on_array = [cut.chunks is not None or layer.is_attention
                for cut, layer in zip(frame.cuts, layers, strict=True)]  # fmt: skip
    for place in range(max(map(len, sizes))):
        rows = tuple(each[min(place, len(each) - 1)] for each in sizes)
        for rows_outer in (False, True):
            outer = tuple(
                rows_outer and far and own for far, own in zip(outside, on_array, strict=True)
            )
            yield mapping._replace(row_block=rows, rows_outer=outer)


def combined(
    mappings: Sequence[Mapping], costs: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> Mapping:
    """Return the mapping whose every layer has the loops that cost it least.

    costs: DRAM bits and cycles by layer, of each mapping.
    """
    chosen = [
        min(range(len(mappings)), key=lambda n: (costs[n][0][layer], costs[n][1][layer], n))
        for layer in range(len(mappings[0].row_block))
    ]
    return mappings[0]._replace(
        row_block=tuple(mappings[n].row_block[layer] for layer, n in enumerate(chosen)),
        rows_outer=tuple(mappings[n].rows_outer[layer] for layer, n in enumerate(chosen)),
    )
