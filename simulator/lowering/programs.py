"""The programs of a batch: emitted once for images with equal loops, and what is read off them."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Int32s, Ints
from simulator.lowering.constants import IN_DRAM, Constants
from simulator.lowering.group import GroupRows
from simulator.lowering.singles import Singles
from simulator.lowering.structure import Columns, emit
from simulator.lowering.table import Table
from simulator.lowering.tables import PORT_LOAD
from simulator.lowering.task_table import Tasks
from simulator.lowering.timing import Moves, block_busy
from simulator.program import Program, Structure

STRUCTURE_BYTES = 128 << 20
"""Of the programs that a process keeps, without their cycles."""


class Emitted(NamedTuple):
    """Hold the program of images with equal loops, but for their cycles."""

    structure: Structure  # what an engine replays
    busy_at: Int32s  # (ops,), place of each op's cycles in a busy row
    step: Int32s  # (ops,), of the plan
    layer: Int32s
    category: Int32s  # index into CATEGORIES
    uses: Ints  # (places,), operations that take their cycles from each place
    fetches: Ints  # (cores, layers), that fill a core's weight buffer
    loads: Ints  # (tasks,), through a weight port


class Structures:
    """Keep programs that were met, those used last, by what they follow from.

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


class Programs(NamedTuple):
    """Hold the programs of a batch, a group of images each.

    From `operand` to `fixed_uses`: how often operations take their cycles from a place of the rows.
    """

    groups: tuple[tuple[int, int], ...]  # first and last image, excluded
    rows: tuple[GroupRows, ...]  # what builds them
    emitted: tuple[Emitted, ...]
    busy: tuple[Ints, ...]  # row of cycles
    operand: Ints  # (blocks,)
    spill: Ints  # (blocks, 2), of full and ragged column tiles
    state: Ints  # (blocks, 2)
    fixed_uses: Ints  # (groups, places)
    # of each task that loads its weights first: core, entry, image of the group (-1: all), group,
    # chunks that pass the port
    loads: Ints


class ProgramMaker:
    """Make programs of a plan's images; keeps what no image changes."""

    def __init__(self, constants: Constants) -> None:
        self.plan = constants.plan
        self.constants = constants
        self._rows: dict[tuple[int, bool], GroupRows] = {}
        self._layer_of = np.array([step.layer for step in self.plan.steps], np.int32)

    def programs(
        self,
        table: Table,
        moves: Moves,
        singles: Singles,
        groups: tuple[tuple[int, int], ...],
        pinned_present: bool,
    ) -> Programs:
        """Return the programs of groups of images, which follow each other."""
        blocks = block_busy(table, moves)
        every, emitted, busy = [], [], []
        sections: list[list[Ints]] = [[], [], [], [], []]
        for number, (first, last) in enumerate(groups):
            rows = self._rows_of(last - first, pinned_present)
            row, tasks, fixed_at = rows.of_group(table, moves, blocks, singles, first)
            found = self._emitted(rows, tasks, fixed_at)
            own, size = int(table.blocks.per_scope[first:last].sum()), len(rows.fixed.layer)
            for section, at, length in (
                (0, tasks.at.operand, own),
                (1, tasks.at.spill, 2 * own),
                (2, tasks.at.state, 2 * own),
                (3, fixed_at, size),
            ):
                sections[section].append(found.uses[at : at + length])
            task, loading = rows.loading, np.zeros((5, len(rows.loading)), np.int64)
            loading[:3] = rows.task_core[task], rows.task_entry[task], rows.task_image[task]
            loading[3], loading[4] = number, found.loads[task]
            sections[4].append(loading)
            every.append(rows)
            emitted.append(found)
            busy.append(row)
        operand, spill, state = (np.concatenate(each) for each in sections[:3])
        return Programs(
            groups, tuple(every), tuple(emitted), tuple(busy), operand, spill.reshape(-1, 2),
            state.reshape(-1, 2), np.stack(sections[3]), np.concatenate(sections[4], axis=1),
        )  # fmt: skip

    def _emitted(self, rows: GroupRows, tasks: Tasks, fixed_at: int) -> Emitted:
        """Return the program of these tasks; it is emitted and checked when it is first met."""
        servers, steps = self.plan.graph.servers, rows.task_step.astype(np.int32)
        size = np.int64(fixed_at + len(rows.fixed.layer))
        key = (
            *tasks.key,
            servers.tobytes(),
            steps.tobytes(),
            self._layer_of.tobytes(),
            size.tobytes(),
        )
        found = STRUCTURES.find(key)
        if found is None:
            columns = emit(tasks)
            # A join takes no cycles, any other op at least one: images are checked by the engine.
            served = columns.unit >= 0
            program = Program(
                columns.unit, served.astype(np.int64), columns.latency, columns.yields,
                columns.pred_ptr, columns.pred, servers,
            )  # fmt: skip
            step = steps[columns.task]
            found = Emitted(
                Structure.of(program),
                columns.busy_at,
                step,
                self._layer_of[step],
                columns.category,
                np.bincount(columns.busy_at[served], minlength=int(size)),
                _fetches(rows, columns, fixed_at),
                np.bincount(columns.task[columns.category == PORT_LOAD], minlength=len(steps)),
            )
            STRUCTURES.keep(key, found)
        return found

    def _rows_of(self, images: int, pinned_present: bool) -> GroupRows:
        """Return what builds the programs of groups of so many images."""
        key = images, pinned_present
        if key not in self._rows:
            self._rows[key] = GroupRows(self.constants, images, pinned_present)
        return self._rows[key]


def _fetches(rows: GroupRows, columns: Columns, fixed_at: int) -> Ints:
    """Count the operations that bring a layer's weights to a core, from where it has them."""
    fixed, plan = rows.fixed, rows.plan
    source = np.array([each.source for each in plan.layers], np.int64)
    place = columns.busy_at - fixed_at
    own = np.flatnonzero((place >= 0) & (place < len(fixed.layer)))
    own = own[fixed.kind[place[own]] == source[fixed.layer[place[own]]]]
    found = np.zeros((plan.machine.cores, len(plan.layers)), np.int64)
    np.add.at(found, (rows.task_core[columns.task[own]], fixed.layer[place[own]]), 1)
    return found


def own_busy(table: Table, singles: Singles, programs: Programs) -> Ints:
    """Return int64 (image, layer, 3), cycles of arrays, vector units and DRAM of each image.

    Of images that run together: what each takes by itself, without the weights that they share.
    0 of an image that runs alone.
    """
    plan, images = table.constants.plan, len(table.batch.active)
    busy = np.zeros((images, len(plan.layers), 4), np.int64)
    kinds = np.full(len(plan.graph.units), 3)
    for kind, role in enumerate(("pe_array", "vector_unit", "dram")):
        kinds[list(plan.graph.with_role(role))] = kind
    layer = np.array([step.layer for step in plan.steps], np.int64)
    moved = singles.operand * (singles.operand_place == IN_DRAM)
    moved = moved + singles.spill * (singles.spill_place == IN_DRAM)
    vector = singles.busy * (singles.unit == plan.graph.one("vector_unit"))
    for number, (first, last) in enumerate(programs.groups):
        if last - first == 1:
            continue
        emitted, row = programs.emitted[number], programs.busy[number]
        image = programs.rows[number].owners(table, first, len(row))[emitted.busy_at]
        own = np.flatnonzero(image >= 0)
        place = image[own], emitted.layer[own], kinds[emitted.structure.unit[own]]
        np.add.at(busy, place, row[emitted.busy_at[own]])
        for alone in range(first, last):
            np.add.at(busy[alone, :, 1], layer, vector[alone])
            np.add.at(busy[alone, :, 2], layer, moved[alone])
    return busy[:, :, :3]
