"""Operations and a machine in, integer columns out: the only thing an engine sees."""

from simulator.lowering.image import Lowered, lower
from simulator.lowering.plan import Plan, make_plan

__all__ = ["Lowered", "Plan", "lower", "make_plan"]
