"""One image in flight: what its network does goes to a device, its costs come back in time."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from models.halting.recursion import Halting, HaltingState, HaltingStep, Head, Policy
from models.live.control import Budget, BudgetControl, Floats
from models.operations.recording import Packed, RecordingProbe
from models.operations.topology import Topology
from simulator.errors import DeviceError
from simulator.hil.base import Cost, Device
from simulator.hil.pieces import Piece, Pieces, work_of


class Check(NamedTuple):
    """Hold the cost of a piece that has run, and the threshold that followed from it.

    timestep, block: -1 for the piece outside the blocks.
    threshold: 1 where none was chosen: there, and after the last block, which halts every token.
    """

    timestep: int
    block: int
    live: int
    cost: Cost
    threshold: float


class LiveProbe(RecordingProbe):
    """Record one image, whose latest part can be had at any time; keep all that was computed.

    The device has been asked for it.
    """

    def latest(self, piece: Piece) -> dict[str, Packed]:
        """Return what the piece reads, as recorded last: (timestep, plane, row, byte) of one image.

        Outside the blocks, all timesteps.
        """
        if piece.block is not None:
            return {name: self._tensors[name][-1][:, 0] for name in piece.tensors}
        return {name: np.concatenate(self._tensors[name])[:, 0] for name in piece.tensors}

    def _leave_out_unneeded(self, tensors: dict[str, Packed], entering: object) -> None:
        """Leave out nothing: the stem had run before it was known who would need it."""

    def forget(self) -> None:
        """Drop what an interrupted image has left."""
        self._tensors.clear()
        self._active.clear()


class Flight:
    """Hold a device, a budget and the image between them: what has run, and what it has cost.

    When the device fails, `failure` says so, the run goes on with the network's own threshold, and
    nobody asks the device again. `own`: that threshold.
    """

    def __init__(self, device: Device, budget: Budget, own: float = 1.0) -> None:
        self.device, self.budget, self.own = device, budget, own
        self.control = BudgetControl(budget.limit)
        self.failure: DeviceError | None = None
        self.checks: list[Check] = []

    def start(self) -> None:
        """Begin an image, of which nothing has run."""
        self.checks = []
        self.control.start()

    def book(self, place: tuple[int, int], live: int, cost: Cost, amount: float) -> None:
        """Keep the cost of what ran at a timestep and block; `amount`: as the budget counts it."""
        self.control.spend(amount, live)
        self.checks.append(Check(*place, live, cost, 1.0))

    def choose(self, accumulated: Floats, now: Floats, steps: int, own: float) -> float:
        """Return the threshold that keeps the budget; the last check keeps it too."""
        chosen = self.control.threshold(accumulated, now, steps, own)
        if self.checks:
            self.checks[-1] = self.checks[-1]._replace(threshold=chosen)
        return chosen

    def costs(self) -> dict[str, Any]:
        """Return what the device said of the image; empty where it failed before its end."""
        cycles, energy_pj = totals(self.checks)
        clock_mhz = self.checks[0].cost.clock_mhz if self.checks else 1.0
        blocks = [check for check in self.checks if check.block >= 0]
        limit, unit, name = *self.budget, self.device.name
        over = 0.0 if limit is None else max(0.0, self.control.spent - limit)
        last = in_unit(blocks[-1].cost, unit, name) if blocks else 0.0
        least = sum(in_unit(check.cost, unit, name) for check in self.checks[:2])
        values = {
            "latency_cycles": cycles,
            "latency_ms": cycles / (clock_mhz * 1e3),
            "energy_uj": None if energy_pj is None else energy_pj * 1e-6,
            "blocks_run": len(blocks),
            "lowest_threshold": min((check.threshold for check in blocks), default=self.own),
            "over_budget": over,
            "last_block": last,
            "within_a_block": int(over <= last),
            "feasible": int(limit is None or limit >= least),
        }
        failed = self.failure is not None
        known = {key: "" if failed else value for key, value in values.items()}
        return known | {"steered": int(not failed)}


class ImageFlight(Flight):
    """Hold the flight of an image of ours, whose pieces are known before it runs."""

    def __init__(
        self, device: Device, pieces: Pieces, topology: Topology, budget: Budget, own: float
    ) -> None:
        super().__init__(device, budget, own)
        self.pieces = pieces
        self.probe = LiveProbe(topology)

    def finish(self) -> None:
        """Ask for the rest of an image that has run to its end."""
        if self.pieces.ending is not None:
            self.ask(self.pieces.ending, None, None)

    def ask(self, piece: Piece, step: HaltingStep | None, active: Tensor | None) -> None:
        """Ask for the cost of a piece that has run and book it."""
        if self.failure is not None:
            return
        timestep = 0 if step is None else step.timestep
        live = None if active is None else active[0].numpy()
        try:
            if piece is self.pieces.outside:
                self.device.begin_image()
            cost = self.device.estimate(work_of(piece, timestep, self.probe.latest(piece), live))
            amount = in_unit(cost, self.budget.unit, self.device.name)
        except DeviceError as error:
            self.failure = error
            return
        place = (-1, -1) if step is None else (step.timestep, step.block)
        self.book(place, 0 if live is None else int(live.sum()), cost, amount)

    def threshold(self, state: HaltingState, score: Tensor, step: HaltingStep, own: float) -> float:
        """Return the threshold with which this step is checked; `score` (1, token)."""
        if self.failure is not None:
            return own
        active = state.active[0]
        now = score[0][active].double().numpy()
        accumulated = state.accumulated[0][active].double().numpy() + now
        steps = step.timesteps * step.blocks - step.check - 1
        return self.choose(accumulated, now, steps, own)


class SteeredHalting(Halting):
    """Halt as the network does, with a flight's threshold; one image a batch."""

    def __init__(self, halting: Halting, flight: ImageFlight) -> None:
        Policy.__init__(self, halting.config)
        self.exit, self.readout = halting.exit, halting.readout
        self.gamma, self.beta, self.offset = halting.gamma, halting.beta, halting.offset
        self.flight = flight

    def before(self, state: HaltingState, entering: Tensor, step: HaltingStep) -> HaltingState:
        """Ask for the stem's cost before the first block."""
        if step.timestep == 0 and step.block == 0:
            self.flight.ask(self.flight.pieces.outside, None, None)
        return super().before(state, entering, step)

    def after(
        self, state: HaltingState, output: Tensor, step: HaltingStep, head: Head
    ) -> HaltingState:
        """Return the state; the block's cost comes back before its tokens are checked."""
        if bool(state.active.any()):
            self.flight.ask(self.flight.pieces.blocks[step.block], step, state.active)
        return super().after(state, output, step, head)

    def eps(self, state: HaltingState, score: Tensor, step: HaltingStep) -> float:
        """Return how far below 1 the threshold is that the budget allows."""
        own = chosen = 1.0 - self.config.eps
        if bool(state.active.any()):
            chosen = self.flight.threshold(state, score, step, own)
        return self.config.eps if chosen == own else 1.0 - chosen


def in_unit(cost: Cost, unit: str, device: str) -> float:
    """Return the cost as the budget counts it; raises DeviceError where the device cannot tell."""
    if unit == "ms":
        return cost.latency_ms
    if cost.energy_pj is None:
        raise DeviceError(f"device {device} tells no energy: its budget must be one of time")
    return cost.energy_pj * 1e-6


def totals(checks: list[Check]) -> tuple[int, float | None]:
    """Sum cycles and energy of an image over its checks, in their order."""
    cycles, energy_pj = 0, 0.0
    for check in checks:
        cycles += check.cost.cycles
        energy_pj += check.cost.energy_pj or 0.0
    known = all(check.cost.energy_pj is not None for check in checks)
    return cycles, energy_pj if known and checks else None
