"""Layers on cores of their own: a timestep runs in one while the next is in the one before."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from simulator.components.dataflows.base import Dataflow, Slot


class LayerPipelined(Dataflow, kind="layer_pipelined"):
    """Each core holds a run of layers, of about equal dense work; timesteps flow through them.

    Layers that are computed once run before or between the flows. A core's layers keep their
    membranes and, where they fit, their weights. A layer is at most `timesteps_held` timesteps
    ahead of those that read it: their buffers hold these. Halting that decides at one timestep
    who runs at the next (`timestep`, `two_dimensional`) makes the blocks wait for it, so that only
    the layers ahead of them overlap. With one core it is timestep_serial, the stem included.
    """

    example: ClassVar[str] = "kind: layer_pipelined\ntimesteps_held: 2\n"

    timesteps_held: int = Field(
        default=2, gt=0, le=64, description="timesteps of a tensor that exist at once"
    )

    def order(self, roles: list[str], timesteps: int, once: list[bool]) -> list[Slot]:
        return self.in_runs(once, timesteps)

    def homes(self, work: list[int], cores: int) -> list[int]:
        homes, before, total = [], 0, max(sum(work), 1)
        for own in work:
            # The core in whose share of the work the layer's middle lies.
            homes.append(min((2 * before + own) * cores // (2 * total), cores - 1))
            before += own
        return homes

    @property
    def timesteps_in_flight(self) -> int:
        return self.timesteps_held
