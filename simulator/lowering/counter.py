"""Adds up what a batch does, action by action: exact integers by (image, layer)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from simulator.config.arrays import Ints
from simulator.lowering.constants import IN_GLOBAL, Constants
from simulator.lowering.requests import requests

CORE_PART = "cores.0."
"""The parts of equal cores are counted together, under the path of the first."""


class Counts:
    """Adds up actions by (image, layer); parts are named by their path in the architecture file.

    What is added is kept until `cube` sums it: one pass over each action, whatever its origin.
    shared: what images that run together do once for all of them, by (group, layer).
    """

    def __init__(
        self, constants: Constants, images: int, groups: tuple[tuple[int, int], ...] = ()
    ) -> None:
        architecture = constants.plan.architecture
        self.layers = len(constants.plan.layers)
        self.images = images
        self.clock_mhz = architecture.clock_mhz
        buffers = architecture.core.buffers
        self.buffers = {name: getattr(buffers, name) for name in type(buffers).model_fields}
        self._added: dict[tuple[str, str], list[tuple[Ints, Ints]]] = {}
        self._accesses: dict[tuple[str, bool], list[tuple[Ints, Ints, Ints]]] = {}
        self.groups = groups
        self.shared = Counts(constants, len(groups)) if groups else self

    def at(self, layer: int) -> Ints:
        """Return the flat (image, layer) of all images."""
        return np.arange(self.images) * self.layers + layer

    def add(self, part: str, counts: Mapping[str, Ints | int], at: Ints, times: Ints | int) -> None:
        """Add counts x times at flat (image, layer) places."""
        for action, count in counts.items():
            values = count * times
            if not isinstance(values, np.ndarray) or values.shape != at.shape:
                values = np.full(at.shape, values, np.int64)
            self._added.setdefault((part, action), []).append((at.ravel(), values.ravel()))

    def access(
        self, buffer: str, bits: Ints | int, at: Ints, *, write: bool, times: Ints | int = 1
    ) -> None:
        """Add `times` accesses of so many bits each to a local buffer."""
        shaped = [
            each.ravel() if isinstance(each, np.ndarray) and each.shape == at.shape
            else np.full(at.size, each, np.int64)
            for each in (bits, times)
        ]  # fmt: skip
        self._accesses.setdefault((buffer, write), []).append((at.ravel(), shaped[0], shaped[1]))

    def move(
        self, place: int, counts: Mapping[str, Ints | int], at: Ints, times: Ints | int
    ) -> None:
        """Add `times` requests to the memory of a place."""
        part = "memories.global_buffer" if place == IN_GLOBAL else "memories.dram"
        self.add(part, counts, at, times)

    def totals(self) -> dict[tuple[str, str], Ints]:
        """Return int64 (image, layer) of each action that was counted."""
        for (buffer, write), parts in self._accesses.items():
            at, bits, times = (np.concatenate(each) for each in zip(*parts, strict=True))
            found = requests(self.buffers[buffer], bits, self.clock_mhz, write=write)
            self.add(f"{CORE_PART}buffers.{buffer}", found.counts, at, times)
        self._accesses.clear()
        if not self._added:
            return {}
        # One pass over all: an action's places follow those of the one before.
        size = self.images * self.layers
        flat = np.zeros(len(self._added) * size, np.int64)
        added = [
            (at + number * size, values)
            for number, parts in enumerate(self._added.values())
            for at, values in parts
        ]
        np.add.at(flat, *(np.concatenate(each) for each in zip(*added, strict=True)))
        each = flat.reshape(-1, self.images, self.layers)
        counted = np.any(each, axis=(1, 2)).tolist()
        return {
            key: total for key, total, some in zip(self._added, each, counted, strict=True) if some
        }

    def cube(self) -> tuple[tuple[tuple[str, str], ...], Ints]:
        """Return the actions in order, and int64 (image, layer, action).

        What images share is divided among them: equal parts, whose remainders go to the last ones.
        """
        totals, shared = self.totals(), self.shared.totals()
        actions = tuple(sorted(totals.keys() | shared.keys()))
        cube = np.zeros((self.images, self.layers, len(actions)), np.int64)
        first, last = np.array(self.groups, np.int64).reshape(-1, 2).T
        group = np.repeat(np.arange(len(first)), last - first)
        place, size = np.arange(self.images) - first[group], (last - first)[group]
        for number, key in enumerate(actions):
            if key in totals:
                cube[:, :, number] += totals[key]
            if key in shared:
                entire = shared[key][group]
                cube[:, :, number] += entire * (place + 1)[:, None] // size[:, None]
                cube[:, :, number] -= entire * place[:, None] // size[:, None]
        return actions, cube
