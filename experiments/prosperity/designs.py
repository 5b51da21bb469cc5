"""The designs that Prosperity's simulator models, by name, and what a run of one adds up to.

Source: the rules of github.com/dubcyfor3/Prosperity (MIT; HPCA'25), rewritten and held against
its figures operation by operation (docs/validation.md). All run at 500 MHz with 8-bit weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from experiments.prosperity.baselines import eyeriss, mint, ptb, sato
from experiments.prosperity.cost import OperationCost
from experiments.prosperity.prosperity import prosperity
from experiments.prosperity.workload import Operation
from simulator.architecture import Architecture
from simulator.errors import ArchitectureError

CLOCK_MHZ = 500

DESIGNS: dict[str, Callable[[Iterable[Operation]], Iterator[OperationCost]]] = {
    "Prosperity": partial(prosperity, bit_sparse=False),
    "Prosperity_bit": partial(prosperity, bit_sparse=True),
    "PTB": ptb,
    "SATO": sato,
    "MINT": mint,
    "Eyeriss": partial(eyeriss, attention=False),
    "Eyeriss_linear": partial(eyeriss, attention=True),
}


class DesignRun(NamedTuple):
    """The costs of a network's operations on one design, in order."""

    design: str
    operations: tuple[OperationCost, ...]

    @property
    def total_cycles(self) -> float:
        """What the operations count together; whole but for SATO's neurons at odd timesteps."""
        return sum(cost.counted_cycles for cost in self.operations)

    @property
    def time_ms(self) -> float:
        """At 500 MHz."""
        return self.total_cycles / (CLOCK_MHZ * 1e3)

    @property
    def dram_bits(self) -> int:
        """Read and written."""
        return sum(cost.dram_read_bits + cost.dram_write_bits for cost in self.operations)

    @property
    def bit_density(self) -> float:
        """Set bits of all operands, over all passes over the columns."""
        return self._share("spikes")

    @property
    def product_density(self) -> float:
        """Bits that are added after reuse, over all passes over the columns."""
        return self._share("remaining")

    def _share(self, field: str) -> float:
        elements = sum(cost.elements for cost in self.operations)
        return int(sum(getattr(cost, field) for cost in self.operations)) / elements


def run_design(design: str, operations: Iterable[Operation]) -> DesignRun:
    """The cost of every operation that a design charges."""
    return DesignRun(design, tuple(DESIGNS[design](operations)))


class MachineRule(NamedTuple):
    """The kind of array, and the sizes that a design's rule is written for."""

    kind: str
    fields: dict[str, int | str]


RULES: dict[str, MachineRule] = {
    "Prosperity": MachineRule(
        "product_sparse", {"columns": 128, "tile_rows": 256, "row_inputs": 16}
    ),
    "PTB": MachineRule("time_batched", {"rows": 16, "columns": 8, "window_timesteps": 4}),
    "SATO": MachineRule("sorted_rows", {"rows": 128}),
    "MINT": MachineRule("spike_count", {"columns": 128}),
    "Eyeriss_linear": MachineRule("dense_systolic", {"rows": 14, "columns": 12}),
}


def design_of(architecture: Architecture) -> str:
    """The design whose rule fits the machine's array and clock.

    Raises ArchitectureError, naming the value and the rule, if there is none.
    """
    array = architecture.core.pe_array
    place = f"{architecture.name}: cores.0.pe_array"
    for design, rule in RULES.items():
        if rule.kind != array.kind:
            continue
        for field, value in rule.fields.items():
            if getattr(array, field) != value:
                raise ArchitectureError(
                    f"{place}.{field}: {getattr(array, field)}: must be {value}, for which the "
                    f"rule of {design} in prosperity_compat is written"
                )
        if architecture.clock_mhz != 500:
            raise ArchitectureError(
                f"{architecture.name}: clock_mhz: {architecture.clock_mhz:g}: must be 500, at "
                "which prosperity_compat states its times"
            )
        return design
    known = ", ".join(rule.kind for rule in RULES.values())
    raise ArchitectureError(
        f"{place}.kind", array.kind, f"prosperity_compat has rules for {known} only"
    )
