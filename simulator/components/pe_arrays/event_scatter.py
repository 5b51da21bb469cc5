"""An event a cycle into all taps of a kernel at once, of positions or of pairs of them."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from simulator.components.base import Action, Primitive
from simulator.components.pe_arrays.base import AccumulatorArray, ArrayCost, RowLists, Tiles
from simulator.components.pe_arrays.popcount import popcount
from simulator.config.arrays import Int32s, Ints, Words
from simulator.config.kernels import kernel, kernel_part


class EventScatter(AccumulatorArray, kind="event_scatter"):
    """Each input event is added to all outputs under its kernel, `taps` x `columns` at once.

    A convolution is walked by input position, in raster order, and by the events of a position; a
    product is a convolution whose kernel is the position itself. A position with E events takes
    `position_cycles` more than E and at least `floor_cycles`, the time to write its targets; a
    position without events takes `empty_cycles`. With `pairs` the positions 2i and 2i + 1 of a
    timestep run together: what both have is added once, then what either has alone, so their events
    are |a and b| + |a only| + |b only|; both times above count for each of the two that fires, and
    a pair with common events takes `overlap_cycles` more. A smaller kernel saves no time. Source:
    ExSpike (FPL'26); `floor_cycles` is fitted to runs of its public RTL, the other cycles are read
    off them (arch_configs/exspike.yaml).
    """

    example: ClassVar[str] = "kind: event_scatter\ncolumns: 32\ntaps: 9\npairs: true\n"
    accumulates: ClassVar[str] = "adds the weight of a tap to its sum"
    reads_bits: ClassVar[bool] = True
    walks_inputs: ClassVar[bool] = True

    columns: int = Field(gt=0, le=4096, description="outputs of a tile")
    taps: int = Field(gt=0, le=256, description="positions of the kernel, added to at once")
    pairs: bool = Field(default=False, description="neighbouring positions share common events")
    position_cycles: int = Field(default=7, ge=0, le=1024, description="beyond its events")
    floor_cycles: int = Field(default=14, ge=0, le=1024, description="of a position that fires")
    empty_cycles: int = Field(default=0, ge=0, le=1024, description="of a position without events")
    overlap_cycles: int = Field(
        default=2, ge=0, le=1024, description="of a pair with common events"
    )
    tile_cycles: int = Field(
        default=0, ge=0, le=4096, description="of a tile, beyond its positions"
    )
    weights_inside: bool = Field(
        default=False, description="the array has all weights: nothing is fetched"
    )

    @property
    def tile_columns(self) -> int:
        return self.columns

    @property
    def holds_weights(self) -> bool:
        return self.weights_inside

    @property
    def adders(self) -> int:
        """An adder a tap, and one for the targets of a position."""
        return self.columns * (self.taps + 1)

    def stored_weight_bits(self, inputs: int, outputs: int, weight_bits: int) -> int:
        return inputs * outputs * weight_bits * self.taps

    def cost(self, tiles: Tiles) -> ArrayCost:
        count = len(tiles.block)
        cycles, events, fired = (np.zeros(count, np.int64) for _ in range(3))
        rows = tiles.rows()
        for first, last, words, ptr in tiles.word_runs():
            _walk(
                words, ptr, tiles.block[first:last], tiles.inputs[first:last], tiles.planes, rows,
                self.pairs, self.position_cycles, self.floor_cycles, self.empty_cycles,
                self.overlap_cycles, cycles[first:last], events[first:last], fired[first:last],
            )  # fmt: skip
        added = tiles.by_block(events)
        written = tiles.by_block(fired) * self.taps
        return ArrayCost(
            cycles=np.maximum(cycles + self.tile_cycles, 1),
            per_output={"accumulate": added * self.taps},
            per_pass={"event": added},
            partial_sum_read_vectors=written,
            partial_sum_write_vectors=written,
            spike_bits=tiles.operand_bits,
            weights_per_output=added * self.taps,
        )

    def actions(self) -> dict[str, Action]:
        return super().actions() | {
            "event": Action(
                "takes the next event of a position (as the narrowest compare)",
                (Primitive("compare", bits=8),),
            ),
        }


@kernel
def _walk(
    words: Words,
    ptr: Ints,
    block: Ints,
    inputs: Ints,
    planes: Ints,
    rows: RowLists,
    pairs: bool,
    position_cycles: int,
    floor_cycles: int,
    empty_cycles: int,
    overlap_cycles: int,
    cycles: Ints,
    events: Ints,
    fired: Ints,
) -> None:
    """Add up the positions, or pairs of them, of each tile."""
    for tile in range(len(block)):
        first, last = rows.ptr[block[tile]], rows.ptr[block[tile] + 1]
        width = planes[block[tile]] * ((inputs[tile] + 63) // 64)
        for row in range(first, last):
            at = ptr[tile] + (row - first) * width
            partner = _partner(rows.timestep, rows.row, first, last, row) if pairs else -1
            if 0 <= partner < row:
                continue  # counted with the other one
            other = ptr[tile] + (partner - first) * width if partner >= 0 else -1
            own, second, common = _events(words, at, other, width)
            found = own + second - common
            if found == 0:
                cycles[tile] += empty_cycles * (2 if partner >= 0 else 1)
                continue
            firing = (1 if own > 0 else 0) + (1 if second > 0 else 0)
            busy = found + position_cycles * firing + (overlap_cycles if common > 0 else 0)
            cycles[tile] += max(busy, floor_cycles * firing)
            events[tile] += found
            fired[tile] += firing


@kernel_part
def _partner(timestep: Int32s, position: Int32s, first: int, last: int, row: int) -> int:
    """Return the row of the same timestep that shares the pair, or -1; rows are in order."""
    wanted = position[row] ^ 1
    step = 1 if wanted > position[row] else -1
    place = row + step
    while first <= place < last and abs(position[place] - position[row]) <= 1:
        if position[place] == wanted and timestep[place] == timestep[row]:
            return place
        place += step
    return -1


@kernel_part
def _events(words: Words, at: int, other: int, width: int) -> tuple[int, int, int]:
    """Return the events of a position, of its partner, and those that both have."""
    own = second = common = 0
    for word in range(width):
        own += popcount(words[at + word])
        if other >= 0:
            second += popcount(words[other + word])
            common += popcount(words[at + word] & words[other + word])
    return own, second, common
