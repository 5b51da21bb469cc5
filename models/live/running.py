"""Images through a network, one by one, in the loop with a device."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from models.data.images import Images
from models.errors import ModelError
from models.evaluate import pixels_of
from models.halting.recursion import Halting
from models.live.control import Budget
from models.live.flight import Check, ImageFlight, SteeredHalting
from models.networks.arms import Prepared
from models.networks.stas import STAS
from models.operations.recording import ImageRecording
from models.operations.topology import Topology
from models.operations.writing import announce
from simulator.errors import DeviceError
from simulator.hil.base import Device
from simulator.hil.pieces import cut
from simulator.trace import Outline


class Flown(NamedTuple):
    """Hold an image that has run: its figures, its costs piece by piece, its spikes and masks.

    `row`: what a table shows of it; `prediction`: the class.
    """

    row: dict[str, Any]
    checks: list[Check]
    recording: ImageRecording
    prediction: int


class LiveRun:
    """Run a network in evaluation mode with a device.

    `outline`: the trace that the run would be, without images; a device is planned from it.
    """

    def __init__(self, arm: Prepared, images: Images, dataset: str) -> None:
        """Raises ModelError for a network that this loop cannot steer."""
        self.arm, self.images, self.model = arm, images, arm.model
        self.halting = steerable(self.model)
        self.topology: Topology
        self.topology, self.manifest = announce(arm, images, dataset)
        self.outline = Outline(self.manifest, "live run")
        self.pieces = cut(self.outline)
        self.failure: DeviceError | None = None

    def fly(self, device: Device, budget: Budget) -> Iterator[Flown]:
        """Run the images in order; a device that fails is left alone from there on."""
        own = 1.0 - self.halting.config.eps
        flight = ImageFlight(device, self.pieces, self.topology, budget, own)
        self.model.halting, self.failure = SteeredHalting(self.halting, flight), None
        try:
            hidden = not sys.stderr.isatty()
            for index in tqdm(range(len(self.images.labels)), unit="image", disable=hidden):
                yield self._image(index, flight)
                self.failure = flight.failure
        finally:
            self.model.halting = self.halting

    @torch.no_grad()
    def _image(self, index: int, flight: ImageFlight) -> Flown:
        image = self.images.take(np.array([index]))
        flight.start()
        flight.probe.forget()
        flight.probe.record_image(image.pixels)
        output = self.model(pixels_of(image), flight.probe)
        flight.finish()
        prediction = int(output.logits.argmax(1))
        active = float(output.active.float().mean()) if output.active is not None else 1.0
        row = {
            "image": index,
            "image_id": image.ids[0],
            "label": int(image.labels[0]),
            "prediction": prediction,
            "active_tokens": round(active, 6),
            **flight.costs(),
        }
        recording = next(flight.probe.take())
        return Flown(row, flight.checks, recording, prediction)


def steerable(model: STAS) -> Halting:
    """Return the network's halting; raises ModelError for one that this loop cannot steer."""
    halting, switches = model.halting, model.config.halting
    if not isinstance(halting, Halting) or switches.granularity != "two_dimensional":
        raise ModelError(
            f"{model.config.name} halts {switches.granularity!r} by {switches.policy!r}",
            "a live run steers the threshold of scores accumulated over blocks and "
            "timesteps, so it must be two_dimensional by score",
        )
    return halting
