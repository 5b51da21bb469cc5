"""Images on a plan: the programs that an engine replays, and the counts that are priced.

    lowering = Lowering(plan)
    batch = lowering.lower(images)          # as many as memory holds at once
    batch.program(0)                        # of the first of them
    batch.counts[0]                         # int64 (layer, action)

Images whose loops are equal share the structure of their program; it is emitted once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from simulator.config.arrays import Int32s, Ints
from simulator.lowering.constants import Constants, make_constants
from simulator.lowering.count_plan import make_count_plan
from simulator.lowering.counter import Counts
from simulator.lowering.counts import count_products, dram_bits, useful_work
from simulator.lowering.plan import Plan
from simulator.lowering.programs import Emitted, ProgramMaker, Programs, own_busy
from simulator.lowering.singles import make_singles, masked_steps
from simulator.lowering.table import make_table
from simulator.lowering.tiles import Batch
from simulator.lowering.timing import move_blocks
from simulator.program import Program
from simulator.trace import Image

Key = tuple[int, str, str]


class Lowered(NamedTuple):
    """Hold a program with the meaning of its units and ops, and the counts of the image."""

    program: Program
    unit_names: tuple[str, ...]
    op_step: Int32s  # (ops,), of the plan
    op_layer: Int32s  # (ops,)
    op_category: Int32s  # (ops,), index into CATEGORIES
    counts: dict[Key, int]  # by (layer, part, action)
    useful_accumulations: Ints  # (layers,)
    dram_bits: Ints  # (layers,)
    rows: Ints  # (layers,), with nothing halted
    live_rows: Ints  # (layers,)


@dataclass(frozen=True)
class LoweredBatch:
    """Hold what a batch of images is on a plan; int64 (images, layers) where not said."""

    plan: Plan
    actions: tuple[tuple[str, str], ...]  # (part, action) of the last axis of `counts`, in order
    counts: Ints  # (images, layers, actions)
    useful_accumulations: Ints
    additions: Ints
    dram_bits: Ints
    rows: Ints
    live_rows: Ints
    own_busy: Ints  # (images, layers, 3), see programs.own_busy
    groups: tuple[tuple[int, int], ...]  # images that run together: first and last, excluded
    emitted: tuple[Emitted, ...]  # of each group, its program
    busy: tuple[Ints, ...]  # of each group, its row of cycles

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
        self.maker = ProgramMaker(self.constants)

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
        moves, useful = move_blocks(table), useful_work(table)
        rows, live = _rows(self.constants, batch)
        singles = make_singles(
            self.constants, self.masked, batch, counts, useful.accumulations, rows, live
        )
        programs = self.maker.programs(table, moves, singles, groups, pinned_present)
        count_products(counts, self.count_plan, table, moves, programs)
        self._count_links(counts, programs)
        actions, cube = counts.cube()
        return LoweredBatch(
            plan,
            actions,
            cube,
            *useful,
            dram_bits(actions, cube),
            rows,
            live,
            own_busy(table, singles, programs),
            groups,
            programs.emitted,
            programs.busy,
        )

    def _count_links(self, counts: Counts, programs: Programs) -> None:
        """Count flits times links: the cycles in which a link is held; equal parts for a group."""
        links = self.plan.graph.with_role("link")
        if not links:
            return
        for group, (program, row) in enumerate(zip(programs.emitted, programs.busy, strict=True)):
            own = np.flatnonzero(np.isin(program.structure.unit, links))
            at = group * counts.layers + program.layer[own].astype(np.int64)
            held = row[program.busy_at[own]]
            counts.shared.add("interconnect", {"flit_hop": held}, at, 1)


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
