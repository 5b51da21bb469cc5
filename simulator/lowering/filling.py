"""The tables of one image while they are filled: what every kind of layer writes into."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

from simulator.lowering.counts import CORE_PART, Counter
from simulator.lowering.pieces import Pieces, RowCache
from simulator.lowering.places import GLOBAL, OUTSIDE
from simulator.lowering.plan import Plan, request
from simulator.lowering.tables import DRAM, GLOBAL_BUFFER, PAIRS, SINGLE, Flat, Tasks
from simulator.trace import Image

Ints = npt.NDArray[np.int64]


class Filling:
    """The step table, the flat tables and the counts of one image, filled layer by layer.

    Offsets in the step table are those within the layer's own lists until `tasks` joins them.
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

    def copy(self, image: Image) -> Self:
        """The same fills, to go on from with an image that differs in the layers filled next."""
        other = copy.copy(self)
        other.image = image
        other.table = {name: column.copy() for name, column in self.table.items()}
        other.counters, other.of_layer = self.counters.copy(), self.of_layer.copy()
        other.useful, other.rows, other.live = (
            column.copy() for column in (self.useful, self.rows, self.live)
        )
        return other

    def begin(self, layer_index: int) -> None:
        """Forget what a layer has filled in, and fill for it from now on."""
        self.counter = self.counters[layer_index] = self.counter.emptied()
        self.lists = self.of_layer[layer_index] = _no_lists()
        self.sizes = dict.fromkeys(_OFFSETS.values(), 0)

    def append(self, name: str, values: Ints) -> None:
        """Go on with a flat table of the layer at hand."""
        self.lists[name].append(values)
        if name in self.sizes:
            self.sizes[name] += len(values)

    def single(self, step: int, unit: int, elements: int, latency: int, category: int) -> None:
        """A step of one operation: so many elements on the lanes of a vector unit, or a scan."""
        lanes = self.plan.machine.vector_lanes
        self.table["unit"][step] = unit
        self.table["busy"][step] = -(-elements // lanes)
        self.table["latency"][step] = latency
        self.table["category"][step] = category

    def vector(self, layer: int, kind: str, elements: int) -> None:
        """Count an operation of the vector unit."""
        vector = self.plan.architecture.core.vector_unit
        self.counter.add(layer, CORE_PART + "vector_unit", vector.element_counts(kind, 1), elements)

    def move(self, layer: int, place: str, bits: int, times: int, *, write: bool) -> int:
        """Counts `times` transfers between a core and a place outside; cycles of one."""
        memories = self.plan.architecture.memories
        memory = memories.global_buffer if place == GLOBAL else memories.dram
        assert memory is not None
        transfer = request(memory, bits, self.clock_mhz, write=write)
        self.counter.moved(layer, place == OUTSIDE, transfer, times)
        return transfer.busy_cycles

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


def unit_of(place: str) -> int:
    """The kind of unit that a place outside the core is."""
    return GLOBAL_BUFFER if place == GLOBAL else DRAM


def _no_lists() -> dict[str, list[Ints]]:
    return {name: [] for name in Flat._fields}


def _joined(parts: Sequence[Ints], name: str) -> Ints:
    empty = np.zeros((0, 2) if name in PAIRS else 0, np.int64)
    return np.concatenate([empty, *parts])
