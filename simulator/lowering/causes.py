"""Why a PE array waits: the cause that each operation is to it."""

from __future__ import annotations

import numpy as np

from simulator.config.arrays import Int32s
from simulator.lowering.plan import Plan
from simulator.lowering.tables import OTHER_ARRAYS, OTHER_CORES
from simulator.program import Program


def causes_seen_by(unit: int, plan: Plan, program: Program, category: Int32s) -> Int32s:
    """Return the cause (n,) that each operation is to a waiting array.

    `category` int32 (n,): of each operation, an index of CATEGORIES. What other arrays do is a
    cause of its own, by whether they are on the same core.
    """
    units = plan.graph.units
    for other in plan.graph.with_role("pe_array"):
        if other != unit:
            cause = OTHER_ARRAYS if units[other].core == units[unit].core else OTHER_CORES
            category = np.where(program.unit == other, np.int32(cause), category)
    return category
