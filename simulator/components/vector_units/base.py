"""What every part of the slot vector_units offers: element-wise work in, cycles and counts out."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, NamedTuple

from simulator.components.base import Component, Primitive


class ElementWork(NamedTuple):
    """Describe the element-wise results of a layer, and the class of the product before them."""

    kind: str
    rows: int
    channels: int
    timesteps: int
    window_inputs: int
    after: str


class VectorUnit(Component, slot="vector_units"):
    """Do what is element-wise: neurons, residuals, pools, halting scores."""

    if TYPE_CHECKING:
        latency_cycles: int

    @property
    @abstractmethod
    def elements_per_cycle(self) -> int:
        """Element-cycles that pass in one cycle."""

    def logic(self) -> tuple[Primitive, ...]:
        """Return for each lane what its widest action takes of each kind of arithmetic, once."""
        lanes = self.elements_per_cycle
        found: dict[str, Primitive] = {}
        for action in self.actions().values():
            for piece in action.primitives:
                if piece.operation in ("add", "compare", "multiply"):
                    before = found.get(piece.operation, Primitive(piece.operation, times=0))
                    found[piece.operation] = max(before, piece, key=lambda p: p.bits * p.times)
        return tuple(piece._replace(times=piece.times * lanes) for piece in found.values())

    @abstractmethod
    def element_cycles(self, kind: str, window_inputs: int) -> int:
        """Return the element-cycles of one result of an operation kind (of trace.py)."""

    def element_work(self, work: ElementWork) -> int:
        """Return the element-cycles of all results of an operation."""
        results = work.rows * work.channels * work.timesteps
        return results * self.element_cycles(work.kind, work.window_inputs)

    @abstractmethod
    def element_counts(self, kind: str, window_inputs: int) -> dict[str, int]:
        """Return what one result counts."""

    @property
    def membrane_bits(self) -> int:
        """Bits of a membrane potential in memory."""
        return self.precision.membranes_bits

    @property
    def pipeline_latency_cycles(self) -> int:
        """Cycles from the last element in to its result out."""
        return self.latency_cycles

    @property
    def halting_latency_cycles(self) -> int:
        """Cycles from the last score's input to the decision in the mask."""
        return self.latency_cycles
