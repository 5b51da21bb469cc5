"""The busy row and the table of tasks of images that run together: what none changes is kept."""

from __future__ import annotations

import numpy as np

from simulator.config.arrays import Ints
from simulator.lowering import task_table as s
from simulator.lowering import walks as w
from simulator.lowering.constants import Constants
from simulator.lowering.fixed_places import fixed_places
from simulator.lowering.scopes import starts
from simulator.lowering.singles import Singles
from simulator.lowering.table import Table
from simulator.lowering.tables import FROM_DRAM, MATRIX, ON_CHIP, SINGLE
from simulator.lowering.timing import BlockBusy, Moves
from simulator.lowering.units import CORE_ROLES


class GroupRows:
    """Build programs of `images` images that pass each step together.

    A task of a layer with weights runs through the blocks of all images, so that a chunk of weights
    that was fetched serves them all. A product of activations is a task for each image.
    """

    def __init__(self, constants: Constants, images: int, pinned_present: bool = False) -> None:
        self.constants = constants
        self.images = images
        self.pinned_present = pinned_present
        plan = self.plan = constants.plan
        self.fixed = fixed_places(plan)
        self.entry_of_step = np.full(len(plan.steps), -1, np.int64)
        self.entry_of_step[constants.entries.step] = np.arange(len(constants.entries.step))
        self.elements = np.array(
            [index for index, step in enumerate(plan.steps) if step.kind == "elements"], np.int64
        )
        columns = constants.walks.tables.table[constants.timed.walk, w.KIND] == w.COLUMNS
        self.from_tokens = columns[constants.entries.scope]
        self.loads = np.flatnonzero(
            self.from_tokens & constants.layers.preloads[constants.entries.layer]
        )
        graph, dram = plan.graph, plan.graph.one("dram")
        # What is in its core moves nowhere, and needs no unit.
        self.unit_of_place = np.array([dram, graph.one("global_buffer"), dram])
        self.core_units = np.array(
            [[graph.core_units(core)[role] for role in CORE_ROLES] for core in range(graph.cores)],
            np.int64,
        )
        self.routes, self.between = graph.route_table(), graph.interconnect
        self.units = s.SharedUnits(
            dram,
            graph.one("global_buffer"),
            *map(graph.latency, ("weight_port", "dram", "global_buffer", "vector_unit")),
        )
        self.cores_of_step = np.bincount(plan.schedule.task_step, minlength=len(plan.steps))
        self.weight_bits = np.array(
            [each.layer.weight_bits or each.layer.second_bits for each in plan.layers], np.int64
        )
        self._tasks()
        self.task_entry = self.entry_of_step[self.task_step]
        self.loading = np.flatnonzero(self.table[:, s.T_PRELOADS] == 1)

    def _tasks(self) -> None:
        """List the tasks, what each waits for, and what of them no image changes."""
        plan, order = self.plan, self.plan.schedule
        step_of: list[int] = []
        core_of: list[int] = []
        image_of: list[int] = []
        first = [0]
        for step_index, core in zip(
            order.task_step.tolist(), order.task_core.tolist(), strict=True
        ):
            step = plan.steps[step_index]
            alone = step.kind == "matrix" and plan.layers[step.layer].source == ON_CHIP
            own = range(self.images) if alone and self.images > 1 else (-1,)
            step_of += [step_index] * len(own)
            core_of += [core] * len(own)
            image_of += own
            first.append(len(step_of))
        deps: list[list[int]] = []
        for task in range(len(order.task_step)):
            waits = order.dep[order.dep_ptr[task] : order.dep_ptr[task + 1]].tolist()
            expanded = [each for dep in waits for each in range(first[dep], first[dep + 1])]
            deps += [expanded] * (first[task + 1] - first[task])
        self.task_step, self.task_core = np.array(step_of, np.int64), np.array(core_of, np.int64)
        self.task_image = np.array(image_of, np.int64)
        self.dep = np.array([dep for own in deps for dep in own], np.int64)
        table = self.table = np.zeros((len(step_of), s.TASK_COLUMNS), np.int64)
        dataflow = plan.architecture.dataflow
        arrays = [plan.graph.arrays(core) for core in range(plan.graph.cores)]
        for row, step_index, core in zip(table, step_of, core_of, strict=True):
            step = plan.steps[step_index]
            layer_plan = plan.layers[step.layer]
            matrix = step.kind == "matrix"
            row[s.T_KIND] = MATRIX if matrix else SINGLE
            row[s.T_CORE] = core
            row[s.T_GROUPS] = layer_plan.layer.groups
            row[s.T_SHARE] = layer_plan.share
            row[s.T_SOURCE] = layer_plan.source if matrix else -1
            if step.kind == "vector":
                row[s.T_SOURCE] = FROM_DRAM
            row[s.T_KEPT_AT] = layer_plan.kept_at[core]
            row[s.T_PINNED] = layer_plan.pinned
            row[s.T_PRESENT] = int(self.pinned_present and layer_plan.stays)
            row[s.T_ROWS_OUTER] = int(layer_plan.rows_outer)
            row[s.T_FETCH_AT : s.T_LOAD_AT + 1] = self.fixed.at[:, step.layer]
            if matrix:
                row[s.T_UNIT] = arrays[core][layer_plan.array_number]
                row[s.T_LATENCY] = plan.graph.units[row[s.T_UNIT]].latency_cycles
                row[s.T_ENGINE] = core * len(arrays[core]) + layer_plan.array_number
                row[s.T_PRELOADS] = int(layer_plan.array.preloads_weights)
                row[s.T_FILL_CHUNKS] = layer_plan.fill_chunks
                row[s.T_NEURONS_LAST] = int(dataflow.neurons_last)
                row[s.T_FETCH_WAITS] = int(dataflow.timesteps_in_turn and step.timestep > 0)
                if layer_plan.fetch and 0 <= step.timestep < layer_plan.layer.timesteps - 1:
                    row[s.T_RESTART] = dataflow.timestep_cycles
        ends = np.cumsum([0] + [len(own) for own in deps])
        table[:, s.T_FIRST_DEP], table[:, s.T_LAST_DEP] = ends[:-1], ends[1:]

    def of_group(
        self, table: Table, moves: Moves, busy: BlockBusy, singles: Singles, image: int
    ) -> tuple[Ints, s.Tasks, int]:
        """Return the busy row of images from `image` on, and what their structure follows from.

        The last value is where the fixed places begin in the row.
        """
        scopes = table.timed.scopes
        own = slice(image, image + self.images)
        first_tile = int(scopes.first_tile[image, 0]) if scopes.tiles.shape[1] else 0
        tiles = int(scopes.tiles[own].sum())
        counts = table.blocks.per_scope[own]
        first = int(table.blocks.per_scope[:image].sum())
        last = first + int(counts.sum())
        extra = len(self.elements)
        blocks = last - first + extra
        loads, load_at = self._loads(table, own)
        # Each section follows the one before.
        no_move = np.zeros((extra, 2), np.int64)
        operand = singles.operand[own][:, self.elements].sum(axis=0)
        spill = singles.spill[own][:, self.elements].sum(axis=0)
        of_step = -(-singles.busy[own].sum(axis=0) // np.maximum(self.cores_of_step, 1))
        sections = (
            table.timed.cost.cycles[first_tile : first_tile + tiles],
            busy.vector[first:last].ravel(), no_move.ravel(),
            moves.operand_busy[first:last], operand,
            moves.spill_busy[first:last].ravel(), np.repeat(spill, 2),
            moves.state_busy[first:last].ravel(), no_move.ravel(),
            loads, of_step, self.fixed.cycles,
        )  # fmt: skip
        at = s.BusySections(tiles, tiles + 2 * blocks, tiles + 3 * blocks, tiles + 5 * blocks, 0)
        loads_at = tiles + 7 * blocks
        steps_at = loads_at + len(loads)
        tasks = self.table.copy()
        fixed_at = steps_at + len(of_step)
        tasks[:, s.T_FETCH_AT : s.T_LOAD_AT + 1] += fixed_at
        tasks[:, s.T_BUSY_AT] = steps_at + self.task_step
        listed = self._blocks(table, own, first_tile, last - first)
        self._matrices(tasks, table, own, loads_at + load_at)
        self._singles(tasks, singles, of_step)
        flags = np.concatenate([busy.flags[first:last], np.zeros(extra, np.uint8)])
        for place, step in enumerate(self.elements.tolist()):
            chosen = self.task_step == step
            tasks[chosen, s.T_BLOCKS] = int(of_step[step] > 0)
            tasks[chosen, s.T_BLOCK_AT] = last - first + place
            tasks[chosen, s.T_OPERAND_UNIT] = self.unit_of_place[singles.operand_place[step]]
            tasks[chosen, s.T_SPILL_UNIT] = self.unit_of_place[singles.spill_place[step]]
            moved = (operand[place] > 0) * s.F_OPERAND + (spill[place] > 0) * s.F_SPILL
            flags[last - first + place] = moved
        row = np.concatenate(sections)
        if self.between is not None:
            at = at._replace(links=len(row))
            bits = self._moved_bits(len(row), at, moves, slice(first, last), singles, own)
            row = np.concatenate([row, self.between.flits(bits)])
        found = s.Tasks(
            self.plan.machine, self.units, at, self.plan.kept_chunks, tasks, self.dep, flags,
            listed, self.core_units, self.routes,
        )  # fmt: skip
        return row, found, fixed_at

    def owners(self, table: Table, image: int, places: int) -> Ints:
        """Return int64 (places,), image of each place of the busy row; -1 where all share it."""
        numbers, own = np.arange(image, image + self.images), slice(image, image + self.images)
        found = np.full(places, -1, np.int64)
        tiles = np.repeat(numbers, table.timed.scopes.tiles[own].sum(axis=1))
        found[: len(tiles)] = tiles
        blocks = np.repeat(numbers, table.blocks.per_scope[own].sum(axis=1))
        at, extra = len(tiles), len(self.elements)
        for entries in (2, 1, 2, 2):  # element-wise work, operands, results, membranes
            section = np.repeat(blocks, entries)
            found[at : at + len(section)] = section
            at += len(section) + entries * extra
        return found

    def _moved_bits(
        self,
        length: int,
        at: s.BusySections,
        moves: Moves,
        blocks: slice,
        singles: Singles,
        own: slice,
    ) -> Ints:
        """Return the bits of each transfer, at the place that has its cycles in the busy row."""
        bits = np.zeros(length, np.int64)
        operand = singles.operand_bits[own][:, self.elements].sum(axis=0)
        spill = singles.spill_bits[own][:, self.elements].sum(axis=0)
        for begin, of_blocks, of_elements in (
            (at.operand, moves.operand_bits[blocks], operand),
            (at.spill, moves.spill_bits[blocks], np.repeat(spill, 2)),
            (at.state, moves.state_bits[blocks], np.zeros(0, np.int64)),
        ):
            values = np.concatenate([of_blocks.ravel(), of_elements])
            bits[begin : begin + len(values)] = values
        bits[length - len(self.fixed.bits) :] = self.fixed.bits
        return bits

    def _blocks(self, table: Table, own: slice, first_tile: int, blocks: int) -> Ints:
        """List the blocks entry by entry, those of all images one after another."""
        scopes, entries = table.timed.scopes, self.constants.entries
        counts = table.blocks.per_scope[own]
        scope = entries.scope
        tile = scopes.first_tile[own][:, scope] - first_tile
        chunks = scopes.chunks[own][:, scope]
        each = counts.T.ravel()  # (entry, image)
        place = np.arange(blocks) - np.repeat(starts(each), each)
        per_block = np.repeat(chunks.T.ravel(), each)
        listed = np.zeros((blocks + len(self.elements), s.BLOCK_COLUMNS), np.int64)
        listed[:, s.B_BLOCK] = np.arange(len(listed))
        listed[:blocks, s.B_BLOCK] = np.repeat(starts(counts).T.ravel(), each) + place
        listed[:blocks, s.B_TILE] = np.repeat(tile.T.ravel(), each) + place * per_block
        listed[:blocks, s.B_STRIDE] = np.repeat((counts * chunks).T.ravel(), each)
        return listed

    def _matrices(self, tasks: Ints, table: Table, own: slice, loads_at: Ints) -> None:
        """Fill in the loops of the tasks that run on the array."""
        scopes, entries, columns = table.timed.scopes, self.constants.entries, self.constants.layers
        of_step = self.entry_of_step[self.task_step]
        matrix = np.flatnonzero(of_step >= 0)
        entry = of_step[matrix]
        scope, layer = entries.scope[entry], entries.layer[entry]
        alone = self.task_image[matrix]
        image = own.start + np.maximum(alone, 0)
        counts = table.blocks.per_scope[own]
        begins = starts(counts.T.ravel()).reshape(counts.T.shape)  # (entry, image)
        together = counts.sum(axis=0)[entry]
        tasks[matrix, s.T_BLOCKS] = np.where(alone < 0, together, scopes.blocks[image, scope])
        tasks[matrix, s.T_BLOCK_AT] = begins[entry, np.maximum(alone, 0)]
        tasks[matrix, s.T_CHUNKS] = scopes.chunks[image, scope]
        outputs, width = scopes.outputs[image, scope], columns.columns[layer]
        tasks[matrix, s.T_COLUMN_TILES] = -(-outputs // width)
        tasks[matrix, s.T_RAGGED] = outputs % width > 0
        places = self.unit_of_place
        tasks[matrix, s.T_OPERAND_UNIT] = places[columns.operand_place[layer]]
        tasks[matrix, s.T_SPILL_UNIT] = places[columns.spill_place[layer]]
        tasks[matrix, s.T_STATE_UNIT] = places[columns.state_place[layer]]
        tokens = self.from_tokens[entry]
        chosen = np.maximum(alone, 0)[tokens], entry[tokens]
        tasks[matrix[tokens], s.T_LOAD_AT] = loads_at[chosen]

    def _singles(self, tasks: Ints, singles: Singles, of_step: Ints) -> None:
        """Fill in the steps of one operation; vector units are those of the core that runs them."""
        other = np.flatnonzero(self.entry_of_step[self.task_step] < 0)
        step = self.task_step[other]
        tasks[other, s.T_UNIT] = singles.unit[step]
        tasks[other, s.T_LATENCY] = singles.latency[step]
        tasks[other, s.T_CATEGORY] = singles.category[step]
        tasks[other, s.T_RUNS] = of_step[step] > 0
        vector = other[tasks[other, s.T_UNIT] == self.plan.graph.one("vector_unit")]
        tasks[vector, s.T_UNIT] = self.core_units[self.task_core[vector], 1]

    def _loads(self, table: Table, own: slice) -> tuple[Ints, Ints]:
        """Return the cycles to load chunks of activations through the weight port.

        The second array, (image, entry), says where those of each layer's scope begin.
        """
        entries, scopes = self.constants.entries, table.timed.scopes
        at = np.zeros((self.images, len(entries.scope)), np.int64)
        if not len(self.loads):
            return np.zeros(0, np.int64), at
        scope = entries.scope[self.loads]
        chunks, tokens = scopes.chunks[own][:, scope], scopes.rows[own][:, scope]
        at[:, self.loads] = starts(chunks)
        each = chunks.ravel()
        number = np.arange(int(each.sum())) - np.repeat(starts(each), each)
        walk = self.constants.walks.tables.table[self.constants.timed.walk[scope]]
        size = np.repeat(np.tile(walk[:, w.CHUNK_TOKENS], self.images), each)
        inputs = np.minimum(size, np.repeat(tokens.ravel(), each) - number * size)
        layer = np.repeat(np.tile(entries.layer[self.loads], self.images), each)
        width = self.constants.layers.columns[layer]
        return -(-inputs * width * self.weight_bits[layer] // self.plan.port_bits), at
