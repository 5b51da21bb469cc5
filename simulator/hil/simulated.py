"""A simulated machine as a device: what an image has cost so far, while its network still runs.

Causal and exact at once: after each piece of work the device answers for the image as if every
token halted there. That image is lowered and replayed like any other, so the running total is what
`simulator.run` would say of it, with the mask scans that follow and the head, which every image
pays (they are counted from the first piece on). When the last piece has come, the image is the
whole one, and the total is that of its trace: the same cycles, the same energy to the last bit.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.architecture import Architecture, load_architecture
from simulator.components.memories.base import AWAKE
from simulator.config.wording import suggestion
from simulator.energy.derived import sum_pj
from simulator.energy.machine import MachinePrices
from simulator.engine.power_down import awake_cycles
from simulator.engine.replay import replay
from simulator.errors import DeviceError
from simulator.hil.base import Cost, Work
from simulator.lowering import Lowering, make_plan
from simulator.operations import Network, read_network
from simulator.trace import Image, Outline, Trace

Bits = npt.NDArray[np.bool_]


class RunningTotal(NamedTuple):
    """Hold what an image has cost so far, leakage included; `busy_cycles` by unit."""

    cycles: int
    energy_pj: float
    busy_cycles: dict[str, int]


NOTHING = RunningTotal(0, 0.0, {})


class SimulatedDevice:
    """Simulate an architecture file's machine; its clock stops between two pieces of work.

    The costs of an image, added in the order in which they came, give its running total. A piece
    may in principle make a total smaller (who halts later may use a unit at another time); no
    answer is negative, so such a loss is taken from the next answers.
    """

    def __init__(self, trace: Trace | Outline, architecture: Architecture) -> None:
        """Plan the trace's network on the machine.

        Raises LoweringError if it cannot be executed there, DeviceError if its tokens never halt,
        PricingError if an action has no price.
        """
        self.architecture = architecture
        self.network = read_network(trace)
        _check_halting(self.network, self.name)
        self.plan = make_plan(self.network, architecture)
        self.prices = MachinePrices(architecture)
        self._layers = {plan.layer.name: plan for plan in self.plan.layers}
        self._lowering = Lowering(self.plan)
        self.begin_image()

    @property
    def name(self) -> str:
        """The machine's name."""
        return f"simulated {self.architecture.name}"

    def begin_image(self) -> None:
        """Start an image of which nothing has run."""
        self.image = blank_image(self.network)
        self.total = self.answered = NOTHING

    def estimate(self, work: Work) -> Cost:
        """Return what the piece adds to the image's total; DeviceError for another net's work."""
        take_in(self.name, self._layers, self.image, work)
        self.total = self._measured()
        before, busy = self.answered, self.total.busy_cycles
        self.answered = RunningTotal(
            max(before.cycles, self.total.cycles),
            max(before.energy_pj, self.total.energy_pj),
            {unit: max(count, before.busy_cycles.get(unit, 0)) for unit, count in busy.items()},
        )
        return Cost(
            self.answered.cycles - before.cycles,
            self.architecture.clock_mhz,
            self.answered.energy_pj - before.energy_pj,
            {
                unit: count - before.busy_cycles.get(unit, 0)
                for unit, count in self.answered.busy_cycles.items()
            },
        )

    def total_of(self, image: Image) -> RunningTotal:
        """Return the total of an image of which everything is known."""
        self.begin_image()
        self.estimate(Work(tuple(self._layers), 0, image.tensors, image.active))
        return self.total

    def again(self, image: Image, timestep: int, block: int, live: Bits) -> RunningTotal:
        """Return the total with other live tokens, bool (token,), at one step of a known image.

        What the step hands on to other blocks stays as it was.
        """
        names = [plan.layer.name for plan in self.plan.layers if plan.layer.block == block]
        own = {plan.layer.index for plan in self.plan.layers if plan.layer.block == block}
        tensors = {}
        for name, tensor in self.network.tensors.items():
            if tensor.mask == str(block) and own >= set(self.network.consumers.get(name, ())):
                bits = image.tensors[name][timestep : timestep + 1]
                tensors[name] = np.where(live[:, None], bits, np.uint8(0))
        self.estimate(Work(tuple(names), timestep, tensors, {str(block): live[None]}))
        return self.total

    def close(self) -> None:
        """Do nothing: nothing is held."""

    def _measured(self) -> RunningTotal:
        """Lower and replay the image as far as it is known."""
        batch = self._lowering.lower([self.image])
        program = batch.program(0)
        timeline = replay(program)
        cycles = timeline.makespan_cycles
        names = self.plan.unit_names
        # Joins, unit -1, are counted first and left out.
        busy = np.bincount(program.unit + 1, program.busy_cycles, minlength=len(names) + 1)[1:]
        energies = self.prices.layer_energies_pj(batch.actions, batch.counts[0])
        awake = awake_cycles(self.plan, batch.emitted[0].layer, program, timeline).sum()
        awake_pj = self.prices.price_pj.get(("memories.dram", AWAKE), 0.0) * float(awake)
        return RunningTotal(
            cycles,
            sum_pj(energies) + awake_pj + self.prices.leakage_pj(cycles),
            dict(zip(names, busy.astype(np.int64).tolist(), strict=True)),
        )


def simulated_device(
    trace: Trace | Outline, architecture: str | Path, overrides: Sequence[str] = ()
) -> SimulatedDevice:
    """Return the device of an architecture file, some of its values replaced (`path=value`).

    Raises ArchitectureError, and what SimulatedDevice raises.
    """
    return SimulatedDevice(trace, load_architecture(architecture, overrides))


def take_in(device: str, layers: Collection[str], image: Image, work: Work) -> None:
    """Put a work's spikes and masks into an image; all of them or none. Raises DeviceError."""
    for name in work.layers:
        if name not in layers:
            raise DeviceError(device, f"layer {name} {suggestion(name, layers)}")
    places = []
    for kind, given, known in (
        ("tensor", work.tensors, image.tensors),
        ("mask", work.active, image.active),
    ):
        for name, array in given.items():
            if name not in known:
                raise DeviceError(device, f"{kind} {name} {suggestion(name, known)}")
            stored = known[name]
            first = work.timestep if len(stored) > 1 else 0
            place = stored[first : first + len(array)]
            if place.shape != array.shape or place.dtype != array.dtype:
                raise DeviceError(
                    f"{device}: {kind} {name} from timestep {first}: {array.dtype} "
                    f"{array.shape}: must be {place.dtype} {place.shape}"
                )
            places.append((place, array))
    for place, array in places:
        place[...] = array


def blank_image(network: Network) -> Image:
    """Return an image whose tokens halted before the first block, with no spike."""
    return Image(
        0,
        {name: np.zeros(tensor.shape, np.uint8) for name, tensor in network.tensors.items()},
        {
            str(block): np.zeros((network.timesteps, network.tokens), np.bool_)
            for block in range(network.blocks)
        },
        -1,
        -1,
    )


def _check_halting(network: Network, name: str) -> None:
    """Every layer of a block obeys a mask: else an unfinished image has no answer."""
    for layer in network.layers:
        if layer.block is not None and layer.mask is None:
            raise DeviceError(
                f"{name}: halting {network.granularity!r}: layer {layer.name} runs whatever halts: "
                "a cost after each block needs a network whose tokens halt"
            )
