"""Steps of one operation: heads, attention without products, mask scans, halting decisions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.components.dataflows.base import ALL_TIMESTEPS, SHARED
from simulator.config.arrays import Ints
from simulator.lowering.constants import IN_DRAM, IN_GLOBAL, PLACES, Constants
from simulator.lowering.counter import CORE_PART, Counts
from simulator.lowering.plan import LayerPlan, Plan
from simulator.lowering.requests import requests
from simulator.lowering.tables import HALTING, MASK_SCAN, VECTOR_WORK
from simulator.lowering.tiles import Batch
from simulator.lowering.units import beyond_one_cycle
from simulator.operations import Layer, VectorOp


class Singles(NamedTuple):
    """Describe steps of one operation; int64 (steps,), or (images, steps) from `busy` on."""

    unit: Ints  # number of the unit; the vector unit is that of the first core
    latency: Ints
    category: Ints
    busy: Ints  # cycles on one core that does all of it
    operand: Ints  # cycles of its transfers with memories outside
    spill: Ints
    operand_bits: Ints  # of a core's transfer
    spill_bits: Ints
    operand_place: Ints  # (steps,), see PLACES
    spill_place: Ints  # (steps,)


def make_singles(
    constants: Constants,
    masked: MaskedSteps,
    batch: Batch,
    counts: Counts,
    useful: Ints,
    rows: Ints,
    live: Ints,
) -> Singles:
    """Fill the steps of one operation and count them; fills `useful`, `rows`, `live` of layers."""
    filler = _Filler(constants, masked, batch, counts)
    for layer_plan in constants.plan.layers:
        layer = layer_plan.layer
        if layer.kind == "head":
            filler.head(layer_plan)
            useful[:, layer.index] = layer.dense_macs
            rows[:, layer.index] = live[:, layer.index] = 1
        elif layer.is_elementwise:
            filler.elements(layer_plan)
            rows[:, layer.index] = layer.rows * layer.timesteps
            live[:, layer.index] = filler.live_of(layer).sum(axis=1)
    filler.halting()
    return filler.found


class _Filler:
    def __init__(
        self, constants: Constants, masked: MaskedSteps, batch: Batch, counts: Counts
    ) -> None:
        self.plan = constants.plan
        self.counts = counts
        self.images, self.steps = len(batch.active), len(self.plan.steps)
        self.active_tokens = batch.active.sum(axis=3, dtype=np.int64)  # (image, block, timestep)
        self.tokens = self.plan.network.tokens
        self.vector = self.plan.architecture.core.vector_unit
        self.skip = self.plan.architecture.token_skip
        self.masked = masked
        architecture = self.plan.architecture
        masks = architecture.core.buffers.masks
        self.mask_cycles = beyond_one_cycle(masks, architecture.clock_mhz)
        fixed = [np.zeros(self.steps, np.int64) for _ in range(5)]
        varied = [np.zeros((self.images, self.steps), np.int64) for _ in range(5)]
        graph = self.plan.graph
        self.vector_unit, self.skip_unit = graph.one("vector_unit"), graph.one("token_skip")
        self.found = Singles(*fixed[:3], *varied, *fixed[3:])

    def at(self, layer: Layer) -> Ints:
        """Return the flat (image, layer) of all images."""
        return np.arange(self.images) * self.counts.layers + layer.index

    def live_of(self, layer: Layer) -> Ints:
        """Return int64 (image, timestep), live rows of a layer of tokens."""
        live: Ints
        if layer.mask is None:
            tokens = layer.rows if not layer.is_attention else self.tokens
            live = np.full((self.images, layer.timesteps), tokens, np.int64)
        else:
            live = self.active_tokens[:, int(layer.mask)]
        return live

    def single(self, step: int, unit: int, elements: Ints | int, latency: int, kind: int) -> None:
        """Set a step that passes so many elements on the lanes of a vector unit."""
        self.found.unit[step] = unit
        self.found.busy[:, step] = -(-elements // self.plan.vector_lanes)
        self.found.latency[step] = latency
        self.found.category[step] = kind

    def count(self, layer: Layer, kind: str, elements: Ints | int) -> None:
        """Count an operation of the vector unit."""
        part = CORE_PART + "vector_unit"
        self.counts.add(part, self.vector.element_counts(kind, 1), self.at(layer), elements)

    def head(self, layer_plan: LayerPlan) -> None:
        """Fill token mean and classifier, on the vector unit."""
        layer, network = layer_plan.layer, self.plan.network
        # A halting network has summed its mean-field output already, token by token.
        halting = any(op.kind == "halting" for each in network.layers for op in each.vector_ops)
        adds = 0 if halting else layer.mean_tokens * network.timesteps * layer.inputs
        latency = self.plan.graph.latency("vector_unit")
        work, unit = layer.dense_macs + adds, self.vector_unit
        self.single(layer_plan.scopes[0], unit, work, latency, VECTOR_WORK)
        self.count(layer, "head", layer.dense_macs)
        self.count(layer, "mean", adds)

    def elements(self, layer_plan: LayerPlan) -> None:
        """Fill attention without products: sums, neurons and gate of each scope."""
        layer = layer_plan.layer
        tokens = self.live_of(layer)
        for step in layer_plan.scopes:
            time = self.plan.steps[step].timestep
            live = tokens.sum(axis=1) if time == ALL_TIMESTEPS else tokens[:, time]
            every = layer.rows * (layer.timesteps if time == ALL_TIMESTEPS else 1)
            timed = live if self.skip.drops_rows else np.full_like(live, every)
            work = sum(
                _elements(op, layer, timed) * self.vector.element_cycles(op.kind, op.window_inputs)
                for op in layer_plan.fused
            )
            latency = self.plan.graph.latency("vector_unit")
            self.single(step, self.vector_unit, work, latency, VECTOR_WORK)
            counted = live if self.skip.spares_energy else np.full_like(live, every)
            self._count_elements(layer_plan, counted)
            self._move_elements(layer_plan, step, timed)

    def _count_elements(self, layer_plan: LayerPlan, rows: Ints) -> None:
        """Count arithmetic and the core's buffers, for so many rows of tokens."""
        layer, at = layer_plan.layer, self.at(layer_plan.layer)
        for op in layer_plan.fused:
            self.count(layer, op.kind, _elements(op, layer, rows))
            if op.kind == "lif" and layer_plan.membrane_place:
                bits = _elements(op, layer, rows) * self.vector.membrane_bits
                for write in (False, True):
                    self.counts.access("membranes", bits, at, write=write)
        entire = layer.rows * layer.timesteps
        operands = 1 + (layer.second is not None)
        read = operands * rows * layer.inputs
        read = read + sum(bits * rows // entire for bits, _ in layer_plan.reads)
        self.counts.access("spikes", read, at, write=False)
        self.counts.access("spikes", layer_plan.stored_bits * rows // entire, at, write=True)

    def _move_elements(self, layer_plan: LayerPlan, step: int, rows: Ints) -> None:
        """Move what is in memories outside the core; cores take equal parts."""
        layer, found = layer_plan.layer, self.found
        cores = 1 if layer_plan.home != SHARED else self.plan.machine.cores
        entire = layer.rows * layer.timesteps
        read = {place: np.zeros(self.images, np.int64) for place in range(3)}
        own = rows * layer.inputs
        for name, bits in (
            (layer_plan.operand_place, own),
            (layer_plan.second_place, own),
            *((name, bits * rows // entire) for bits, name in layer_plan.reads),
        ):
            read[PLACES[name]] += bits
        outside = [layer_plan.operand_place, layer_plan.second_place]
        outside += [name for _, name in layer_plan.reads]
        # One request, to where most of the way is.
        far = IN_DRAM if any(PLACES[name] == IN_DRAM for name in outside) else IN_GLOBAL
        found.operand_place[step] = far
        found.spill_place[step] = PLACES[layer_plan.spill_place]
        spilled = layer_plan.spilled_bits * rows // entire
        moved = -(-(read[IN_DRAM] + read[IN_GLOBAL]) // cores)
        found.operand_bits[:, step] = moved
        found.operand[:, step] = self._move(layer, far, moved, cores, write=False)
        moved = -(-spilled // cores)
        found.spill_bits[:, step] = moved
        place = int(found.spill_place[step])
        found.spill[:, step] = self._move(layer, place, moved, cores, write=True)

    def _move(self, layer: Layer, place: int, bits: Ints, times: int, *, write: bool) -> Ints:
        """Count requests of every image to the memory of a place; return cycles of one."""
        memories = self.plan.architecture.memories
        memory = memories.global_buffer if place == IN_GLOBAL else memories.dram
        if memory is None or not bits.any():
            return np.zeros(self.images, np.int64)
        asked = requests(memory, bits, self.plan.architecture.clock_mhz, write=write)
        self.counts.move(place, asked.counts, self.at(layer), times)
        return asked.busy

    def halting(self) -> None:
        """Fill the mask scans before, and the halting decisions after each block."""
        steps = self.masked
        if not len(steps.step):
            return
        by_step = self.active_tokens[:, steps.mask, np.maximum(steps.timestep, 0)]
        together = self.active_tokens[:, steps.mask].sum(axis=2)
        live = np.where(steps.timestep == ALL_TIMESTEPS, together, by_step)
        at = np.arange(self.images)[:, None] * self.counts.layers + steps.layer
        lanes, found = self.plan.vector_lanes, self.found
        halts, fields = steps.kind == "halting", steps.kind == "mean_field"
        wide = live * steps.width
        elements = np.where(halts, live if self.skip.overlaps_decision else wide + live, wide)
        own = halts | fields
        found.busy[:, steps.step[own]] = -(-elements[:, own] // lanes)
        found.unit[steps.step[own]] = self.vector_unit
        found.category[steps.step[own]] = HALTING
        found.latency[steps.step[halts]] = self.vector.halting_latency_cycles + self.mask_cycles
        found.latency[steps.step[fields]] = self.plan.graph.latency("vector_unit")
        part = CORE_PART + "vector_unit"
        for kind, count in (("halting", wide), ("score", live)):
            each = self.vector.element_counts(kind, 1)
            self.counts.add(part, each, at[:, halts], count[:, halts])
        tokens = np.broadcast_to(steps.tokens, live.shape)
        self.counts.access("masks", tokens[:, halts], at[:, halts], write=True)
        self._scan(steps, live, at)

    def _scan(self, steps: MaskedSteps, live: Ints, at: Ints) -> None:
        """Fill and count the scans; a machine without scans checks the mask once a layer."""
        own = steps.passes > 0
        if not own.any():
            return
        shape = live[:, own].shape
        asked = [np.broadcast_to(each[own], shape) for each in (steps.tokens, steps.passes)]
        keys = np.stack([asked[0].ravel(), live[:, own].ravel(), asked[1].ravel()], axis=1)
        # Most images have one of few numbers of live tokens.
        distinct, place = np.unique(keys, axis=0, return_inverse=True)
        scans = [self.skip.scan(*key) for key in distinct.tolist()]
        place = place.reshape(shape)
        reads = np.array([scan.mask_reads for scan in scans], np.int64)
        self.counts.access("masks", reads[place], at[:, own], write=False)
        counted = {
            action: np.array([scan.counts[action] for scan in scans], np.int64)[place]
            for action in scans[0].counts
        }
        self.counts.add("token_skip", counted, at[:, own], 1)
        is_scan = steps.kind[own] == "scan"
        index = steps.step[own][is_scan]
        busy = np.array([scan.busy_cycles for scan in scans], np.int64)
        self.found.busy[:, index] = busy[place][:, is_scan]
        self.found.unit[index] = self.skip_unit
        self.found.latency[index] = scans[0].latency_cycles + self.mask_cycles
        self.found.category[index] = MASK_SCAN


class MaskedSteps(NamedTuple):
    """List steps of layers under a mask that take part in halting; int64 (steps,)."""

    step: Ints  # of the plan
    layer: Ints
    mask: Ints
    timestep: Ints
    kind: npt.NDArray[np.str_]  # halting, mean_field, scan; its own if no machine scans
    width: Ints  # channels of the halting operation
    tokens: Ints  # looked at
    passes: Ints  # column passes of a scan, 0 where nothing is scanned


def masked_steps(plan: Plan) -> MaskedSteps:
    """List the steps of a plan that take part in halting."""
    network = plan.network
    has_scan = any(step.kind == "scan" for step in plan.steps)
    passes: dict[str, int] = {}
    for each in plan.layers:
        if each.layer.mask is not None:
            tiles = -(-each.layer.outputs // each.columns) * each.layer.groups
            passes[each.layer.mask] = passes.get(each.layer.mask, 0) + tiles
    rows: list[tuple[int, int, int, int, int, int, int]] = []
    kinds: list[str] = []
    checked: set[tuple[int, int]] = set()
    for index, step in enumerate(plan.steps):
        layer = plan.layers[step.layer].layer
        if layer.mask is None or step.kind == "vector":
            continue
        width = max((op.channels for op in layer.vector_ops if op.kind == "halting"), default=0)
        every = network.timesteps if step.timestep == ALL_TIMESTEPS else 1
        scanned = passes[layer.mask] if step.kind == "scan" else 0
        if step.kind not in ("halting", "mean_field", "scan"):
            if has_scan or (step.layer, step.timestep) in checked:
                continue
            checked.add((step.layer, step.timestep))
            scanned = -(-layer.outputs // plan.layers[step.layer].columns)
        mask = int(layer.mask)
        rows.append(
            (index, step.layer, mask, step.timestep, width, network.tokens * every, scanned)
        )
        kinds.append(step.kind)
    table = np.array(rows, np.int64).reshape(-1, 7)
    step_of, layer_of, mask_of, time, width_of, tokens, scans = (
        np.ascontiguousarray(column) for column in table.T
    )
    kind = np.array(kinds, np.str_)
    return MaskedSteps(step_of, layer_of, mask_of, time, kind, width_of, tokens, scans)


def _elements(op: VectorOp, layer: Layer, rows: Ints) -> Ints:
    """Return the results of an operation for so many rows of tokens, over their timesteps.

    What is one row for all tokens (the gate of a channel) is there once a timestep with a row.
    """
    if op.rows == layer.rows:
        return rows * op.channels
    return -(-rows // layer.rows) * op.rows * op.channels
