"""A trace on a machine: lower, replay, attribute and price, image by image."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

import simulator
from simulator.architecture import Architecture
from simulator.energy.field_layers import field_columns
from simulator.energy.machine import MachinePrices
from simulator.engine.reference import simulate as simpy_engine
from simulator.engine.replay import replay as numba_engine
from simulator.errors import ResultError
from simulator.lowering import Lowered, lower, make_plan
from simulator.operations import read_network
from simulator.program import Program, Timeline
from simulator.results.columns import Table
from simulator.results.images import SimulatedImages, image_tables
from simulator.results.measured import Measured, measured
from simulator.results.picture import picture_tables
from simulator.results.priced import priced
from simulator.results.provenance import machine_provenance
from simulator.results.result import Result, joined
from simulator.results.schema import SCHEMA
from simulator.timeline import Recording, record
from simulator.trace import Image, Trace

ENGINES: dict[str, Callable[[Program], Timeline]] = {
    "numba": numba_engine,
    "simpy": simpy_engine,
}

BATCH_BYTES = 16 << 20
"""Packed bits of the images that are simulated together, so that memory is bounded."""


class Simulation:
    """A trace opened on a machine; `run` turns images into a Result.

    `pictured`: images of which the result keeps the picture and the masks, token by token.

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
    ) -> None:
        self.trace = trace
        self.architecture = architecture
        self.engine = engine
        self.command = command
        self.pictured = pictured
        self.network = read_network(trace)
        self.plan = make_plan(self.network, architecture)
        self.prices = MachinePrices(architecture)
        self.actions = tuple(sorted(self.prices.price_pj))

    def run(self, images: Iterable[int]) -> Result:
        """Simulate some images of the trace, by index; each runs alone on an idle machine."""
        parts = [self.tables(batch) for batch in self._batches(images)]
        if not parts:
            raise ResultError("images: must hold at least one image")
        return Result(self.provenance(), joined(parts))

    def tables(self, images: Sequence[Image]) -> dict[str, Table]:
        """The tables of a few images, counted and then priced."""
        shown = [image for image in images if image.index in self.pictured]
        counted = image_tables(self.simulate(images), self.plan)
        return priced(counted, self.prices) | picture_tables(self.network, shown)

    def simulate(self, images: Sequence[Image]) -> SimulatedImages:
        """Replay some images and measure what they took."""
        each = [self._measured(image) for image in images]
        columns = {
            name: np.array([getattr(one, name) for one in each]) for name in Measured._fields
        }
        steps, blocks = range(self.network.timesteps), range(self.network.blocks)
        active = [[image.active[str(block)].sum(axis=1) for block in blocks] for image in images]
        return SimulatedImages(
            image=np.array([image.index for image in images]),
            ids=tuple(self._image_id(image.index) for image in images),
            label=np.array([image.label for image in images]),
            prediction=np.array([image.prediction for image in images]),
            actions=self.actions,
            servers=np.ones(len(self.plan.unit_names), np.int64),
            active_tokens=np.array(active)
            .reshape(len(images), len(blocks), len(steps))
            .swapaxes(1, 2),
            field=field_columns(self.network, images),
            **columns,
        )

    def _batches(self, indices: Iterable[int]) -> Iterator[list[Image]]:
        """The images, in batches of some BATCH_BYTES."""
        batch: list[Image] = []
        for index in indices:
            batch.append(self.trace.read(index))
            each = sum(bits.nbytes for bits in batch[0].tensors.values())
            if len(batch) * each >= BATCH_BYTES:
                yield batch
                batch = []
        if batch:
            yield batch

    def _measured(self, image: Image) -> Measured:
        lowered, timeline = self.replay(image)
        place = f"{self.trace.path}: image {image.index}"
        return measured(self.plan, lowered, timeline, self.actions, place)

    def replay(self, image: Image) -> tuple[Lowered, Timeline]:
        """An image's program and when each of its operations runs."""
        lowered = lower(self.plan, image)
        return lowered, ENGINES[self.engine](lowered.program)

    def lowered(self, index: int) -> Lowered:
        """The program and the counts of an image of the trace."""
        return lower(self.plan, self.trace.read(index))

    def record(self, index: int) -> Recording:
        """An image of the trace as a timeline."""
        image = self.trace.read(index)
        lowered, timeline = self.replay(image)
        name = f"{self.architecture.name}, image {index} ({self._image_id(index)})"
        return record(self.plan, image, lowered, timeline, name)

    def _image_id(self, index: int) -> str:
        """The data set's name of an image, or its number."""
        ids = self.trace.manifest["dataset"].get("image_ids", [])
        return str(ids[index]) if index < len(ids) else str(index)

    def provenance(self) -> dict[str, Any]:
        """What was run on what, and by what."""
        manifest = self.trace.manifest
        return {
            "schema": SCHEMA,
            "stasim": simulator.__version__,
            "engine": self.engine,
            "command": self.command,
            **machine_provenance(self.architecture, self.prices, self.network.granularity),
            "trace": {
                "file": self.trace.path.name,
                "content_hash": self.trace.content_hash,
                "model": manifest["model"],
                "dataset": manifest["dataset"],
                "weights": manifest["weights"],
            },
            "versions": {"python": platform.python_version()}
            | {name: importlib.metadata.version(name) for name in ("numpy", "numba", "simpy")},
        }
