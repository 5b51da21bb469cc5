"""Images on a plan: the programs that an engine replays, and the counts that are priced.

    lowering = Lowering(plan)
    batch = lowering.lower(images)          # as many as memory holds at once
    batch.program(0)                        # of the first of them
    batch.counts[0]                         # int64 (layer, action)

Images whose loops are equal share the structure of their program; it is emitted once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Int32s, Ints
from simulator.lowering.constants import Constants, make_constants
from simulator.lowering.count_plan import make_count_plan
from simulator.lowering.counter import Counts
from simulator.lowering.counts import count_products, dram_bits
from simulator.lowering.group import GroupRows
from simulator.lowering.plan import Plan
from simulator.lowering.singles import Singles, make_singles, masked_steps
from simulator.lowering.structure import Tasks, emit
from simulator.lowering.table import Table, make_table
from simulator.lowering.tiles import Batch
from simulator.lowering.timing import Moves, block_busy, move_blocks, own_busy
from simulator.program import Program, Structure
from simulator.trace import Image

Key = tuple[int, str, str]

STRUCTURE_BYTES = 128 << 20
"""Of the programs that a process keeps, without their cycles."""


class Lowered(NamedTuple):
    """A program with the meaning of its units and ops, and the counts of the image.

    unit_names: of the program's units. op_step, op_layer, op_category: int32 (ops,), step of the
    plan, layer, index into CATEGORIES. counts: by (layer, part, action). The others are int64
    (layers,): useful accumulations, DRAM bits, rows with nothing halted and live rows.
    """

    program: Program
    unit_names: tuple[str, ...]
    op_step: Int32s
    op_layer: Int32s
    op_category: Int32s
    counts: dict[Key, int]
    useful_accumulations: Ints
    dram_bits: Ints
    rows: Ints
    live_rows: Ints


class Emitted(NamedTuple):
    """The program of images with equal loops, but for their cycles.

    structure: what an engine replays. busy_at: int32 (ops,), place of each op's cycles in a busy
    row. step, layer, category: int32 (ops,), step of the plan, layer, index into CATEGORIES.
    """

    structure: Structure
    busy_at: Int32s
    step: Int32s
    layer: Int32s
    category: Int32s


class Structures:
    """Programs that were met, those used last, by what they follow from.

    All plans of a process share them: machines that differ in cycles or prices have equal loops.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes, self._bytes = limit_bytes, 0
        self._emitted: OrderedDict[tuple[bytes, ...], Emitted] = OrderedDict()
        self._lock = Lock()

    def find(self, key: tuple[bytes, ...]) -> Emitted | None:
        """Return the program that was kept under a key."""
        with self._lock:
            found = self._emitted.get(key)
            if found is not None:
                self._emitted.move_to_end(key)
            return found

    def keep(self, key: tuple[bytes, ...], emitted: Emitted) -> None:
        """Keep a program; those that were not used for longest make room."""
        with self._lock:
            if key not in self._emitted:
                self._emitted[key] = emitted
                self._bytes += _bytes_of(key, emitted)
            while self._bytes > self._limit_bytes:
                self._bytes -= _bytes_of(*self._emitted.popitem(last=False))


def _bytes_of(key: tuple[bytes, ...], emitted: Emitted) -> int:
    columns = (*emitted[1:], *(each for each in emitted.structure if isinstance(each, np.ndarray)))
    return sum(map(len, key)) + sum(each.nbytes for each in columns)


STRUCTURES = Structures(STRUCTURE_BYTES)


@dataclass(frozen=True)
class LoweredBatch:
    """What a batch of images is on a plan.

    actions: (part, action) of the last axis of `counts`, in order.
    counts: int64 (images, layers, actions).
    useful_accumulations, additions, dram_bits, rows, live_rows: int64 (images, layers).
    own_busy: int64 (images, layers, 3), cycles of arrays, vector units and DRAM that an image takes
        by itself; fetched weights are left out.
    groups: images that run together: first and last, excluded, of each.
    emitted, busy: of each group, its program and its row of cycles.
    """

    plan: Plan
    actions: tuple[tuple[str, str], ...]
    counts: Ints
    useful_accumulations: Ints
    additions: Ints
    dram_bits: Ints
    rows: Ints
    live_rows: Ints
    own_busy: Ints
    groups: tuple[tuple[int, int], ...]
    emitted: tuple[Emitted, ...]
    busy: tuple[Ints, ...]

    def program(self, group: int) -> Program:
        """Return the program of a group of images: an image alone, unless several run together."""
        emitted = self.emitted[group]
        return emitted.structure.program(self.busy[group][emitted.busy_at])

    def image(self, image: int) -> Lowered:
        """Return all of one image of the batch."""
        group = next(n for n, (first, last) in enumerate(self.groups) if first <= image < last)
        emitted, counted = self.emitted[group], self.counts[image]
        return Lowered(
            self.program(group),
            self.plan.unit_names,
            emitted.step,
            emitted.layer,
            emitted.category,
            {
                (layer, *self.actions[action]): int(counted[layer, action])
                for layer, action in np.argwhere(counted).tolist()
            },
            self.useful_accumulations[image],
            self.dram_bits[image],
            self.rows[image],
            self.live_rows[image],
        )


def lower(plan: Plan, image: Image) -> Lowered:
    """Lower one image of the plan's trace."""
    return Lowering(plan).lower([image]).image(0)


class Lowering:
    """Lowers images on a plan; keeps what no image changes, and the structures met so far."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.constants = make_constants(plan)
        self.masked = masked_steps(plan)
        self.count_plan = make_count_plan(self.constants)
        self._group_rows: dict[tuple[int, bool], GroupRows] = {}
        self.layer_of = np.array([step.layer for step in plan.steps], np.int32)

    def lower(self, images: Sequence[Image]) -> LoweredBatch:
        """Lower a batch of images."""
        return self.lower_batch(self.batch_of(images))

    def batch_of(self, images: Sequence[Image]) -> Batch:
        """Lay the bits of images into one arena."""
        walks, network = self.constants.walks, self.plan.network
        arena = np.zeros((len(images), -(-walks.image_bytes // 8) * 8), np.uint8)
        for row, image in zip(arena, images, strict=True):
            for name, first in walks.tensor_offset.items():
                tensor = image.tensors[name]
                row[first : first + tensor.size] = tensor.ravel()
        active = np.zeros(
            (len(images), network.blocks, network.timesteps, network.tokens), np.bool_
        )
        for place, image in enumerate(images):
            for block in range(network.blocks):
                active[place, block] = image.active[str(block)]
        return Batch(arena, active)

    def lower_batch(self, batch: Batch, *, pinned_present: bool = False) -> LoweredBatch:
        """Lower the images of a batch.

        pinned_present: weights that stay on chip are there already, from an image before: nothing
        fetches them. Else each group of images fetches them once.
        """
        plan, images = self.plan, len(batch.active)
        table = make_table(self.constants, batch)
        together = plan.architecture.dataflow.images_together
        groups = tuple(
            (first, min(first + together, images)) for first in range(0, images, together)
        )
        counts = Counts(self.constants, images, groups)
        moves = move_blocks(table)
        useful = count_products(
            counts, self.count_plan, table, moves, pinned_present=pinned_present
        )
        rows, live = _rows(self.constants, batch)
        singles = make_singles(
            self.constants, self.masked, batch, counts, useful.accumulations, rows, live
        )
        emitted, busy = self._programs(table, moves, singles, groups, pinned_present)
        self._count_links(counts, emitted, busy)
        actions, cube = counts.cube()
        return LoweredBatch(
            plan,
            actions,
            cube,
            *useful,
            dram_bits(actions, cube),
            rows,
            live,
            own_busy(table, moves, singles),
            groups,
            emitted,
            busy,
        )

    def _count_links(
        self, counts: Counts, emitted: tuple[Emitted, ...], busy: tuple[Ints, ...]
    ) -> None:
        """Count flits times links: the cycles in which a link is held; equal parts for a group."""
        links = self.plan.graph.with_role("link")
        if not links:
            return
        for group, (program, row) in enumerate(zip(emitted, busy, strict=True)):
            own = np.flatnonzero(np.isin(program.structure.unit, links))
            at = group * counts.layers + program.layer[own].astype(np.int64)
            held = row[program.busy_at[own]]
            counts.shared.add("interconnect", {"flit_hop": held}, at, 1)

    def _programs(
        self,
        table: Table,
        moves: Moves,
        singles: Singles,
        groups: tuple[tuple[int, int], ...],
        pinned_present: bool,
    ) -> tuple[tuple[Emitted, ...], tuple[Ints, ...]]:
        blocks = block_busy(table, moves)
        emitted, busy = [], []
        for first, last in groups:
            rows = self.rows_of(last - first, pinned_present)
            row, tasks = rows.of_group(table, moves, blocks, singles, first)
            emitted.append(self._emitted(rows, tasks))
            busy.append(row)
        return tuple(emitted), tuple(busy)

    def _emitted(self, rows: GroupRows, tasks: Tasks) -> Emitted:
        """Return the program of these tasks; it is emitted and checked when it is first met."""
        servers, steps = self.plan.graph.servers, rows.task_step.astype(np.int32)
        key = (*tasks.key, servers.tobytes(), steps.tobytes(), self.layer_of.tobytes())
        found = STRUCTURES.find(key)
        if found is None:
            columns = emit(tasks)
            # A join takes no cycles, any other op at least one: images are checked by the engine.
            busy = (columns.unit >= 0).astype(np.int64)
            program = Program(
                columns.unit, busy, columns.latency, columns.yields, columns.pred_ptr,
                columns.pred, servers,
            )  # fmt: skip
            step = steps[columns.task]
            found = Emitted(
                Structure.of(program), columns.busy_at, step, self.layer_of[step], columns.category
            )
            STRUCTURES.keep(key, found)
        return found

    def rows_of(self, images: int, pinned_present: bool = False) -> GroupRows:
        """Return what builds the programs of groups of so many images."""
        key = images, pinned_present
        if key not in self._group_rows:
            self._group_rows[key] = GroupRows(self.constants, images, pinned_present)
        return self._group_rows[key]


def _rows(constants: Constants, batch: Batch) -> tuple[Ints, Ints]:
    """Return int64 (image, layer), rows of products with nothing halted, and live rows."""
    plan = constants.plan
    shape = (len(batch.active), len(plan.layers))
    rows, live = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    active = batch.active.sum(axis=3, dtype=np.int64)
    for layer_plan in plan.layers:
        layer, steps = layer_plan.layer, layer_plan.computed_timesteps
        tokens = layer.inputs if layer.transposed else layer.rows
        rows[:, layer.index] = live[:, layer.index] = tokens * steps
        if layer.mask is not None:
            live[:, layer.index] = active[:, int(layer.mask), :steps].sum(axis=1)
    return rows, live
