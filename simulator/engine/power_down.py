"""How long the channels of a DRAM are awake: until they have been idle for long enough."""

from __future__ import annotations

import numpy as np

from simulator.config.arrays import Int32s, Ints
from simulator.lowering import Plan
from simulator.program import Program, Timeline


def awake_cycles(plan: Plan, layer_of: Int32s, program: Program, timeline: Timeline) -> Ints:
    """Return int64 (layers,), cycles in which the DRAM's channels are not powered down.

    A request keeps them awake from its start until it has passed and they have been idle for long
    enough, or until the next one's start. Zeros for a DRAM that never powers down.
    """
    machine = plan.architecture
    down = machine.memories.dram.power_down(machine.clock_mhz)
    if down is None:
        return np.zeros(len(plan.layers), np.int64)
    requests = np.flatnonzero(program.unit == plan.graph.one("dram"))
    requests = requests[np.argsort(timeline.start[requests], kind="stable")]
    start = timeline.start[requests]
    passed = np.maximum.accumulate(start + program.busy_cycles[requests])
    until = np.append(start[1:], timeline.makespan_cycles)
    found = np.zeros(len(plan.layers), np.int64)
    np.add.at(found, layer_of[requests], np.minimum(until, passed + down.after_cycles) - start)
    return found
