"""What every part of the slot dataflows offers: the order in which layers and timesteps run."""

from __future__ import annotations

from abc import abstractmethod
from itertools import groupby
from typing import ClassVar, Literal, NamedTuple

from pydantic import Field

from simulator.components.base import Component

ALL_TIMESTEPS = -1

SHARED = -1
"""The home of a layer that all cores share."""


class Slot(NamedTuple):
    """Name a layer in the order of execution, at one timestep or at all of them together."""

    layer: int
    timestep: int


class Dataflow(Component, slot="dataflows"):
    """Order the loops, and say what may overlap."""

    neurons_last: ClassVar[bool] = False
    """Whether the element-wise work of a step waits for its last tile, not for its own."""

    takes_layers_first: ClassVar[str] = ""
    """How it runs all timesteps of a layer before the next one, in words; empty if it does not."""

    local_weight_chunks: int = Field(
        default=2,
        gt=0,
        le=64,
        description="chunks of weights in the array, the one in use included",
    )
    accumulator_blocks: int = Field(
        default=2, gt=0, le=64, description="row blocks of partial sums, the one in use included"
    )
    reuse_static_input: bool = Field(
        default=True,
        description="a stem layer whose input is the same at all timesteps is multiplied once",
    )

    images_in_flight: int = Field(
        default=1,
        gt=0,
        le=64,
        description="images of a stream under way at once, each with buffers of its own",
    )
    images_together: int = Field(
        default=1,
        gt=0,
        le=4096,
        description="images that pass each step together, so that fetched weights serve them all",
    )

    mapping: Literal["fixed", "auto"] = Field(
        default="fixed",
        description="by fixed rules, or chosen among several that fit, by a trace's first image",
    )

    attention_order: Literal["as_traced", "scores_first", "key_values_first"] = Field(
        default="as_traced",
        description="(Q K^T) V, or Q (K^T V), the same without a softmax; or as the trace states, "
        "scores first where it states none",
    )

    @abstractmethod
    def order(self, roles: list[str], timesteps: int, once: list[bool]) -> list[Slot]:
        """Return the execution order of layers with these roles, as the trace declares them.

        Roles are stem, blocks, halting and head, or layers (of a network without blocks) and head.
        `once`: layers that are computed for one timestep only.
        A layer that runs timestep by timestep keeps its membranes in memory in between.
        """

    def in_runs(self, at_once: list[bool], timesteps: int) -> list[Slot]:
        """Order layers of which neighbours that do not run at once share the loop of timesteps."""
        slots: list[Slot] = []
        for once, run in groupby(range(len(at_once)), key=lambda layer: at_once[layer]):
            layers = list(run)
            steps = [ALL_TIMESTEPS] if once else range(timesteps)
            slots += [Slot(layer, step) for step in steps for layer in layers]
        return slots

    def homes(self, work: list[int], cores: int) -> list[int]:
        """Return the core of each layer, or SHARED; `work`: its dense multiply-accumulates."""
        return [SHARED] * len(work)

    @property
    def timesteps_in_turn(self) -> bool:
        """Whether a layer's timesteps follow each other, and nothing of the next begins before."""
        return False

    @property
    def timestep_cycles(self) -> int:
        """Cycles between two timesteps of a layer, where they run in turn."""
        return 0

    @property
    def timesteps_in_flight(self) -> int:
        """Timesteps of a tensor that may exist at once where layers run timestep by timestep."""
        return 1

    def for_halting(self, granularity: str) -> Dataflow:
        """Return the dataflow for a trace with this halting: itself, unless it is a choice."""
        return self

    def refusal(self, granularity: str) -> str:
        """Return why a trace with this halting granularity cannot be run; empty if it can."""
        if self.takes_layers_first and granularity in ("timestep", "two_dimensional", "waking"):
            return (
                f"halting {granularity!r} decides at one timestep who runs at the next, but "
                f"{self.takes_layers_first}: use timestep_serial"
            )
        return ""
