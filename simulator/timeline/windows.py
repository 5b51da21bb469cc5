"""What the PE arrays did in each window of a replay: busy cycles, and idle cycles by cause."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.components.dataflows.base import ALL_TIMESTEPS
from simulator.config.arrays import Ints
from simulator.engine.attribution import gaps
from simulator.lowering import Lowered, Plan
from simulator.lowering.causes import causes_seen_by
from simulator.lowering.tables import CATEGORIES
from simulator.program import Timeline

BUSY = "busy"


class StateWindows(NamedTuple):
    """Count cycles of all PE arrays by window: they add up to its width times the arrays.

    edges: int64 (windows + 1,), in cycles. cycles: int64 (windows,) of each state, BUSY first, then
    causes. places: by window the layer, block and
    timestep that most cycles went to. arrays: how many there are.
    """

    edges: Ints
    cycles: dict[str, Ints]
    places: list[str]
    arrays: int

    @property
    def widths(self) -> Ints:
        """Return the cycles of each window."""
        return np.diff(self.edges)


def array_windows(plan: Plan, lowered: Lowered, timeline: Timeline, count: int) -> StateWindows:
    """Divide the latency into `count` windows, or one a cycle where that is fewer."""
    edges = np.unique(np.linspace(0, timeline.makespan_cycles, count + 1).astype(np.int64))
    arrays = plan.graph.with_role("pe_array")
    found = [_spans(plan, lowered, timeline, unit) for unit in arrays]
    begins, ends, states, steps = np.concatenate(found).T

    def by_window(kept: npt.NDArray[np.bool_]) -> Ints:
        return np.diff(spent_up_to(edges, begins[kept], ends[kept]))

    names = {each: BUSY if each < 0 else CATEGORIES[each] for each in np.unique(states).tolist()}
    cycles = {name: by_window(states == state) for state, name in names.items()}
    met = np.unique(steps)
    most = np.array([by_window(steps == step) for step in met.tolist()]).argmax(axis=0)
    places = [place_of(plan, step)[0] for step in met[most].tolist()]
    return StateWindows(edges, cycles, places, len(arrays))


def _spans(plan: Plan, lowered: Lowered, timeline: Timeline, unit: int) -> Ints:
    """Return (begin, end, category or -1 for busy, step) of what an array did or waited for."""
    program = lowered.program
    own = np.flatnonzero(program.unit == unit)
    start, states = timeline.start[own], np.full(len(own), -1)
    busy = np.stack([start, start + program.busy_cycles[own], states, lowered.op_step[own]], 1)
    why = causes_seen_by(unit, plan, program, lowered.op_category)
    both = (lowered.op_step * len(CATEGORIES) + why).astype(np.int32)
    idle = np.array([*gaps(program, timeline, both, unit)], np.int64).reshape(-1, 3)
    step, state = np.divmod(idle[:, 2], len(CATEGORIES))
    return np.concatenate([busy, np.stack([idle[:, 0], idle[:, 1], state, step], 1)])


def place_of(plan: Plan, index: int) -> tuple[str, dict[str, int | str]]:
    """Return the name of a step by layer, block and timestep, and the same as arguments."""
    step = plan.steps[index]
    layer = plan.layers[step.layer].layer
    arguments: dict[str, int | str] = {"layer": layer.name, "stage": layer.stage}
    label = layer.name
    if layer.block is not None:
        arguments["block"] = layer.block
        label += f", block {layer.block}"
    every = step.timestep == ALL_TIMESTEPS
    arguments["timestep"] = "all" if every else step.timestep
    arguments["step"] = step.kind
    return f"{label}, {'all timesteps' if every else f'timestep {step.timestep}'}", arguments


def spent_up_to(edges: Ints, begins: Ints, ends: Ints) -> Ints:
    """Return the cycles of spans, which may overlap, that lie ahead of each edge."""
    total = np.zeros(len(edges), np.int64)
    for sign, at in ((1, begins), (-1, ends)):
        at = np.sort(at)
        before = np.searchsorted(at, edges)
        total += sign * (before * edges - np.concatenate([[0], np.cumsum(at)])[before])
    return total
