"""What one operation costs in another simulator's accounting."""

from __future__ import annotations

from typing import NamedTuple

BITS_PER_CYCLE = 1024
"""Of the memory interface of all designs: 64 GB/s at 500 MHz."""


class OperationCost(NamedTuple):
    """Cycles and DRAM bits of one operation.

    `counted_cycles`: what enters the total, less what hides behind the operation before;
    `compute_cycles`, `stall_cycles`: of the operation alone, `standalone_cycles` their sum;
    `spikes`, `remaining`, `elements`: operand bits, set, added after reuse and in all, each
    counted once for every pass over the columns (0 where a design has no such count). Cycles are
    whole but for SATO's neurons, log2(T) + 1 cycles each, where T is no power of two.
    """

    name: str
    compute_cycles: float
    stall_cycles: float = 0
    dram_read_bits: int = 0
    dram_write_bits: int = 0
    hidden_cycles: float = 0
    spikes: int = 0
    remaining: int = 0
    elements: int = 0

    @property
    def standalone_cycles(self) -> float:
        return self.compute_cycles + self.stall_cycles

    @property
    def counted_cycles(self) -> float:
        return self.standalone_cycles - self.hidden_cycles


def memory_stall(first_bits: int, all_bits: int, compute_cycles: float) -> float:
    """Stalls of double buffering: the first tile is waited for, the rest hides behind the sums."""
    rest = (all_bits - first_bits) // BITS_PER_CYCLE
    return first_bits // BITS_PER_CYCLE + max(0, rest - compute_cycles)


def tiles(size: int, tile: int) -> int:
    """Tiles that cover a size, the last one ragged."""
    return -(-size // tile)
