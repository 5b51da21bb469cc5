"""A network of a user's own in the loop with a simulated machine.

It is captured first, which proves it and says how its spikes are stored. Then each image runs once
more: at every `active` and `threshold` of its forward pass, what has run since the last one goes to
the device.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models.capturing import capture
from models.capturing.coding import Coding, Spool, frame
from models.capturing.courses import CaptureRuns, Course, prediction_of
from models.capturing.following import Follower
from models.capturing.inputs import InputSample, network_inputs, samples_of
from models.capturing.manifests import CaptureFacts, manifest_of
from models.capturing.marks import noting
from models.capturing.running import plainly
from models.capturing.tape import tensors_in
from models.errors import ModelError
from models.live.control import Budget
from models.live.flight import Flight, in_unit
from simulator.architecture import Architecture
from simulator.hil.base import Device, Work
from simulator.hil.simulated import SimulatedDevice, blank_image, take_in
from simulator.operations import Network, read_network
from simulator.trace import Image, Outline, open_writer

Bits = npt.NDArray[np.bool_]


def run_captured(
    network: Callable[..., Any],
    images: Any,
    machine: Architecture,
    budget: Budget,
    *,
    trace: Path | None = None,
    wrap: Callable[[Device], Device] = lambda device: device,
    **options: Any,
) -> list[dict[str, Any]]:
    """Run images in the loop with a machine; return a row for each.

    `trace`: where the run's trace is written; `wrap`: what lies between the run and the
    simulated device, as a recorder; `options`: of `capture`. Raises ModelError for a network that
    declares no tokens, or whose images take different steps.
    """
    rows: list[dict[str, Any]] = []

    def fly(path: Path, runs: CaptureRuns, spool: Spool, facts: CaptureFacts) -> None:
        if len(runs.courses) > 1 or runs.ragged:
            raise ModelError("a live run takes images of one number of timesteps, without ragged")
        course = runs.courses[0]
        if not course.plan.blocks:
            raise ModelError(
                "the network declares no tokens that halt: call stasim.active(alive, NAME) in its "
                "forward, or give masks="
            )
        codings = {name: spool.coding(name) for name in course.named}
        manifest = manifest_of(course.plan, codings, facts)
        halting = manifest["model"]["halting"]
        if halting["granularity"] == "none":  # of its own accord; a budget makes tokens halt
            halting["granularity"] = "two_dimensional"
        outline = Outline(manifest, "live run")
        simulated = SimulatedDevice(outline, machine)
        flight = CapturedFlight(wrap(simulated), read_network(outline), budget)
        if budget.limit is not None:  # what blocks cost, and all that no halting spares
            first = next(iter(samples_of(images, options.get("labels"))))
            flight.control.limit = None
            _image(0, first, runs, course, codings, flight)
            flight.control.limit = budget.limit
        with open_writer(path, manifest) as writer:
            for index, sample in enumerate(runs.samples):
                row, label, prediction = _image(index, sample, runs, course, codings, flight)
                rows.append(row)
                shown = prediction if facts.origin == "trained" else -1
                writer.add(flight.image.tensors, flight.image.active, label, shown)

    with TemporaryDirectory(prefix="stasim-") as folder:
        capture(network, images, trace or Path(folder) / "live.npz", finish=fly, **options)
    if not rows:
        raise ModelError("images", "a live run reads them twice; give a tensor, Dataset or folder")
    return rows


def _image(
    index: int,
    sample: InputSample,
    runs: CaptureRuns,
    course: Course,
    codings: dict[str, Coding],
    flight: CapturedFlight,
) -> tuple[dict[str, Any], int, int]:
    """Run one image; return its row, label and predicted class."""
    flight.start()
    inputs = network_inputs(sample, runs.form)
    with plainly():
        follower = LiveFollower(course, codings, flight, sample.name)
        with follower, noting(follower):
            result = tensors_in(runs.call(*inputs))
        follower.finish()
        flight.ask()
    prediction = prediction_of(result)
    masks = flight.image.active.values()
    row = {
        "image": index,
        "image_id": sample.name,
        "label": sample.label,
        "prediction": prediction,
        "active_tokens": round(float(np.mean([mask.mean() for mask in masks])), 6),
        **flight.costs(),
    }
    return row, sample.label, prediction


class CapturedFlight(Flight):
    """Hold the flight of an image whose parts show as they run; `own` is 1 until it is named."""

    def __init__(self, device: Device, network: Network, budget: Budget) -> None:
        super().__init__(device, budget)
        self.network = network
        self._outside = 0.0
        self.start()

    def start(self) -> None:
        """Begin an image, of which nothing has run."""
        super().start()
        self._outside_before, self._outside = self._outside, 0.0
        self.image: Image = blank_image(self.network)
        self.device.begin_image()
        self._frames: dict[int, dict[str, npt.NDArray[np.uint8]]] = defaultdict(dict)
        self._masks: dict[int, dict[str, Bits]] = defaultdict(dict)
        self._step = (-1, -1)
        self._live = 0

    def ran(self, tensor: str, timestep: int, bits: npt.NDArray[np.uint8]) -> None:
        """Take in a stored tensor read at a timestep: (plane, row, byte)."""
        self._frames[timestep][tensor] = bits[None]

    def runs(self, block: int, timestep: int, live: Bits) -> None:
        """Take in that a block begins, with these tokens."""
        self._masks[timestep][str(block)] = live[None]
        self._step, self._live = (timestep, block), int(live.sum())

    def ask(self) -> None:
        """Ask for what has run since the last time."""
        amount, added = 0.0, None
        for timestep in sorted({*self._frames, *self._masks}):
            tensors = self._frames.get(timestep, {})
            readers = [self.network.consumers.get(name, ()) for name in tensors]
            layers = (self.network.layers[index].name for index in chain.from_iterable(readers))
            names = tuple(dict.fromkeys(layers))
            work = Work(names, timestep, tensors, self._masks.get(timestep, {}))
            take_in("the trace", names, self.image, work)
            cost = self.device.estimate(work)
            amount += in_unit(cost, self.budget.unit, self.device.name)
            if added is not None:
                energy_pj = (added.energy_pj or 0.0) + (cost.energy_pj or 0.0)
                cost = added._replace(cycles=added.cycles + cost.cycles, energy_pj=energy_pj)
            added = cost
        self._frames.clear()
        self._masks.clear()
        if added is not None:
            self.book(self._step, self._live, added, amount)
            self._outside += amount if self._step[0] < 0 else 0.0
        # What follows, up to the next block, is the stem of another timestep or the head.
        self._step, self._live = (-1, -1), 0

    def threshold(self, own: float, now: Any, rate: Any, steps: int) -> float:
        """Return the threshold of the budget; `now`, `rate`: of the tokens that still run."""
        self.own = own
        # What the image before has cost outside the blocks is still to come in this one.
        expected = max(0.0, self._outside_before - self._outside)
        self.control.spent += expected
        chosen = self.choose(now, rate, steps, own)
        self.control.spent -= expected
        return chosen


class LiveFollower(Follower):
    """Follow a run, and hand on what is stored as soon as it is read."""

    def __init__(
        self, course: Course, codings: dict[str, Coding], flight: CapturedFlight, image: str
    ) -> None:
        plan = course.plan
        super().__init__(plan.tape, plan.wanted, {}, image)
        self.plan, self.codings, self.flight = plan, codings, flight
        self._reads = defaultdict(list)
        for stored in plan.listing.stored:
            for index, read in enumerate(stored.kept):
                self._reads[read.call, read.at].append((stored, index, read.part))
        self._at_block: dict[str, int] = defaultdict(int)
        self._before: npt.NDArray[np.float64] = np.zeros(1)

    def _keep(self, key: tuple[int, int], operand: torch.Tensor) -> None:
        super()._keep(key, operand)
        coded = self.coded.pop(key)
        arranged = {}
        for stored, index, part in self._reads[key]:
            if id(stored) not in arranged:
                arranged[id(stored)] = stored.arrangement.apply(coded.numbers)
            numbers = arranged[id(stored)][part][None]
            bits = frame(coded._replace(numbers=numbers), self.codings[stored.name])
            if bits is None:
                raise ModelError(
                    f"image {self.image}: {stored.name}: holds other numbers in the steered run "
                    "than without steering, which its trace has no bits for"
                )
            self.flight.ran(stored.name, index, bits)

    def mark(self, name: str, alive: torch.Tensor, tokens: Any) -> None:
        """Ask for what has run before a block begins."""
        super().mark(name, alive, tokens)
        self.flight.ask()
        if name not in self.plan.blocks or tokens.size % self.plan.tokens:
            raise ModelError(f"image {self.image}: active(..., {name!r}) of {tokens.size} tokens")
        for live in tokens.reshape(-1, self.plan.tokens):
            step = self._at_block[name]
            self._at_block[name] += 1
            self.flight.runs(self.plan.blocks.index(name), step, live)

    def threshold(self, own: float, accumulated: torch.Tensor) -> float:
        """Return the threshold for what follows, of scores that tokens have accumulated so far."""
        self.flight.ask()
        now = accumulated.detach().double().flatten().numpy()
        rate = np.maximum(now - self._before, 0.0)
        self._before = now.copy()
        live = self.marks[-1].alive.reshape(-1) if self.marks else np.ones(len(now), np.bool_)
        if len(live) != len(now):
            raise ModelError(
                "threshold", f"{len(now)} scores, but {len(live)} tokens in the last active()"
            )
        steps = max(0, len(self.plan.marks) - len(self.marks))
        return self.flight.threshold(own, now[live], rate[live], steps)
