"""Operations and a machine in, integer columns out: the only thing an engine sees."""

from simulator.lowering.batch import Lowered, LoweredBatch, Lowering, lower
from simulator.lowering.plan import Plan, make_plan

__all__ = ["Lowered", "LoweredBatch", "Lowering", "Plan", "lower", "make_plan"]
