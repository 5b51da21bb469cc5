"""The steps of a trace in the order of the dataflow, who runs them, and what each waits for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from simulator.components.dataflows.base import ALL_TIMESTEPS, SHARED, Dataflow, Slot
from simulator.components.token_skip.base import TokenSkip
from simulator.config.arrays import Ints
from simulator.errors import LoweringError
from simulator.operations import Network


class Step(NamedTuple):
    """Describe a step of the order: `kind` matrix, elements (of attention without products), vector
    (the head), scan, halting, or mean_field where that is apart; -1 = all timesteps.

    `deps`: steps that it waits for.
    """

    kind: str
    layer: int
    timestep: int
    deps: tuple[int, ...]


class Schedule(NamedTuple):
    """List the steps, and the tasks that they are executed as: one for each core that takes part.

    `in_time`: layers that run timestep by timestep; `homes`: the core of each layer, or SHARED;
    `task_step`, `task_core` (tasks,); `dep_ptr`, `dep`: the tasks that each task waits for.
    """

    steps: tuple[Step, ...]
    in_time: frozenset[int]
    homes: tuple[int, ...]
    task_step: Ints
    task_core: Ints
    dep_ptr: Ints
    dep: Ints


def _check_time(network: Network, dataflow: str, slots: Sequence[Slot]) -> None:
    """Refuse an order in time that the network's own dependencies forbid."""
    in_time = any(slot.timestep != ALL_TIMESTEPS for slot in slots)
    if in_time and network.sees_future:
        raise LoweringError(
            f"{dataflow} runs one timestep after another, but layer {network.sees_future[0]} "
            "depends on later timesteps, as the trace's capture found: use tick_batched"
        )
    for slot in slots:
        name = network.layers[slot.layer].name
        if slot.timestep == ALL_TIMESTEPS and name in network.recurrent:
            raise LoweringError(
                f"{dataflow} runs all timesteps of layer {name} at once, but it reads what a later "
                "layer made one timestep earlier: use timestep_serial"
            )


@lru_cache(maxsize=8)
def schedule(network: Network, dataflow: Dataflow, skip: TokenSkip, cores: int) -> Schedule:
    """Return the order of execution on all cores; machines of a search mostly share it."""
    layers = network.layers
    once = [layer.computed_timesteps(dataflow.reuse_static_input) == 1 for layer in layers]
    slots = dataflow.order([layer.role for layer in layers], network.timesteps, once)
    homes = dataflow.homes([layer.dense_macs * layer.timesteps for layer in layers], cores)
    in_time = frozenset(slot.layer for slot in slots if slot.timestep != ALL_TIMESTEPS)
    _check_time(network, dataflow.kind, slots)
    steps = _Steps(network, dataflow, skip, homes).of(slots)
    first: list[int] = []
    task_step: list[int] = []
    task_core: list[int] = []
    for index, step in enumerate(steps):
        home = homes[step.layer]
        taking_part = range(cores) if home == SHARED else (home,)
        if step.kind in ("scan", "vector"):
            taking_part = taking_part[:1]
        first.append(len(task_step))
        task_step += [index] * len(taking_part)
        task_core += taking_part
    first.append(len(task_step))
    deps = [
        [task for dep in steps[index].deps for task in range(first[dep], first[dep + 1])]
        for index in task_step
    ]
    return Schedule(
        steps=steps,
        in_time=in_time,
        homes=tuple(homes),
        task_step=np.array(task_step, np.int64),
        task_core=np.array(task_core, np.int64),
        dep_ptr=np.cumsum([0] + [len(dep) for dep in deps], dtype=np.int64),
        dep=np.array([task for dep in deps for task in dep], np.int64),
    )


class _Steps:
    """Turns slots into steps: attention by timestep, scans before and halting after."""

    def __init__(
        self, network: Network, dataflow: Dataflow, skip: TokenSkip, homes: Sequence[int]
    ) -> None:
        self.network, self.skip = network, skip
        self.in_flight = dataflow.timesteps_in_flight
        self.in_turn = dataflow.timesteps_in_turn
        self.pipelined = homes[0] != SHARED
        self.scans = self.skip.scan(network.tokens, network.tokens, 1).busy_cycles > 0
        self.steps: list[Step] = []
        self.made: dict[int, list[int]] = {}
        self.history: dict[int, list[list[int]]] = {}
        self.scan_of: dict[tuple[str, int], int] = {}
        self.decided: list[int] = []
        self.summed: list[int] = []
        self.decision_deps: tuple[int, ...] = ()

    def of(self, slots: Sequence[Slot]) -> tuple[Step, ...]:
        """Return all steps, in order."""
        for index, timestep in slots:
            self._layer(index, timestep)
        return tuple(self.steps)

    def _layer(self, index: int, timestep: int) -> None:
        layer = self.network.layers[index]
        deps = [step for producer in layer.producers for step in self.made.get(producer, [])]
        deps += self._back_pressure(index)
        if self.in_turn:
            deps += self.made.get(index, [])
        if layer.kind == "head":
            deps += self.summed
        if layer.mask is not None:
            deps += self._mask(index, timestep, layer.mask)
        by_timestep = layer.is_attention and timestep == ALL_TIMESTEPS
        kind = "vector" if layer.kind == "head" else "matrix"
        kind = "elements" if layer.is_elementwise else kind
        made = []
        for time in range(layer.timesteps) if by_timestep else (timestep,):
            made.append(self._step(kind, index, time, deps))
        self.made[index] = made
        self.history.setdefault(index, []).append(made)
        if any(op.kind == "halting" for op in layer.vector_ops):
            self.decision_deps = tuple(made)
            self.decided = [self._step("halting", index, timestep, made)]
            self.summed = self.decided
            if self.skip.overlaps_decision:
                self.summed = [self._step("mean_field", index, timestep, self.decided)]

    def _step(self, kind: str, layer: int, timestep: int, deps: Sequence[int]) -> int:
        self.steps.append(Step(kind, layer, timestep, tuple(deps)))
        return len(self.steps) - 1

    def _mask(self, index: int, timestep: int, mask: str) -> list[int]:
        """What a layer under a mask waits for: its scan, or the decision that made it."""
        if not self.scans:
            return self.decided
        if (mask, timestep) not in self.scan_of:
            deps = self.decision_deps if self.skip.overlaps_decision else self.decided
            self.scan_of[mask, timestep] = self._step("scan", index, timestep, deps)
        scan = [self.scan_of[mask, timestep]]
        return scan + (self.decided if self.skip.overlaps_decision else [])

    def _back_pressure(self, index: int) -> list[int]:
        """The readers of what this layer wrote so many timesteps ago: it takes their place."""
        passed = len(self.history.get(index, ()))
        if passed < self.in_flight or not self.pipelined:
            return []
        readers = [layer.index for layer in self.network.layers if index in layer.producers]
        then = passed - self.in_flight
        return [
            step
            for reader in readers
            if len(self.history.get(reader, ())) > then
            for step in self.history[reader][then]
        ]
