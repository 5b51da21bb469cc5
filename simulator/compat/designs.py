"""The designs that Prosperity's simulator models, by name, and what a run of one adds up to.

Source: the rules of github.com/dubcyfor3/Prosperity (MIT; HPCA'25), written anew and held against
its figures operation by operation (docs/validation.md). All run at 500 MHz with 8-bit weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from simulator.compat.baselines import eyeriss, mint, ptb, sato
from simulator.compat.cost import OperationCost
from simulator.compat.prosperity import prosperity
from simulator.compat.workload import Operation

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
