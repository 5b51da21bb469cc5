"""Capture any network: run it on images, prove what was recorded, write the trace."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.capturing.coding import Arranged, Spool, arranged, by_channel
from models.capturing.inputs import Form, InputSample, described, network_inputs, samples_of
from models.capturing.manifests import CaptureFacts, manifest_of
from models.capturing.marks import masks_of_modules
from models.capturing.plan import CapturePlan, make_plan
from models.capturing.proofs import ProofRun, replay_equals
from models.capturing.refusals import refused_images
from models.capturing.running import evaluating, modules_of, reset
from models.capturing.runs import first_run, later_run
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
) -> Path:
    """Run a network on images, one at a time, and write the trace of all its weighted sums.

    `network`: any callable on tensors, such as a torch.nn.Module. `images`: a tensor or array
    (image, ...), a tuple of these for several inputs, a Dataset, a DataLoader, a folder of
    pictures, or an .npy or .npz of arrays. `timesteps`: found by itself where the network tells.
    `time_axis`: of one image, where it changes in time; the network gets time first, then a batch
    of one. `sequence`: the network takes (timestep, image, ...), so each image is repeated
    `timesteps` times. `masks`: by block, the module whose output says which tokens it computes.
    `mean`, `std`: taken out of the images, for all or for each channel. `prepare`: makes the
    network's input of that batch, and is recorded too: repeat, normalise or code it there.
    `reset`: puts the neurons back before each image. `origin`: `trained`, `random` or `calibrated`,
    as the trace states it. `limit`: of images. `divisor`: of 8-bit pixels; other images enter as
    they are. `seed`: of random coders.

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
    capturing = _Capturing(network, prepare, reset, form)
    label = name or getattr(network, "__name__", type(network).__name__)
    given = iter(samples_of(images, labels))
    with (
        tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder,
        evaluating(network),
        masks_of_modules(network, masks or {}),
    ):
        spool = Spool(Path(folder))
        kept = capturing.run_all(_limited(given, limit), spool, timesteps)
        plan = capturing.plan
        if not kept or plan is None:
            raise ModelError("images: there is none; give at least one")
        codings = {stored.name: spool.coding(stored.name) for stored in plan.listing.stored}
        where = described(images)
        facts = CaptureFacts(label, network, dataset, where.split, where.source, origin, kept)
        manifest = manifest_of(plan, codings, facts)
        with open_writer(path, manifest) as writer:
            for image, each in enumerate(kept):
                prediction = each.prediction if origin == "trained" else -1
                writer.add(spool.packed(image, codings), each.masks, each.label, prediction)
    dead = plan.dead()
    if dead:
        warnings.warn(f"{label}: never fires on these images: {', '.join(dead)}", stacklevel=2)
    return path


def _numbers(given: float | Sequence[float]) -> tuple[float, ...]:
    return (float(given),) if isinstance(given, int | float) else tuple(map(float, given))


def _repeating(timesteps: int | None, prepare: Callable[..., Any] | None) -> Callable[..., Any]:
    """Return what repeats a batch of one along a new axis of time."""
    if timesteps is None:
        raise ModelError("sequence: how often is each image repeated? Give timesteps=")
    if prepare is not None:
        raise ModelError("sequence: give it or prepare, which makes the network's input")
    steps: int = timesteps
    return lambda *inputs: tuple(
        each.unsqueeze(0).repeat(steps, *[1] * each.dim()) for each in inputs
    )


def _limited(samples: Iterator[InputSample], limit: int | None) -> Iterator[InputSample]:
    for index, sample in enumerate(samples):
        if limit is not None and index >= limit:
            return
        yield sample


class Kept:
    """What is kept of an image beside its tensors."""

    def __init__(self, label: int, prediction: int, name: str, masks: dict[str, Any]) -> None:
        self.label, self.prediction, self.name, self.masks = label, prediction, name, masks


class _Capturing:
    """The runs of one capture: the first makes the plan, the second tests it, all are stored."""

    def __init__(
        self,
        network: Callable[..., Any],
        prepare: Callable[..., Any] | None,
        reset_with: Callable[[Any], None],
        form: Form,
    ) -> None:
        self.network, self.prepare, self.reset = network, prepare, reset_with
        self.form = form
        self.plan: CapturePlan | None = None

    def run_all(
        self, samples: Iterator[InputSample], spool: Spool, timesteps: int | None
    ) -> list[Kept]:
        """Run all images; return what is kept of each."""
        kept: list[Kept] = []
        sample = None
        for sample in samples:
            inputs = network_inputs(sample, self.form)
            if self.plan is None:
                run, self.plan = self._first(inputs, timesteps)
                masks = self.plan.masks(self.plan.marks, sample.name)
            else:
                run, marks = later_run(self._call, self.network, inputs, self.plan, len(kept))
                masks = self.plan.masks(marks, sample.name)
                if len(kept) == 1:
                    self._prove_another(run)
            spool.add(self._stored(run, sample, masks))
            kept.append(Kept(sample.label, _prediction(run.result), sample.name, masks))
        if len(kept) == 1 and self.plan is not None and sample is not None:
            inputs = network_inputs(sample, self.form)
            turned = [each.flip(-1) if each.dim() else each for each in inputs]
            run, _ = later_run(self._call, self.network, turned, self.plan, 1)
            self._prove_another(run)
        return kept

    def _first(self, inputs: list[Tensor], timesteps: int | None) -> tuple[ProofRun, CapturePlan]:
        recorded = first_run(self._tried, self.network, inputs)
        timed = 0 if self.form.time_axis is not None else None
        return recorded.run, make_plan(recorded, timesteps, timed)

    def _prove_another(self, run: ProofRun) -> None:
        assert self.plan is not None
        count = replay_equals(self.plan.tape, run, "the tape on another image", None)
        self.plan.proof["another_image"] = f"{count} operands and the result equal the network's"

    def _tried(self, *inputs: Tensor) -> Any:
        """Call the network; what PyTorch refuses is told in terms of the images."""
        try:
            return self._call(*inputs)
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
            raise refused_images(error, [*map(tuple, (each.shape for each in inputs))]) from error

    def _call(self, *inputs: Tensor) -> Any:
        self.reset(self.network)
        if self.prepare is None:
            return self.network(*inputs)
        made = self.prepare(*inputs)
        return self.network(*made) if isinstance(made, tuple) else self.network(made)

    def _stored(
        self, run: ProofRun, sample: InputSample, masks: dict[str, Any]
    ) -> dict[str, Arranged]:
        """The operands of a run in their stored order; pixels as the whole numbers they were."""
        assert self.plan is not None
        numbers = {key: coded.numbers for key, coded in run.coded.items()}
        found = {}
        for stored in self.plan.listing.stored:
            codes = [run.coded[read.call, read.at] for read in stored.reads]
            own = stored.arranged(numbers)
            if stored.name in self.plan.listing.input_names and codes[0].kind == "real":
                pixels = _pixels(sample, own, self.form.time_axis)
                found[stored.name] = pixels or arranged(codes[0], own)
                continue
            first = next((code for code in codes if not code.silent), codes[0])
            if any(
                not c.silent and (c.kind, c.scale, c.zero) != (first.kind, first.scale, first.zero)
                for c in codes
            ):
                own = stored.arranged(
                    {
                        k: c.numbers if c.kind == "real" else (c.numbers - float(c.zero)) * c.scale
                        for k, c in run.coded.items()
                        if k in {(r.call, r.at) for r in stored.reads}
                    }
                )
                first = first._replace(kind="real", scale=1.0, zero=0)
            found[stored.name] = arranged(first, own)
        self.plan.count(found)
        self.plan.check_halted(found, masks, sample.name)
        return found


def _pixels(sample: InputSample, own: Any, time_axis: int | None) -> Arranged | None:
    """The sample's whole numbers, where the network's input is affine in them by channel."""
    tensor = sample.inputs[0]
    if len(sample.inputs) != 1 or tensor.dtype != torch.uint8 or own.ndim != 3:
        return None
    maps = tensor.movedim(time_axis, 0) if time_axis is not None else tensor.unsqueeze(0)
    if maps.dim() < 3:
        return None
    rows = maps.flatten(2).transpose(1, 2).numpy()
    if rows.shape[1:] != own.shape[1:] or rows.shape[0] not in (1, own.shape[0]):
        return None
    found = by_channel(own, rows)
    if found is None:
        return None
    scales, zeros = found
    return Arranged("integer", rows, scales, zeros, False)


def _prediction(result: list[Tensor]) -> int:
    """The class of the largest output, summed over whatever comes before the classes."""
    if not result or not result[0].dtype.is_floating_point or result[0].dim() < 2:
        return -1
    return int(result[0].double().flatten(0, -2).sum(0).argmax())


def _precision(network: Any) -> torch.dtype:
    for root in modules_of(network):
        for parameter in root.parameters():
            if parameter.dtype in (torch.float64, torch.float32):
                return parameter.dtype
    return torch.float32
