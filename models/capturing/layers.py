"""Weighted sums as layers: the calls of one place at all timesteps, and the operands they share."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from models.capturing.labels import Labels
from models.capturing.matrices import Arrangement, Described, TapeProduct, describe
from models.capturing.propagation import NEVER
from models.capturing.recorder import Entered
from models.capturing.refusals import CaptureError
from models.capturing.tape import Call, Spec, Tape

_COPYING = ("clone", "_to_copy", "contiguous")


class Read(NamedTuple):
    """Name one part of a stored operand: a factor of a call, arranged, and the part of it."""

    call: int
    at: int
    part: int


@dataclass(eq=False)
class Stored:
    """Describe an operand as a trace stores it: (timestep, row, channel), from one read a timestep.

    `once`: the same frame serves every timestep, so that only the first is stored.
    """

    reads: list[Read]
    arrangement: Arrangement
    once: bool
    name: str = ""

    @property
    def kept(self) -> list[Read]:
        """Return the reads whose frames are stored."""
        return self.reads[:1] if self.once else self.reads

    def arranged(self, numbers: dict[tuple[int, int], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Put the numbers of a run's operands, by (call, position), in their order."""
        made: dict[tuple[int, int], npt.NDArray[Any]] = {}
        parts = []
        for read in self.kept:
            key = (read.call, read.at)
            if key not in made:
                made[key] = self.arrangement.apply(numbers[key])
            parts.append(made[key][read.part])
        return np.stack(parts)


@dataclass(eq=False)
class CapturedLayer:
    """Describe a weighted sum at all its timesteps.

    `operands`: by the factor's position; `by_inputs`: whether the rows of one are the product's
    inputs.
    """

    index: int
    name: str
    place: Any
    product: TapeProduct
    calls: list[Call] = field(default_factory=list)
    operands: dict[int, Stored] = field(default_factory=dict)
    by_inputs: dict[int, bool] = field(default_factory=dict)
    timesteps: int = 1


def find_layers(
    tape: Tape, entered: list[Entered], labels: Labels
) -> tuple[list[CapturedLayer], dict[int, CapturedLayer]]:
    """Group the weighted sums of a tape: return the layers, and each call's layer."""
    finder = _Finder(tape, labels)
    for each in entered:
        finder.add(each)
    return finder.finish()


class _Finder:
    def __init__(self, tape: Tape, labels: Labels) -> None:
        self.tape, self.labels = tape, labels
        self.copies = {
            spec.storage: call.args[0]
            for call in tape.calls
            if call.rule.name in _COPYING
            for spec in call.outputs
        }
        self.by_key: dict[object, list[_Building]] = defaultdict(list)
        self.building: list[_Building] = []
        self.tokens = 0

    def add(self, entered: Entered) -> None:
        """Find or begin the layer of a call."""
        call = self.tape.calls[entered.call]
        own = {at: self.labels.of_operand[call.index, at] for at in entered.operands}
        described = describe(call, own, self._origin, self.tokens)
        product = described.product
        if len(own) == 1:
            self.tokens = product.rows if product.window is None else prod(product.window.out_grid)
        # What calls of one layer at several timesteps have in common: weights, or their place.
        shape = (product.rows, product.inputs, product.outputs, product.groups)
        key = (call.place.module, self.tape.weights(call) or call.place.site, shape)
        steps = set(product.steps)
        fitting = (b for b in self.by_key[key] if b.takes(steps, entered.blank))
        building = next(fitting, None)
        if building is None:
            building = _Building(len(self.building), key)
            self.by_key[key].append(building)
            self.building.append(building)
        building.parts.append((call, described, entered))
        building.steps |= set() if entered.blank else steps

    def _origin(self, spec: Spec) -> tuple[int, ...]:
        """Strides before a copy, if the copy kept the last two axes."""
        source = self.copies.get(spec.storage)
        if source is None or len(source.size) < 3 or source.size[-2:] != spec.size[-2:]:
            return spec.stride
        return source.stride

    def finish(self) -> tuple[list[CapturedLayer], dict[int, CapturedLayer]]:
        """Complete the layers; equal operands are stored once."""
        known: dict[object, list[Stored]] = defaultdict(list)
        layers: list[CapturedLayer] = []
        for building in self.building:
            self._check_rows(building)
            layer = building.finish(self.labels.timesteps)
            entered = [each for _, _, each in building.parts]
            versions = {(each.call, at): key for each in entered for at, key in each.keys.items()}
            for at in building.operands:
                reads, arrangement = building.reads(at)
                once = layer.timesteps > 1 and all(
                    (r.call, r.at) in self.labels.equal_operands for r in reads
                )
                made = Stored(reads, arrangement, once)
                value = tuple(versions[read.call, read.at] for read in made.kept)
                layer.by_inputs[at] = arrangement.by_inputs
                layer.operands[at] = self._shared(made, known[value])
            layers.append(layer)
        return layers, {call.index: layer for layer in layers for call in layer.calls}

    def _check_rows(self, building: _Building) -> None:
        """Raise where one place computes another number of rows at another timestep."""
        (module, weights, shape) = building.key
        for other in self.building:
            if other.key[:2] == (module, weights) and other.key[2][1:] == shape[1:]:
                rows = {shape[0], other.key[2][0]}
                parts = len(building.steps) + len(other.steps)
                if len(rows) > 1 and parts <= self.labels.timesteps > len(building.steps):
                    raise CaptureError(
                        building.parts[0][0].place,
                        f"computes {min(rows)} rows at one timestep and {max(rows)} at another",
                        "keep the rows, and mark those that halted with active()",
                    )

    def _shared(self, made: Stored, alike: list[Stored]) -> Stored:
        """The one that holds the same elements in the same order; else this one, from now on."""
        for other in alike:
            if other.arrangement.shape[1:] == made.arrangement.shape[1:] and (
                self._places(other) == self._places(made)
            ):
                if other.arrangement.grid[0] == 1:  # the other reads a line, this one perhaps maps
                    other.arrangement = other.arrangement._replace(grid=made.arrangement.grid)
                return other
        alike.append(made)
        return made

    def _places(self, stored: Stored) -> bytes:
        """A digest of where in the storages the elements lie."""
        digest = hashlib.blake2b()
        for read in stored.kept:
            spec: Spec = self.tape.calls[read.call].args[read.at]
            span = spec.span()[1] // spec.dtype.itemsize + 1
            places = torch.arange(span, dtype=torch.int32)
            numbers = places.as_strided(spec.size, spec.stride, spec.offset).numpy()
            part = stored.arrangement.apply(numbers)[read.part]
            digest.update(np.ascontiguousarray(part).data)
        return digest.digest()


@dataclass
class _Building:
    """A layer whose calls are still coming; `steps`: the timesteps of those that are not blank."""

    index: int
    key: tuple[Any, ...]
    parts: list[tuple[Call, Described, Entered]] = field(default_factory=list)
    steps: set[int] = field(default_factory=set)

    def takes(self, steps: set[int], blank: bool) -> bool:
        """Whether a call can be the layer's at timesteps that it does not have yet."""
        return blank or all(e.blank for _, _, e in self.parts) or not self.steps & steps

    @property
    def operands(self) -> list[int]:
        """The positions of the factors that are data."""
        return sorted({at for _, _, e in self.parts if not e.blank for at in e.operands})

    def finish(self, timesteps: int) -> CapturedLayer:
        """Check that the timesteps are all there."""
        products = [d.product for _, d, e in self.parts if not e.blank]
        place = self.parts[0][0].place
        steps = len(self.steps) + len(self.parts) - len(products)
        if steps not in (1, timesteps):
            raise CaptureError(
                place,
                f"runs at {steps} of {timesteps} timesteps",
                f"give timesteps={steps} (--timesteps {steps}), if that is how many there are, or "
                "ragged=True (--ragged) for images that leave early",
            )
        return CapturedLayer(
            self.index,
            place.module or place.kind,
            place,
            (products or [self.parts[0][1].product])[0],
            [call for call, _, _ in self.parts],
            timesteps=steps,
        )

    def reads(self, at: int) -> tuple[list[Read], Arrangement]:
        """Return the reads of a factor in the order of their timesteps; blank calls come first."""
        first = NEVER - len(self.parts)
        found = [
            (first + number if entered.blank else step, Read(call.index, at, part))
            for number, (call, described, entered) in enumerate(self.parts)
            for part, step in enumerate(described.product.steps)
        ]
        arrangement = [d.arrangements[at] for _, d, e in self.parts if not e.blank][-1]
        return [read for _, read in sorted(found)], arrangement
