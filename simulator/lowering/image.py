"""One image on a plan: the program that an engine replays, and the counts that are priced."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.components.dataflows.base import ALL_TIMESTEPS, SHARED
from simulator.lowering.counts import (
    CORE_PART,
    Counter,
    Key,
    count_array,
    count_results,
    count_weights,
)
from simulator.lowering.emit import emit
from simulator.lowering.pieces import Part, Pieces, RowCache, layer_pieces
from simulator.lowering.places import CORE, GLOBAL, OUTSIDE
from simulator.lowering.plan import LayerPlan, Plan, request
from simulator.lowering.tables import (
    DRAM,
    FROM_DRAM,
    GLOBAL_BUFFER,
    HALTING,
    MASK_SCAN,
    MATRIX,
    PAIRS,
    SINGLE,
    TILES,
    TOKEN_SKIP,
    VECTOR_UNIT,
    VECTOR_WORK,
    Columns,
    Flat,
    Tasks,
    shares,
)
from simulator.operations import Layer, VectorOp, live_rows
from simulator.program import Program
from simulator.trace import Image

Ints = npt.NDArray[np.int64]


class Lowered(NamedTuple):
    """A program with the meaning of its units and ops, and the counts of the image.

    `unit_names`: of the program's units; `op_step`, `op_layer`, `op_category`: int32 (ops,), step
    of the plan, layer, index into CATEGORIES; `counts`: by (layer, part, action); the others are
    int64 (layers,): useful accumulations, DRAM bits, rows with nothing halted and live rows.
    """

    program: Program
    unit_names: tuple[str, ...]
    op_step: npt.NDArray[np.int32]
    op_layer: npt.NDArray[np.int32]
    op_category: npt.NDArray[np.int32]
    counts: dict[Key, int]
    useful_accumulations: Ints
    dram_bits: Ints
    rows: Ints
    live_rows: Ints


def lower(plan: Plan, image: Image) -> Lowered:
    """Lower one image of the plan's trace."""
    lowering = Lowering(plan, image)
    lowering.fill(plan.layers)
    return lowering.lowered()


class Lowering:
    """The step table, the flat tables and the counts of one image, filled layer by layer.

    A layer may be filled again when the image has changed: whoever lowers a growing image (a live
    run) fills anew only what has. Offsets in the step table are those within the layer's own lists
    until `lowered` joins them.
    """

    def __init__(self, plan: Plan, image: Image) -> None:
        count, layers = len(plan.steps), len(plan.layers)
        self.plan = plan
        self.image = image
        self.clock_mhz = plan.architecture.clock_mhz
        self.has_scan = any(step.kind == "scan" for step in plan.steps)
        self.table = {name: np.zeros(count, np.int64) for name in Tasks._fields}
        self.step_layer = np.array([step.layer for step in plan.steps], np.int64)
        self.steps_of: list[list[int]] = [[] for _ in range(layers)]
        for index, step in enumerate(plan.steps):
            self.steps_of[step.layer].append(index)
        self.table["kind"][:] = SINGLE
        self.counter = Counter(plan.architecture)
        self.counters: list[Counter] = [self.counter] * layers
        self.of_layer: list[dict[str, list[Ints]]] = [_no_lists() for _ in range(layers)]
        self.lists = _no_lists()
        self.sizes: dict[str, int] = {}
        self.useful, self.rows, self.live = (np.zeros(layers, np.int64) for _ in range(3))
        self.row_cache = RowCache()
        self.shared: dict[tuple[object, ...], Pieces] = {}

    @property
    def unit_names(self) -> tuple[str, ...]:
        """Of the program's units."""
        return self.plan.unit_names

    def copy(self, image: Image) -> Lowering:
        """The same fills, to go on from with an image that differs in the layers filled next."""
        other = copy.copy(self)
        other.image = image
        other.table = {name: column.copy() for name, column in self.table.items()}
        other.counters, other.of_layer = self.counters.copy(), self.of_layer.copy()
        other.useful, other.rows, other.live = (
            column.copy() for column in (self.useful, self.rows, self.live)
        )
        return other

    def fill(self, layers: Iterable[LayerPlan]) -> None:
        """Fill these layers, whether or not they have been filled before."""
        self.row_cache = RowCache()
        self.shared = {}
        for layer_plan in layers:
            index = layer_plan.layer.index
            self.counter = self.counters[index] = self.counter.emptied()
            self.lists = self.of_layer[index] = _no_lists()
            self.sizes = dict.fromkeys(_OFFSETS.values(), 0)
            if layer_plan.layer.kind == "head":
                self.head(layer_plan)
            elif layer_plan.layer.is_elementwise:
                self.elements(layer_plan)
            else:
                self.matrix(layer_plan)
            self.scans_and_halting(index)

    def program(self) -> tuple[Program, Columns]:
        """The program of all layers, and what its ops mean; each layer must have been filled."""
        plan = self.plan
        columns = emit(plan.machine, self.tasks(), self.flat(), plan.kept_chunks)
        program = Program(
            unit=columns.unit,
            busy_cycles=columns.busy,
            latency_cycles=columns.latency,
            pred_ptr=columns.pred_ptr,
            pred=columns.pred,
            unit_servers=np.ones(len(plan.unit_names), np.int32),
        )
        return program, columns

    def lowered(self) -> Lowered:
        """The program and the counts of all layers; each must have been filled."""
        plan = self.plan
        program, columns = self.program()
        op_step = plan.schedule.task_step.astype(np.int32)[columns.task]
        layers = range(len(plan.layers))
        dram = [self.counters[layer].dram_bits.get(layer, 0) for layer in layers]
        return Lowered(
            program,
            plan.unit_names,
            op_step,
            self.step_layer.astype(np.int32)[op_step],
            columns.category,
            {key: count for each in self.counters for key, count in each.counts.items()},
            self.useful.copy(),
            np.array(dram, np.int64),
            self.rows.copy(),
            self.live.copy(),
        )

    def matrix(self, layer_plan: LayerPlan) -> None:
        """Fill the steps of a layer that runs on the array, and count it."""
        layer = layer_plan.layer
        # Layers that read the same rows in the same way, as q, k and v do, share their pieces.
        key = (layer.operand, layer.mask, layer.kind, layer.window, layer.outputs, layer.inputs)
        if key not in self.shared:
            self.shared[key] = layer_pieces(self.plan, layer_plan, self.image, self.row_cache)
        pieces = self.shared[key]
        part, scopes = pieces.timed, list(layer_plan.scopes)
        self.table["kind"][scopes] = MATRIX
        self.table["groups"][scopes] = layer.groups
        self.table["blocks"][scopes] = part.blocks
        self.table["chunks"][scopes] = part.chunks
        self.table["outputs"][scopes] = part.outputs
        self.table["weight_bits"][scopes] = layer.weight_bits or layer.second_bits
        self.table["source"][scopes] = layer_plan.source
        self.table["share"][scopes] = layer_plan.share
        self.table["rows_outer"][scopes] = int(layer_plan.rows_outer)
        self.table["operand_unit"][scopes] = _unit(layer_plan.operand_place)
        self.table["spill_unit"][scopes] = _unit(layer_plan.spill_place)
        self.table["state_unit"][scopes] = _unit(layer_plan.membrane_place)
        self._cycles(layer_plan, pieces)
        self._blocks(layer_plan, pieces)
        self._chunks(layer_plan, pieces)
        count_array(self.counter, self.plan, layer_plan, pieces)
        count_weights(self.counter, self.plan, layer_plan, pieces)
        count_results(self.counter, self.plan, layer_plan, pieces)
        self.useful[layer.index] = pieces.useful
        tokens = self.plan.network.tokens if layer.is_attention else layer.rows
        self.rows[layer.index] = tokens * layer_plan.computed_timesteps
        self.live[layer.index] = pieces.live_rows

    def _cycles(self, layer_plan: LayerPlan, pieces: Pieces) -> None:
        part = pieces.timed
        for scope, step in enumerate(layer_plan.scopes):
            cost, window = part.scope_cost(scope)
            self.table["cycles_at"][step] = self.sizes["cycles"]
            self._append("cycles", cost.cycles[:, window].reshape(-1))

    def _blocks(self, layer_plan: LayerPlan, pieces: Pieces) -> None:
        """Element-wise work of each block, and its traffic with DRAM."""
        layer, plan = layer_plan.layer, self.plan
        part, vector = pieces.timed, plan.architecture.core.vector_unit
        full = layer.rows * layer.outputs * layer.groups * layer_plan.computed_timesteps
        # Scores meet no neuron, but the vector unit carries them to where weights are read from.
        work = full if layer.kind == "attention_scores" else 0
        for op in layer_plan.fused:
            times = 1 if op.kind == "pool" and layer_plan.repeats > 1 else op.timesteps
            cycles = vector.element_cycles(op.kind, op.window_inputs)
            work += op.rows * op.channels * times * cycles
        first = self.sizes["vector"]
        starts = [first + span.start for span in part.spans]
        self.table["block_at"][list(layer_plan.scopes)] = starts
        self._append("vector", -(-part.rows * work // full))
        self._append("operand_busy", self._reads(layer_plan, part))
        self._states_and_spills(layer_plan, pieces, full)

    def _reads(self, layer_plan: LayerPlan, part: Part) -> Ints:
        """Cycles to read each block's operand of one group from outside; counts the reads."""
        layer, machine = layer_plan.layer, self.plan.machine
        busy = np.zeros(len(part.rows), np.int64)
        added = sum(bits for bits, place in layer_plan.reads if place != CORE)
        places = [layer_plan.operand_place, layer_plan.second_place]
        places = [*places, *(place for _, place in layer_plan.reads)]
        if not {GLOBAL, OUTSIDE} & set(places):
            return busy
        place = OUTSIDE if OUTSIDE in places else GLOBAL
        self.table["operand_unit"][list(layer_plan.scopes)] = _unit(place)
        scope_of = np.repeat(np.arange(len(part.blocks)), part.blocks)
        first = np.cumsum(part.blocks) - part.blocks
        for block, rows in enumerate(part.rows.tolist()):
            scope = int(scope_of[block])
            outputs = int(part.outputs[scope])
            bits = 0
            if layer_plan.operand_place != CORE:
                tokens = part.input_totals[scope] if layer.transposed else 0
                bits = layer.operand_bits(rows, tokens)
            if block == first[scope] and layer_plan.second_place not in ("", CORE):
                bits += layer.inputs * outputs  # the keys, or the values, of a head
            tiles = -(-outputs // machine.columns)
            if added:
                # What residuals add: once, or a tile's columns with each tile.
                each = tiles if not layer_plan.rows_outer else 1
                bits += -(-rows * added // (layer.rows * layer.timesteps * each))
            if bits == 0:
                continue
            own = shares(tiles, machine.cores) if layer_plan.share == TILES else np.array([tiles])
            times = int((own > 0).sum() if layer_plan.rows_outer else own.sum()) * layer.groups
            busy[block] = self._move(layer.index, place, bits, times, write=False)
            self.counter.access(layer.index, "spikes", bits, write=True, times=times)
        return busy

    def _move(self, layer: int, place: str, bits: int, times: int, *, write: bool) -> int:
        """Counts `times` transfers between a core and a place outside; cycles of one."""
        memories = self.plan.architecture.memories
        memory = memories.global_buffer if place == GLOBAL else memories.dram
        assert memory is not None
        transfer = request(memory, bits, self.clock_mhz, write=write)
        self.counter.moved(layer, place == OUTSIDE, transfer, times)
        return transfer.busy_cycles

    def _states_and_spills(self, layer_plan: LayerPlan, pieces: Pieces, full: int) -> None:
        """Membranes and results that are not in the core."""
        layer, part = layer_plan.layer, pieces.timed
        blocks = len(part.rows)
        spill = np.zeros((blocks, 2), np.int64)
        state = np.zeros((blocks, 2), np.int64)
        reads, writes = np.zeros(blocks, np.int64), np.zeros(blocks, np.int64)
        away = layer_plan.membrane_place not in ("", CORE)
        if layer_plan.spilled_bits or away:
            scope_of = np.repeat(np.arange(len(part.blocks)), part.blocks)
            lif = (op for op in layer_plan.fused if op.kind == "lif")
            neurons = sum(op.rows * op.channels * op.timesteps for op in lif)
            state_bits = neurons * self.plan.architecture.core.vector_unit.membrane_bits
            if away:
                reads[:], writes[:] = scope_of > 0, scope_of < len(part.blocks) - 1
            # Most blocks are of one size: each size is moved once, times how often it is there.
            alike: dict[tuple[int, int], list[int]] = {}
            outputs_of = part.outputs[scope_of].tolist()
            for block, key in enumerate(zip(part.rows.tolist(), outputs_of, strict=True)):
                alike.setdefault(key, []).append(block)
            for (rows, outputs), own in alike.items():
                sizes = self._tile_sizes(outputs)
                place, share = layer_plan.spill_place, (rows * layer_plan.spilled_bits, full)
                times = len(own) * layer.groups
                spill[own] = self._tiles(layer.index, place, share, sizes, times)
                if away:
                    times = int(reads[own].sum() + writes[own].sum()) * layer.groups
                    place, share = layer_plan.membrane_place, (rows * state_bits, full)
                    state[own] = self._tiles(layer.index, place, share, sizes, times)
        self._append("spill_busy", spill)
        self._append("state_busy", state)
        self._append("state_reads", reads)
        self._append("state_writes", writes)

    def _tile_sizes(self, outputs: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """(columns, how many) of the full and of the ragged column tiles."""
        columns = self.plan.machine.columns
        ragged = outputs % columns
        return (columns, outputs // columns), (ragged, int(ragged > 0))

    def _tiles(
        self,
        layer: int,
        place: str,
        bits_per_column: tuple[int, int],
        sizes: tuple[tuple[int, int], tuple[int, int]],
        times: int,
    ) -> list[int]:
        """Cycles to move a tile of full and of ragged width; counts all. Bits are a fraction."""
        busy = []
        for columns, tiles in sizes:
            bits = -(-columns * bits_per_column[0] // bits_per_column[1])
            move = bits > 0 and times > 0
            busy.append(self._move(layer, place, bits, tiles * times, write=True) if move else 0)
        return busy

    def _chunks(self, layer_plan: LayerPlan, pieces: Pieces) -> None:
        part = pieces.timed
        for scope, step in enumerate(layer_plan.scopes):
            if scope and len(part.inputs) == 1:
                self.table["chunk_at"][step] = self.table["chunk_at"][layer_plan.scopes[0]]
                continue
            inputs = part.scope_inputs(scope)
            self.table["chunk_at"][step] = self.sizes["inputs"]
            self._append("inputs", inputs)
            for name, fetches in (
                ("fetch_busy", layer_plan.fetch),
                ("global_busy", layer_plan.shared_fetch),
            ):
                busy = [[full.busy_cycles, last.busy_cycles] for full, last in fetches]
                self._append(
                    name, np.array(busy or [[0, 0]] * len(inputs), np.int64).reshape(-1, 2)
                )

    def head(self, layer_plan: LayerPlan) -> None:
        """Token mean and classifier, on the vector unit; its weights come from DRAM."""
        layer, network = layer_plan.layer, self.plan.network
        step = layer_plan.scopes[0]
        # A halting network has summed its mean-field output already, token by token.
        halting = any(op.kind == "halting" for each in network.layers for op in each.vector_ops)
        adds = 0 if halting else layer.mean_tokens * network.timesteps * layer.inputs
        vector = self.plan.architecture.core.vector_unit
        self.table["source"][step] = FROM_DRAM
        self.table["chunk_at"][step] = self.sizes["inputs"]
        transfer = layer_plan.fetch[0][0]
        self._append("inputs", np.array([layer.inputs], np.int64))
        self._append("fetch_busy", np.array([[transfer.busy_cycles] * 2], np.int64))
        self._append("global_busy", np.zeros((1, 2), np.int64))
        self._single(
            step, VECTOR_UNIT, layer.dense_macs + adds, vector.pipeline_latency_cycles, VECTOR_WORK
        )
        self.counter.moved(layer.index, True, transfer)
        self._vector(layer.index, "head", layer.dense_macs)
        self._vector(layer.index, "mean", adds)
        self.useful[layer.index] = layer.dense_macs
        self.rows[layer.index] = self.live[layer.index] = 1

    def elements(self, layer_plan: LayerPlan) -> None:
        """Attention without products, on the vector unit: sums, neurons and gate of each scope."""
        layer, plan = layer_plan.layer, self.plan
        skip, vector = plan.architecture.token_skip, plan.architecture.core.vector_unit
        tokens = [len(rows) for rows in live_rows(layer, self.image, plan.network.tokens)]
        self.rows[layer.index], self.live[layer.index] = layer.rows * layer.timesteps, sum(tokens)
        for step in layer_plan.scopes:
            time = plan.steps[step].timestep
            live = sum(tokens) if time == ALL_TIMESTEPS else tokens[time]
            every = layer.rows * (layer.timesteps if time == ALL_TIMESTEPS else 1)
            timed = live if skip.drops_rows else every
            self.table["block_at"][step] = self.sizes["vector"]
            self.table["blocks"][step] = int(timed > 0)
            work = sum(
                _elements(op, layer, timed) * vector.element_cycles(op.kind, op.window_inputs)
                for op in layer_plan.fused
            )
            latency = vector.pipeline_latency_cycles
            self._single(step, VECTOR_UNIT, work, latency, VECTOR_WORK)
            self._count_elements(layer_plan, live if skip.spares_energy else every)
            self._move_elements(layer_plan, step, timed)

    def _count_elements(self, layer_plan: LayerPlan, rows: int) -> None:
        """Arithmetic and the core's buffers, for so many rows of tokens."""
        layer, vector = layer_plan.layer, self.plan.architecture.core.vector_unit
        for op in layer_plan.fused:
            self._vector(layer.index, op.kind, _elements(op, layer, rows))
            if op.kind == "lif" and layer_plan.membrane_place:
                bits = _elements(op, layer, rows) * vector.membrane_bits
                for write in (False, True):
                    self.counter.access(layer.index, "membranes", bits, write=write)
        whole = layer.rows * layer.timesteps
        operands = 1 + (layer.second is not None)
        read = operands * rows * layer.inputs
        read += sum(bits * rows // whole for bits, _ in layer_plan.reads)
        self.counter.access(layer.index, "spikes", read, write=False)
        stored = layer_plan.stored_bits * rows // whole
        self.counter.access(layer.index, "spikes", stored, write=True)

    def _move_elements(self, layer_plan: LayerPlan, step: int, rows: int) -> None:
        """What is read from and written to memories outside the core; cores take equal parts."""
        layer = layer_plan.layer
        cores = 1 if layer_plan.home != SHARED else self.plan.machine.cores
        whole = layer.rows * layer.timesteps
        read = {GLOBAL: 0, OUTSIDE: 0, CORE: 0, "": 0}
        own = rows * layer.inputs
        for place, bits in (
            (layer_plan.operand_place, own),
            (layer_plan.second_place, own),
            *((place, bits * rows // whole) for bits, place in layer_plan.reads),
        ):
            read[place] += bits
        # One request, to where most of the way is.
        place = OUTSIDE if read[OUTSIDE] else GLOBAL
        self.table["operand_unit"][step] = _unit(place)
        self.table["spill_unit"][step] = _unit(layer_plan.spill_place)
        moved = []
        for bits, where, write in (
            (read[OUTSIDE] + read[GLOBAL], place, False),
            (layer_plan.spilled_bits * rows // whole, layer_plan.spill_place, True),
        ):
            bits = -(-bits // cores)
            moved.append(self._move(layer.index, where, bits, cores, write=write) if bits else 0)
        self._append("vector", np.zeros(1, np.int64))
        self._append("operand_busy", np.array(moved[:1], np.int64))
        self._append("spill_busy", np.array([[moved[1]] * 2], np.int64))
        self._append("state_busy", np.zeros((1, 2), np.int64))
        self._append("state_reads", np.zeros(1, np.int64))
        self._append("state_writes", np.zeros(1, np.int64))

    def scans_and_halting(self, layer_index: int) -> None:
        """A layer's mask scans before and halting decisions after its block."""
        plan, skip = self.plan, self.plan.architecture.token_skip
        layer, mask = plan.layers[layer_index].layer, plan.layers[layer_index].layer.mask
        if mask is None:
            return
        vector, active = plan.architecture.core.vector_unit, self.image.active[mask]
        live_at, every = active.sum(axis=1).tolist(), active.shape[1]
        width = max((op.channels for op in layer.vector_ops if op.kind == "halting"), default=0)
        checked: set[int] = set()
        for index in self.steps_of[layer_index]:
            step = plan.steps[index]
            if step.kind == "vector":
                continue
            whole = step.timestep == ALL_TIMESTEPS
            live = sum(live_at) if whole else live_at[step.timestep]
            tokens = every * len(live_at) if whole else every
            if step.kind == "halting":
                elements = live if skip.overlaps_decision else live * (width + 1)
                self._single(index, VECTOR_UNIT, elements, vector.halting_latency_cycles, HALTING)
                self._vector(layer_index, "halting", live * width)
                self._vector(layer_index, "score", live)
                self.counter.access(layer_index, "masks", tokens, write=True)
            elif step.kind == "mean_field":
                latency = vector.pipeline_latency_cycles
                self._single(index, VECTOR_UNIT, live * width, latency, HALTING)
            elif step.kind == "scan":
                scan = skip.scan(tokens, live, self._passes(mask))
                self._single(index, TOKEN_SKIP, 0, scan.latency_cycles, MASK_SCAN)
                self.table["busy"][index] = scan.busy_cycles
                self._count_scan(layer_index, scan.mask_reads, scan.counts)
            elif not self.has_scan and step.timestep not in checked:
                checked.add(step.timestep)
                tiles = -(-layer.outputs // plan.machine.columns)
                scan = skip.scan(tokens, live, tiles)
                self._count_scan(layer_index, scan.mask_reads, scan.counts)

    def _passes(self, mask: str) -> int:
        """Column passes of all layers under a mask at one timestep."""
        columns = self.plan.machine.columns
        return sum(
            -(-each.layer.outputs // columns) * each.layer.groups
            for each in self.plan.layers
            if each.layer.mask == mask
        )

    def _count_scan(self, layer: int, mask_reads: int, counts: dict[str, int]) -> None:
        self.counter.access(layer, "masks", mask_reads, write=False)
        self.counter.add(layer, "token_skip", counts)

    def _vector(self, layer: int, kind: str, elements: int) -> None:
        vector = self.plan.architecture.core.vector_unit
        self.counter.add(layer, CORE_PART + "vector_unit", vector.element_counts(kind, 1), elements)

    def _single(self, step: int, unit: int, elements: int, latency: int, category: int) -> None:
        lanes = self.plan.machine.vector_lanes
        self.table["unit"][step] = unit
        self.table["busy"][step] = -(-elements // lanes)
        self.table["latency"][step] = latency
        self.table["category"][step] = category

    def _append(self, name: str, values: Ints) -> None:
        self.lists[name].append(values)
        if name in self.sizes:
            self.sizes[name] += len(values)

    def tasks(self) -> Tasks:
        """The steps as tasks of cores, offsets shifted to where the lists begin in `flat`."""
        plan, order = self.plan, self.plan.schedule
        step, core = order.task_step, order.task_core
        table = {name: column[step] for name, column in self.table.items()}
        layer = self.step_layer[step]
        for column, name in _OFFSETS.items():
            sizes = [sum(map(len, lists[name])) for lists in self.of_layer]
            begin = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)])
            table[column] += begin[layer]
        kept_at = np.array([each.kept_at for each in plan.layers], np.int64)
        # What a single operation does is divided among the cores that take part in it.
        cores = np.bincount(step)[step]
        table["busy"] = -(-table["busy"] // cores)
        table |= {"core": core, "kept_at": kept_at[layer, core]}
        return Tasks(**table | {"dep_ptr": order.dep_ptr, "dep": order.dep})

    def flat(self) -> Flat:
        """The lists of all layers, one after another."""
        joined = {
            name: _joined([part for lists in self.of_layer for part in lists[name]], name)
            for name in Flat._fields
        }
        return Flat(**joined)


_OFFSETS = {"cycles_at": "cycles", "block_at": "vector", "chunk_at": "inputs"}
"""Columns of the step table that point into lists, and a list that such a column counts by."""


def _elements(op: VectorOp, layer: Layer, rows: int) -> int:
    """Results of an operation of a layer for so many rows of tokens, over their timesteps.

    What is one row for all tokens (a channel's gate) is there once a timestep with a row.
    """
    if op.rows == layer.rows:
        return rows * op.channels
    return -(-rows // layer.rows) * op.rows * op.channels


def _unit(place: str) -> int:
    return GLOBAL_BUFFER if place == GLOBAL else DRAM


def _no_lists() -> dict[str, list[Ints]]:
    return {name: [] for name in Flat._fields}


def _joined(parts: Sequence[Ints], name: str) -> Ints:
    empty = np.zeros((0, 2) if name in PAIRS else 0, np.int64)
    return np.concatenate([empty, *parts])
