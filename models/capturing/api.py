"""Capture any network: run it on images, prove what was recorded, write the trace."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from models.capturing.coding import Spool
from models.capturing.courses import CaptureRuns
from models.capturing.inputs import Form, described, samples_of
from models.capturing.manifests import CaptureFacts, manifest_of
from models.capturing.marks import masks_of_modules
from models.capturing.masking import padded_masks
from models.capturing.running import evaluating, modules_of, reset
from models.data.images import Images
from models.errors import ModelError
from simulator.trace import open_writer


def capture(
    network: Callable[..., Any],
    images: Any,
    path: str | Path,
    *,
    timesteps: int | None = None,
    time_axis: int | None = None,
    sequence: bool = False,
    ragged: bool = False,
    masks: Mapping[str, str] | None = None,
    mean: float | Sequence[float] = (),
    std: float | Sequence[float] = (),
    labels: Any = None,
    prepare: Callable[..., Any] | None = None,
    reset: Callable[[Any], None] = reset,
    name: str = "",
    dataset: str = "unnamed",
    origin: str = "random",
    limit: int | None = None,
    divisor: float = 255.0,
    seed: int = 0,
    finish: Callable[[Path, CaptureRuns, Spool, CaptureFacts], None] | None = None,
) -> Path:
    """Run a network on images, one at a time, and write the trace of all its weighted sums.

    `network`: any callable on tensors, such as a torch.nn.Module. `images`: a tensor or array
    (image, ...), a tuple of these for several inputs, a Dataset, a DataLoader, a folder of
    pictures, or an .npy or .npz of arrays. `timesteps`: found by itself where the network tells.
    `time_axis`: of one image, where it changes in time; the network gets time first, then a batch
    of one. `sequence`: the network takes (timestep, image, ...), so each image is repeated
    `timesteps` times. `ragged`: images may leave after different timesteps of a loop, and
    the trace states how many each took. `masks`: by block, the module whose output says which
    tokens it computes.
    `mean`, `std`: taken out of the images, for all or for each channel. `prepare`: makes the
    network's input of that batch, and is recorded too: repeat, normalise or code it there.
    `reset`: puts the neurons back before each image. `origin`: `trained`, `random` or `calibrated`,
    as the trace states it. `limit`: of images. `divisor`: of 8-bit pixels; other images enter as
    they are. `seed`: of random coders. `finish`: called in place of writing the trace.

    Raises ModelError that names module, the user's line, and a way out. The trace states what was
    proven, and appears whole or not at all.
    """
    path = Path(path)
    torch.manual_seed(seed)
    if isinstance(images, Images) and images.pixels.ndim == 5:
        time_axis = 0
    form = Form(time_axis, _precision(network), divisor, _numbers(mean), _numbers(std))
    if sequence:
        prepare = _repeating(timesteps, prepare)
    runs = CaptureRuns(network, prepare, reset, form, timesteps, ragged)
    label = name or getattr(network, "__name__", type(network).__name__)
    most = None if limit is None else max(limit, 0)
    with (
        tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder,
        evaluating(network),
        masks_of_modules(network, masks or {}),
    ):
        spool = Spool(Path(folder))
        kept = runs.run_all(islice(samples_of(images, labels), most), spool)
        if not kept:
            raise ModelError("images", "there is none; give at least one")
        silent = [runs.longest.named[name] for name in spool.silent()]
        facts = CaptureFacts(
            label, network, dataset, *described(images), origin, kept, silent, runs.courses
        )
        runs.samples = islice(samples_of(images, labels), most)
        (finish or _write)(path, runs, spool, facts)
    if silent:
        warnings.warn(f"{label}: never fires on these images: {', '.join(silent)}", stacklevel=2)
    return path


def _write(path: Path, runs: CaptureRuns, spool: Spool, facts: CaptureFacts) -> None:
    """Write all images with one coding for each tensor, under the longest course's names."""
    named, plan = runs.longest.named, runs.longest.plan
    codings = {named[name]: spool.coding(name) for name in named}
    manifest = manifest_of(plan, codings, facts)
    halting = manifest["model"]["halting"]["granularity"]
    frames = {each["name"]: each["timesteps"] for each in manifest["tensors"]}
    with open_writer(path, manifest) as writer:
        for image, each in enumerate(facts.kept):
            prediction = each.prediction if facts.origin == "trained" else -1
            tensors = spool.packed(
                image,
                {name: codings[named[name]] for name in named},
                {name: frames[named[name]] for name in named},
            )
            masks = padded_masks(each.masks, plan.timesteps, halting)
            own = {named[name]: packed for name, packed in tensors.items()}
            writer.add(own, masks, each.label, prediction)


def _numbers(given: float | Sequence[float]) -> tuple[float, ...]:
    return (float(given),) if isinstance(given, int | float) else tuple(map(float, given))


def _repeating(timesteps: int | None, prepare: Callable[..., Any] | None) -> Callable[..., Any]:
    """Return what repeats a batch of one along a new axis of time."""
    if timesteps is None:
        raise ModelError("sequence", "how often is each image repeated? Give timesteps=")
    if prepare is not None:
        raise ModelError("sequence", "give it or prepare, which makes the network's input")
    steps: int = timesteps
    return lambda *inputs: tuple(
        each.unsqueeze(0).repeat(steps, *[1] * each.dim()) for each in inputs
    )


def _precision(network: Any) -> torch.dtype:
    found = (each.dtype for root in modules_of(network) for each in root.parameters())
    return next((each for each in found if each in (torch.float64, torch.float32)), torch.float32)
