"""Layer after layer, each timestep by timestep, with the neurons of a layer at its end."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from simulator.components.dataflows.base import ALL_TIMESTEPS, Dataflow, Slot


class LayerByLayer(Dataflow, kind="layer_by_layer"):
    """The layer is the outer loop, the timestep the inner one, and nothing of two overlaps.

    The sums of all outputs of a layer stay in the partial-sum buffer until the last tile; then its
    neurons fire, while the array waits. Weights are fetched again at each timestep, the first of
    them only when the timestep before has ended; the weights of the next layer are fetched while
    the last timestep runs. Membranes are those of one layer at a time. Source: ExSpike (FPL'26), by
    its public RTL, to runs of which arch_configs/exspike.yaml fits `restart_cycles`. With
    `timesteps_together` the inner loop is in the arrays.
    """

    example: ClassVar[str] = "kind: layer_by_layer\naccumulator_blocks: 1\n"
    takes_layers_first: ClassVar[str] = "layer_by_layer runs all timesteps of a layer first"
    neurons_last: ClassVar[bool] = True

    restart_cycles: int = Field(
        default=0, ge=0, le=65536, description="from a timestep's end to the fetches of the next"
    )

    timesteps_together: bool = Field(
        default=False, description="arrays compute all timesteps in parallel"
    )

    @property
    def timesteps_in_turn(self) -> bool:
        return not self.timesteps_together

    @property
    def timestep_cycles(self) -> int:
        return self.restart_cycles

    def order(self, roles: list[str], timesteps: int, once: list[bool]) -> list[Slot]:
        return [
            Slot(layer, step)
            for layer, is_once in enumerate(once)
            for step in (
                [ALL_TIMESTEPS] if is_once or self.timesteps_together else range(timesteps)
            )
        ]

    @property
    def timesteps_in_flight(self) -> int:
        """All: the next layer begins after the last."""
        return 1 << 30
