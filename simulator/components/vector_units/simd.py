"""Lanes that each take one element a cycle."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from simulator.components.base import Action, Primitive
from simulator.components.vector_units.base import VectorUnit

# What captured networks do element by element; a function such as exp is read from a table.
ARITHMETIC = {
    "add": "add",
    "multiply": "multiply_accumulate",
    "compare": "compare",
    "table": "halting_score",
}


class Simd(VectorUnit, kind="simd"):
    """Equal lanes, pipelined; every element of an operation takes one lane for one cycle.

    A LIF update is x - v, a shift, the sum (tau 2), a compare with the threshold and the reset: two
    adds and a compare. Sums of spikes over tokens or channels add each element, whether it is 0 or
    1. A pool compares each input of its window. A halting score is a multiply and an add
    (gamma y + beta), a sigmoid by table, an add to the accumulated score and a compare; the
    mean-field output then takes a multiply and an add for each channel of each live token.
    """

    example: ClassVar[str] = "kind: simd\nlanes: 32\n"

    lanes: int = Field(gt=0, le=65536, description="elements a cycle")
    latency_cycles: int = Field(default=4, ge=0, description="of the pipeline")
    score_latency_cycles: int = Field(
        default=8, ge=0, description="score, sigmoid, accumulate, compare, write the mask"
    )

    @property
    def elements_per_cycle(self) -> int:
        return self.lanes

    @property
    def halting_latency_cycles(self) -> int:
        return self.score_latency_cycles

    def element_cycles(self, kind: str, window_inputs: int) -> int:
        if kind == "rearrange":
            return 0
        return window_inputs if kind in ("pool", *ARITHMETIC) else 1

    def element_counts(self, kind: str, window_inputs: int) -> dict[str, int]:
        if kind == "rearrange":
            return {}
        if kind == "pool":
            return {"compare": window_inputs}
        if kind in ARITHMETIC:
            return {ARITHMETIC[kind]: window_inputs}
        return {
            {
                "lif": "lif_update",
                "residual": "add",
                "spike_driven_attention": "add",
                "token_qk_attention": "add",
                "token_mean": "add",
                "spike_gate": "gate",
                "integrate": "add",
                "halting": "multiply_accumulate",
                "score": "halting_score",
                "head": "multiply_accumulate",
                "mean": "add",
            }[kind]: 1
        }

    def actions(self) -> dict[str, Action]:
        add = Primitive("add", bits=self.precision.operand_bits)
        compare = Primitive("compare", bits=self.precision.operand_bits)
        multiply = Primitive("multiply", bits=self.precision.factor_bits)
        table = Primitive("sram_read", size_kib=1.0, width_bits=32)
        return {
            "lif_update": Action(
                "decays, adds, compares, resets one membrane", (add._replace(times=2), compare)
            ),
            "add": Action("adds two elements", (add,)),
            "compare": Action("compares two elements", (compare,)),
            "gate": Action(
                "lets a spike through its gate (as the narrowest compare)",
                (Primitive("compare", bits=8),),
            ),
            "multiply_accumulate": Action("multiplies two elements and adds", (multiply, add)),
            "halting_score": Action(
                "scores a token: multiply and add, sigmoid table, accumulate, compare",
                (multiply, add._replace(times=2), table, compare),
            ),
        }
