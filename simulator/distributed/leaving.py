"""Traces whose images leave after different timesteps: those that take as many run as one trace.

An image that leaves after two of four timesteps costs what a network of two timesteps costs. Only a
dataflow that can halt in time runs it, as others compute a layer's last timestep before they know.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

from simulator.architecture import Architecture
from simulator.errors import LoweringError, ResultError
from simulator.results.columns import numbers, take
from simulator.results.result import Result, joined
from simulator.results.schema import SCHEMAS
from simulator.simulate import Simulation
from simulator.timeline import StateWindows, TimelineRecording
from simulator.trace import Image, ImageBatch, Trace, batch_of, image_of
from simulator.trace_format.layout import Layout

T = TypeVar("T")


class CourseTrace:
    """Read the images of a trace that take one number of timesteps, as a trace of these alone.

    Images keep their numbers. It reads as a Trace does; its path and hash are the trace's own.
    """

    def __init__(self, trace: Trace, timesteps: int) -> None:
        self._trace, self.path, self.content_hash = trace, trace.path, trace.content_hash
        every = trace.layout.timesteps

        def taken(each: int) -> int:
            return timesteps if each == every else each

        self.layout: Layout = dataclasses.replace(
            trace.layout,
            tensors={
                name: dataclasses.replace(tensor, timesteps=taken(tensor.timesteps))
                for name, tensor in trace.tensors.items()
            },
            operations=tuple(
                dataclasses.replace(each, timesteps=taken(each.timesteps))
                for each in trace.operations
            ),
            timesteps=timesteps,
            image_timesteps=(),
        )
        self.tensors, self.operations = self.layout.tensors, self.layout.operations
        self.images = trace.images
        self.manifest: dict[str, Any] = trace.manifest | {
            "model": trace.manifest["model"] | {"timesteps": timesteps}
        }

    def once(self, name: Hashable, make: Callable[[], T]) -> T:
        """Return what the trace keeps for these timesteps."""
        return self._trace.once((self.layout.timesteps, name), make)

    def read(self, index: int) -> Image:
        """Read and check an image."""
        return image_of(self.layout, self.read_batch([index]), 0)

    def read_batch(self, indices: Sequence[int] | range) -> ImageBatch:
        """Read and check images; what they did not take is left out."""
        own, stored_batch = self.layout, self._trace.read_batch(indices)
        arena = own.new_arena(len(stored_batch.index))
        arena[:] = 0
        for name, tensor in own.tensors.items():
            stored = self._trace.layout.tensor(stored_batch.arena, name)
            own.tensor(arena, name)[...] = stored[:, : tensor.timesteps]
        masks = self._trace.layout.masks(stored_batch.arena)
        own.masks(arena)[...] = masks[:, :, : own.timesteps]
        own.classes_of(arena)[...] = self._trace.layout.classes_of(stored_batch.arena)
        return batch_of(own, stored_batch.index, arena)


class CourseSimulations:
    """Simulate a trace of images that leave early, on a machine; used as a Simulation is."""

    def __init__(self, trace: Trace, architecture: Architecture, **options: Any) -> None:
        """`options`: as of Simulation. Raises LoweringError where images run together."""
        if architecture.dataflow.images_together > 1:
            raise LoweringError(
                f"{trace.path}: its images leave after different timesteps: they cannot share "
                f"weight fetches (dataflow.images_together: "
                f"{architecture.dataflow.images_together}); set it to 1"
            )
        architecture = architecture.for_halting("timestep")
        if refused := architecture.dataflow.refusal("timestep"):
            taken = f"{min(trace.layout.image_timesteps)} to {max(trace.layout.image_timesteps)}"
            raise LoweringError(
                trace.path, f"its images leave after {taken} timesteps, which is as {refused}"
            )
        self._taken = trace.layout.image_timesteps
        self._by_timesteps = {
            steps: Simulation(CourseTrace(trace, steps), architecture, **options)  # type: ignore[arg-type]
            for steps in sorted(set(self._taken) | {trace.layout.timesteps})
        }

    def run(self, images: Iterable[int]) -> Result:
        """Simulate some images of the trace, by index; the result has them in their order."""
        order = list(images)
        if not order:
            raise ResultError("images", "must hold at least one image")
        parts = []
        for steps, simulation in self._by_timesteps.items():
            own = [index for index in order if self._taken[index] == steps]
            if own:
                parts.append(simulation.run(own).all_columns())
        place = {index: at for at, index in enumerate(order)}
        tables = joined(parts)
        for name, schema in SCHEMAS.items():
            if schema.per_image and name in tables:
                at = [place[int(image)] for image in numbers(tables[name], "image")]
                tables[name] = take(tables[name], np.argsort(at, kind="stable"))
        return Result(self.provenance(), tables)

    def record(self, index: int) -> TimelineRecording:
        """Return an image of the trace as a timeline."""
        return self._by_timesteps[self._taken[index]].record(index)

    def windows(self, together: Sequence[int], count: int) -> StateWindows:
        """Return what the PE arrays do over time while an image is replayed."""
        return self._by_timesteps[self._taken[together[0]]].windows(together, count)

    def provenance(self) -> dict[str, Any]:
        """Return what was run on what: the network at its most timesteps."""
        return self._by_timesteps[max(self._by_timesteps)].provenance()


def simulation_of(
    trace: Trace, architecture: Architecture, **options: Any
) -> Simulation | CourseSimulations:
    """Open a trace on a machine. `options`: as of Simulation."""
    if trace.layout.image_timesteps:
        return CourseSimulations(trace, architecture, **options)
    return Simulation(trace, architecture, **options)
