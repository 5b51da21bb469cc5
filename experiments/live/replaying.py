"""Images at a fixed halting threshold, batch by batch, each replayed whole on simulated devices."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch

from models.evaluate import batches
from models.live.flight import LiveProbe
from models.live.running import LiveRun
from simulator.hil.simulated import RunningTotal, SimulatedDevice
from simulator.trace import Image

BATCH = 50


class Replayed(NamedTuple):
    """An image: whether it was classified right, what ran, what it costs by device.

    `active_tokens`: fraction of all; `steps`: blocks at timesteps at which any token ran.
    """

    right: bool
    active_tokens: float
    steps: int
    totals: dict[str, RunningTotal]


def replayed(
    live: LiveRun, devices: Mapping[str, SimulatedDevice], threshold: float
) -> Iterator[Replayed]:
    """The run's images at one threshold, on every device."""
    images = live.images
    probe = LiveProbe(live.topology)
    with at_threshold(live, threshold), torch.no_grad():
        for at, (pixels, labels) in enumerate(batches(images, BATCH)):
            probe.record_image(images.pixels[at * BATCH : at * BATCH + len(labels)])
            predictions = live.model(pixels, probe).logits.argmax(1).tolist()
            for recording, label, prediction in zip(
                probe.take(), labels.tolist(), predictions, strict=True
            ):
                image = Image(0, recording.tensors, recording.active, -1, -1)
                masks = recording.active.values()
                yield Replayed(
                    label == prediction,
                    sum(int(mask.sum()) for mask in masks) / sum(mask.size for mask in masks),
                    sum(int(mask.any(1).sum()) for mask in masks),
                    {name: device.total_of(image) for name, device in devices.items()},
                )


@contextlib.contextmanager
def at_threshold(live: LiveRun, threshold: float) -> Iterator[None]:
    """Halt at this accumulated score meanwhile."""
    own = live.halting.config
    live.halting.config = dataclasses.replace(own, eps=1.0 - threshold)
    try:
        yield
    finally:
        live.halting.config = own
