"""The runs of one capture: the first makes a plan and is proven, the others follow it.

Images that leave after different timesteps take several courses: each has a plan and proofs of its
own, and its operands are stored under the names of the first one's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.capturing.coding import Spool, by_channel
from models.capturing.inputs import Form, InputSample, network_inputs
from models.capturing.layers import Stored
from models.capturing.marks import Bits, Marks
from models.capturing.masking import block_masks, check_halted
from models.capturing.operands import Coded
from models.capturing.plan import CapturePlan, make_plan
from models.capturing.proofs import ProofRun, replay_equals
from models.capturing.refusals import CaptureError, OtherCourse, refused_images
from models.capturing.running import plainly, uncollected
from models.capturing.runs import first_run, later_run
from models.errors import ModelError


class Kept(NamedTuple):
    """Hold what is kept of an image beside its tensors."""

    label: int
    prediction: int
    name: str
    masks: dict[str, Bits]
    timesteps: int


class Course:
    """Describe images that take the same operations: their plan, how many they are, one's inputs.

    `names`: by its own name of a stored tensor, the first course's.
    """

    def __init__(self, plan: CapturePlan, names: dict[str, str], inputs: list[Tensor]) -> None:
        self.plan, self.names, self.inputs = plan, names, inputs
        self.images = 0

    @property
    def named(self) -> dict[str, str]:
        """Return its own name of a stored tensor by the first course's."""
        return {first: own for own, first in self.names.items()}

    def prove(self, run: ProofRun) -> None:
        """Replay the tape on another image than the one that it was recorded of."""
        count, _ = replay_equals(self.plan.tape, run, "the tape on another image")
        self.plan.tape.fixed.clear()
        self.plan.proof["another_image"] = f"{count} operands and the result equal the network's"


class CaptureRuns:
    """Run images one at a time. `ragged`: they may leave after different timesteps.

    `samples`: the same images once more, for what follows a capture; `keywords`: the names of the
    inputs, where they have names.
    """

    def __init__(
        self,
        network: Callable[..., Any],
        prepare: Callable[..., Any] | None,
        reset_with: Callable[[Any], None],
        form: Form,
        timesteps: int | None,
        ragged: bool,
    ) -> None:
        self.network, self.prepare, self.reset = network, prepare, reset_with
        self.form, self.timesteps, self.ragged = form, timesteps, ragged
        self.courses: list[Course] = []
        self.samples: Iterator[InputSample] = iter(())
        self.keywords: tuple[str, ...] = ()

    @property
    def longest(self) -> Course:
        """Return the course of the most timesteps, which the trace lists."""
        return max(self.courses, key=lambda each: each.plan.timesteps)

    def run_all(self, samples: Iterator[InputSample], spool: Spool) -> list[Kept]:
        """Run all images; return what is kept of each."""
        ahead = list(islice(samples, 2))
        kept: list[Kept] = []
        if not ahead:
            return kept
        self.keywords = ahead[0].keywords
        runs = self._begin(*(network_inputs(each, self.form) for each in ahead))
        for sample in chain(ahead, samples):
            inputs = network_inputs(sample, self.form)
            course, run, marks = next(runs, None) or self._run(inputs, len(kept))
            masks = block_masks(course.plan, marks, sample.name)
            tensors = self._stored(course.plan, run, sample)
            check_halted(course.plan, tensors, masks, sample.name)
            spool.add({course.names[name]: each for name, each in tensors.items()})
            steps = course.plan.timesteps
            kept.append(Kept(sample.label, prediction_of(run.result), sample.name, masks, steps))
        for course in self.courses:
            if "another_image" not in course.plan.proof:
                self._prove_by_turning(course)
        return kept

    def _begin(
        self, first: list[Tensor], second: list[Tensor] | None = None
    ) -> Iterator[tuple[Course, ProofRun, Marks]]:
        """The runs of the first image, and of the second where it follows the first.

        What a network makes on its first use only, as cached positions, makes the second run
        differ from the first one or keeps that from being recorded: then both run once more.
        """
        try:  # where images may leave, the second one may differ for another reason
            return self._first_runs(first, second, warm=self.ragged)
        except ModelError:
            self.courses.clear()
            return self._first_runs(first, second, warm=True)

    def _first_runs(
        self, first: list[Tensor], second: list[Tensor] | None, warm: bool
    ) -> Iterator[tuple[Course, ProofRun, Marks]]:
        if warm:
            with plainly():
                self._tried(*[each.clone() for each in first])
        with uncollected():
            runs = [self._record(first)]
            if not self.ragged:
                if second is None:
                    self._prove_by_turning(self.courses[0])
                else:
                    runs.append(self._run(second, 1))
        return iter(runs)

    def _record(self, inputs: list[Tensor]) -> tuple[Course, ProofRun, Marks]:
        """Run an image for the first course of its kind."""
        timed = 0 if self.form.time_axis is not None else None
        with uncollected():
            recorded = first_run(self._tried, self.network, inputs)
            plan = make_plan(recorded, self.timesteps, timed, self.ragged)
        names = {each.name: each.name for each in plan.listing.stored}
        if self.courses:
            found = matched(self.courses[0].plan, plan)
            names = {stored.name: name for name, stored in found.items()}
        course = Course(plan, names, inputs)
        course.images = 1
        self.courses.append(course)
        return course, recorded.run, recorded.marks

    def _run(self, inputs: list[Tensor], image: int) -> tuple[Course, ProofRun, Marks]:
        """Run an image along the course that it takes."""
        for course in self.courses:
            try:
                run, marks = later_run(
                    self.call, self.network, inputs, course.plan, image, course.images == 1
                )
            except OtherCourse:
                if self.ragged:
                    continue
                raise
            course.images += 1
            if course.images == 2:
                course.prove(run)
            return course, run, marks
        return self._record(inputs)

    def _prove_by_turning(self, course: Course) -> None:
        """Test the tape of a course of one image on the same image, turned around."""
        turned = [each.flip(-1) if each.dim() else each for each in course.inputs]
        try:
            run, _ = later_run(self.call, self.network, turned, course.plan, "0 turned", True)
        except OtherCourse:
            if not self.ragged:
                raise
            course.plan.proof["another_image"] = "not tested: no other image takes these steps"
            return
        course.prove(run)

    def _tried(self, *inputs: Tensor) -> Any:
        """Call the network; what PyTorch refuses is said in terms of the images."""
        try:
            return self.call(*inputs)
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
            raise refused_images(error, [tuple(each.shape) for each in inputs]) from error

    def call(self, *inputs: Tensor) -> Any:
        """Run the network once on prepared inputs, its neurons reset."""
        self.reset(self.network)
        named = dict(zip(self.keywords, inputs, strict=False))
        made: Any = named or inputs
        if self.prepare is not None:
            made = self.prepare(**named) if named else self.prepare(*inputs)
        if isinstance(made, dict):
            return self.network(**made)
        return self.network(*made) if isinstance(made, tuple) else self.network(made)

    def _stored(self, plan: CapturePlan, run: ProofRun, sample: InputSample) -> dict[str, Coded]:
        """The operands of a run in their stored order; pixels as the whole numbers they were."""
        numbers = {key: coded.numbers for key, coded in run.coded.items()}
        found = {}
        for stored in plan.listing.stored:
            codes = {(r.call, r.at): run.coded[r.call, r.at] for r in stored.reads}
            first, own = next(iter(codes.values())), stored.arranged(numbers)
            if stored.name in plan.listing.input_names and first.kind == "real":
                pixels = _pixels(sample, own, self.form.time_axis)
                found[stored.name] = pixels or first._replace(numbers=own)
                continue
            forms = {(c.kind, c.scale, c.zero): c for c in codes.values() if not c.silent}
            first = next(iter(forms.values()), first)
            if len(forms) > 1:
                values = {
                    key: c.numbers if c.kind == "real" else (c.numbers - float(c.zero)) * c.scale
                    for key, c in codes.items()
                }
                first, own = first._replace(kind="real", scale=1.0, zero=0), stored.arranged(values)
            found[stored.name] = first._replace(numbers=own)
        return found


def matched(first: CapturePlan, other: CapturePlan) -> dict[str, Stored]:
    """Return another course's stored operands by the first one's names of them.

    Raises CaptureError where a layer runs in one of them only, or is of another shape.
    """
    found: dict[str, Stored] = {}
    theirs = list(other.layers)
    for layer in first.layers:
        twin = next((each for each in theirs if each.name == layer.name), None)
        if twin is None or not _alike(layer, first.timesteps, twin, other.timesteps):
            raise _unmatched(layer, other)
        theirs.remove(twin)
        for at, stored in layer.operands.items():
            own = twin.operands.get(at)
            if (
                own is None
                or own.arrangement.shape[1:] != stored.arrangement.shape[1:]
                or (other.timesteps > 1 and own.once != stored.once)
                or found.setdefault(stored.name, own) is not own
            ):
                raise _unmatched(layer, other)
    if theirs:
        raise _unmatched(theirs[0], first)
    return found


def _alike(layer: Any, timesteps: int, twin: Any, others: int) -> bool:
    """Whether two layers are one, which runs once or at each timestep that an image takes."""
    products = [each.product._replace(steps=()) for each in (layer, twin)]
    every = layer.timesteps == timesteps and twin.timesteps == others
    return products[0] == products[1] and (every or layer.timesteps == twin.timesteps == 1)


def _unmatched(layer: Any, other: CapturePlan) -> CaptureError:
    return CaptureError(
        layer.place,
        f"differs in images that take {other.timesteps} timesteps",
        "images may leave after a timestep, but must run the same layers until then; capture "
        "images of one kind at a time",
    )


def _pixels(sample: InputSample, own: Any, time_axis: int | None) -> Coded | None:
    """The sample's whole numbers, where the network's input is affine in them by channel."""
    tensor = sample.inputs[0]
    if len(sample.inputs) != 1 or tensor.dtype != torch.uint8 or own.ndim != 3:
        return None
    maps = tensor.movedim(time_axis, 0) if time_axis is not None else tensor.unsqueeze(0)
    if maps.dim() < 3:
        return None
    rows = maps.flatten(2).transpose(1, 2).numpy()
    rows = rows[: len(own)] if time_axis is not None else rows  # an image may leave early
    if rows.shape[1:] != own.shape[1:] or rows.shape[0] not in (1, own.shape[0]):
        return None
    found = by_channel(own, rows)
    return None if found is None else Coded("integer", rows, *found)


def prediction_of(result: list[Tensor]) -> int:
    """Return the class of the largest output, summed over whatever comes before the classes."""
    if not result or not result[0].dtype.is_floating_point or result[0].dim() < 2:
        return -1
    return int(result[0].double().flatten(0, -2).sum(0).argmax())
