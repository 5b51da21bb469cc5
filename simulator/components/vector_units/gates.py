"""What vector units share whose neurons and gates are in the path of results."""

from __future__ import annotations

from pydantic import Field

from simulator.components.base import Action, Primitive
from simulator.components.vector_units.base import VectorUnit


class GateUnit(VectorUnit, base=True):
    """Do neurons, and gates for what is bitwise; a halting score, which it lacks, is a neuron."""

    latency_cycles: int = Field(default=4, ge=0, description="from a layer's last sum to its end")

    def actions(self) -> dict[str, Action]:
        add = Primitive("add", bits=self.precision.operand_bits)
        compare = Primitive("compare", bits=self.precision.operand_bits)
        return {
            "lif_update": Action(
                "adds, halves, compares, resets one membrane", (add._replace(times=2), compare)
            ),
            "gate": Action(
                "takes a spike through a gate (as the narrowest compare)",
                (Primitive("compare", bits=8),),
            ),
        }
