"""A trace on a machine: lower, replay, attribute and price, image by image."""

from __future__ import annotations

import importlib.metadata
import itertools
import platform
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cache, cached_property, partial
from typing import Any, NamedTuple

import numpy as np

import simulator
from simulator.architecture import Architecture
from simulator.components.memories.base import AWAKE
from simulator.energy.field_layers import FieldColumns, field_columns
from simulator.energy.machine import MachinePrices
from simulator.energy.rates import Rates
from simulator.engine.replay import replay as numba_engine
from simulator.engine.replay import replay_images
from simulator.errors import ResultError
from simulator.lowering import Lowered, LoweredBatch, Lowering
from simulator.lowering.tiles import Batch
from simulator.lowering.widths import trained_widths
from simulator.mapping import plan_for
from simulator.operations import read_network
from simulator.program import Program, Timeline
from simulator.results.columns import Table
from simulator.results.images import SimulatedImages, image_tables
from simulator.results.measured import Measured, measured
from simulator.results.picture import picture_tables
from simulator.results.priced import priced
from simulator.results.provenance import machine_provenance, stated
from simulator.results.result import Result, joined
from simulator.results.schema import SCHEMA
from simulator.timeline import StateWindows, TimelineRecording, array_windows, record
from simulator.trace import Image, ImageBatch, Trace, image_of


def simpy_engine(program: Program) -> Timeline:
    """Replay by the reference; SimPy is imported only where it is asked for."""
    from simulator.engine.reference import simulate

    return simulate(program)


ENGINES: dict[str, Callable[[Program], Timeline]] = {
    "numba": numba_engine,
    "simpy": simpy_engine,
}

DRAM = "memories.dram"

BATCH_BYTES = 16 << 20
"""Packed bits of the images that are simulated together, so that memory is bounded."""


class BatchFiring(NamedTuple):
    """Hold what fires in some images, whatever the machine; `images`: views of their batch."""

    images: Sequence[Image]
    rates: Rates
    field: FieldColumns


class Simulation:
    """Simulate a trace on a machine; `run` turns images into a Result.

    `pictured`: images of which the result keeps the picture and the masks, token by token.
    `time_only`: nothing is priced, all energies are 0; for a machine with a part without a price.
    `prices`: of this machine, where they have been looked up.

    Raises LoweringError if the trace cannot be executed there, PricingError if an action of the
    machine has no price in its energy table: both before anything is simulated.
    """

    def __init__(
        self,
        trace: Trace,
        architecture: Architecture,
        *,
        engine: str = "numba",
        command: str = "",
        pictured: Collection[int] = (),
        time_only: bool = False,
        prices: MachinePrices | None = None,
    ) -> None:
        self.trace = trace
        self.architecture = architecture
        self.engine = engine
        self.command = command
        self.pictured = pictured
        self.network = trace.once("network", lambda: read_network(trace))
        self.plan, self.mapping = plan_for(trace, self.network, architecture)
        self.lowering = Lowering(self.plan)
        self.prices = prices or MachinePrices(architecture, time_only=time_only)
        self.actions = tuple(sorted(self.prices.price_pj))

    def run(self, images: Iterable[int]) -> Result:
        """Simulate some images of the trace, by index; each runs alone on an idle machine."""
        parts = []
        for batch in self._batches(images):
            firing = self.trace.once(tuple(batch.index.tolist()), partial(self._firing, batch))
            parts.append(self._tables(batch, firing))
        if not parts:
            raise ResultError("images", "must hold at least one image")
        return Result.simulated(self.provenance(), joined(parts))

    def tables(self, batch: ImageBatch) -> dict[str, Table]:
        """Return the tables of a few images, counted and then priced."""
        return self._tables(batch, self._firing(batch))

    def _tables(self, batch: ImageBatch, firing: BatchFiring) -> dict[str, Table]:
        shown = [image for image in firing.images if image.index in self.pictured]
        counted = image_tables(self.simulate(batch, firing), self.plan)
        return priced(counted, self.prices) | picture_tables(self.network, shown)

    def _firing(self, batch: ImageBatch) -> BatchFiring:
        images = [image_of(self.trace.layout, batch, place) for place in range(len(batch.index))]
        rates = Rates(self.network, images)
        return BatchFiring(images, rates, field_columns(self.network, rates))

    def simulate(self, batch: ImageBatch, firing: BatchFiring | None = None) -> SimulatedImages:
        """Replay some images and measure what they took; `firing`: of them, if it is known."""
        firing = firing or self._firing(batch)
        lowered = self.lowering.lower_batch(Batch(batch.arena, batch.active))
        each = [
            one
            for group in range(len(lowered.groups))
            for one in measured(
                lowered, group, *self._replayed(lowered, group), self._place(batch, lowered, group)
            )
        ]
        columns = {
            name: np.array([getattr(one, name) for one in each]) for name in Measured._fields
        }
        counts = np.zeros((*lowered.counts.shape[:2], len(self.actions)), np.int64)
        counts[:, :, [self.actions.index(action) for action in lowered.actions]] = lowered.counts
        awake = columns.pop("awake_cycles")
        if (DRAM, AWAKE) in self.actions:
            counts[:, :, self.actions.index((DRAM, AWAKE))] = awake
        return SimulatedImages(
            image=batch.index,
            ids=tuple(self._image_id(index) for index in batch.index.tolist()),
            label=batch.label,
            prediction=batch.prediction,
            actions=self.actions,
            counts=counts,
            servers=self.plan.graph.servers.astype(np.int64),
            active_tokens=batch.active.sum(axis=3, dtype=np.int64).swapaxes(1, 2),
            field=firing.field,
            rates=firing.rates,
            **columns,
        )

    def _replayed(self, lowered: LoweredBatch, group: int) -> tuple[Program, Timeline]:
        """Replay a group of a batch; equal structures are reversed and checked once."""
        program = lowered.program(group)
        if self.engine != "numba":
            return program, ENGINES[self.engine](program)
        structure = lowered.emitted[group].structure
        return program, next(replay_images(structure, [program.busy_cycles]))

    def _place(self, batch: ImageBatch, lowered: LoweredBatch, group: int) -> str:
        first, last = lowered.groups[group]
        named = ", ".join(str(index) for index in batch.index[first:last].tolist())
        return f"{self.trace.path}: image {named}"

    def _batches(self, indices: Iterable[int]) -> Iterator[ImageBatch]:
        """Read images in batches of some BATCH_BYTES; those that run together are not parted."""
        together = self.plan.architecture.dataflow.images_together
        size = max(1, BATCH_BYTES // self.trace.layout.image_bytes // together) * together
        walk = iter(indices)
        while batch := list(itertools.islice(walk, size)):
            yield self.trace.read_batch(batch)

    def replay(self, *together: Image) -> tuple[Lowered, Timeline]:
        """Return the program of an image and those beside it, and when each operation runs."""
        lowered = self.lowering.lower([*together]).image(0)
        return lowered, ENGINES[self.engine](lowered.program)

    def record(self, index: int) -> TimelineRecording:
        """Return an image of the trace as a timeline."""
        image = self.trace.read(index)
        lowered, timeline = self.replay(image)
        name = f"{self.architecture.name}, image {index} ({self._image_id(index)})"
        return record(self.plan, image, lowered, timeline, name)

    def windows(self, together: Sequence[int], count: int) -> StateWindows:
        """Return what the PE arrays do over time while images, which run together, are replayed."""
        replayed = self.replay(*(self.trace.read(index) for index in together))
        return array_windows(self.plan, *replayed, count)

    def _image_id(self, index: int) -> str:
        """The data set's name of an image, or its number."""
        ids = self.trace.manifest["dataset"].get("image_ids", [])
        return str(ids[index]) if index < len(ids) else str(index)

    @cached_property
    def _machine(self) -> dict[str, Any]:
        return machine_provenance(self.architecture, self.prices, self.network.granularity)

    def provenance(self) -> dict[str, Any]:
        """Return what was run on what, and by what."""
        manifest = self.trace.manifest
        return {
            "schema": SCHEMA,
            "stasim": simulator.__version__,
            "engine": self.engine,
            "command": self.command,
            **self._machine,
            "trace": {
                "file": self.trace.path.name,
                "content_hash": self.trace.content_hash,
                "model": manifest["model"],
                "dataset": manifest["dataset"],
                "weights": manifest["weights"],
                "order": self.plan.order,
                "precision": trained_widths(self.network, self.plan.network),
                "stages_missing": self.plan.stages_missing,
                **({"capture": stated(capture)} if (capture := manifest.get("capture")) else {}),
                "rounding": {
                    name: tensor.error
                    for name, tensor in self.trace.tensors.items()
                    if tensor.error
                },
            },
            **({"mapping": self.mapping} if self.mapping else {}),
            "versions": dict(_versions()),
        }


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    """Return the versions of Python and of what computes: their files are read once."""
    packages = ("numpy", "numba", "simpy")
    named = ((name, importlib.metadata.version(name)) for name in packages)
    return ("python", platform.python_version()), *named
